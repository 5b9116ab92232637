"""Slow scans: how many ports or hosts a sender tried in vain within a minute. Pure, bounded.

Windows tell how many distinct ports and hosts a sender tried in each, not which: their sum counts
what is tried again and again as often. But each window also carries a sample, one destination of
many. The share of samples that are new tells how much of the sum is: a scan names another port
each second, a program that polls ten dead ports names ten in all, however often. ``distinct = sum x
different samples / samples``: what a scan tries, a sixth or less of what a poller does in a minute,
and never more than the sum.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import DeviceWindow

MINUTE_S: Final = 60.0
MAX_SCANNERS: Final = 1024
"""Senders of unanswered SYNs that are followed at once; the others wait until one is quiet."""
_MAX_SAMPLES: Final = 64
_LEAST_SAMPLES: Final = 5
_AS_MANY: Final = 3.0
"""Times as many different ports as hosts that are a scan of ports, and the other way round: peers
of file sharing have a port and an address of their own each."""

_BEHIND: Final = 4
"""Different hosts reached by one MAC address that show it to be a router, known as one or not."""


@dataclass(frozen=True, slots=True)
class ScanWindow:
    """One window of a sender."""

    at_s: float
    ports: int
    hosts: int
    port: int
    host: str | None
    beyond: bool
    via: str | None = None
    """The last destination MAC address that was reported."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a sender tried in vain within a minute; 0: not what it is after."""

    ports: float = 0.0
    hosts: float = 0.0


@dataclass(slots=True)
class Scanner:
    """The last minute of a sender."""

    windows: deque[ScanWindow] = field(default_factory=lambda: deque(maxlen=_MAX_SAMPLES))
    beyond: bool = False
    """The last destination whose MAC address was reported is a router: hosts there do not count."""
    via: str | None = None

    def within(self, since_s: float) -> list[ScanWindow]:
        """Return the windows of the last minute."""
        return [one for one in self.windows if one.at_s > since_s]


class SlowScans:
    """Who tries ports or hosts in vain."""

    def __init__(self) -> None:
        self._scanners: Bounded[Scanner] = Bounded(MAX_SCANNERS, stale_s=MINUTE_S)

    def __len__(self) -> int:
        return len(self._scanners)

    def see(
        self, row: DeviceWindow, now_s: float, forwards: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Take a window in which most SYNs of a sender came to nothing.

        Hosts beyond a router do not count: clients that try again while it or its uplink is away
        look like a sweep.
        """
        spread, peer = row.spread, row.top_peer.get("syn")
        port, host = spread.a_port, spread.a_host
        if peer is not None:
            port, host = port or peer.port, host or peer.ip
        scanner = self._scanners.get(row.mac) or Scanner()
        if port is None or not self._scanners.put(row.mac, scanner, now_s):
            return
        if peer is not None and peer.mac is not None:
            scanner.beyond = forwards(peer.mac)
            scanner.via = peer.mac
        vain = max(0, row.tx.get("syn", 0) - row.rx.get("syn_ack", 0))
        scanner.windows.append(
            ScanWindow(
                now_s,
                min(vain, spread.dst_ports),
                min(vain, spread.dst_ips),
                port,
                host,
                scanner.beyond,
                scanner.via,
            )
        )

    def within_a_minute(self, mac: str, now_s: float) -> Tried:
        """Return what a sender tried in the minute before a moment."""
        scanner = self._scanners.get(mac)
        if scanner is None:
            return Tried()
        windows = scanner.within(now_s - MINUTE_S)
        if len(windows) < _LEAST_SAMPLES:
            return Tried()
        ports = (
            len({one.port for one in windows}) / len(windows) * sum(one.ports for one in windows)
        )
        hosts = (
            len({one.host for one in windows}) / len(windows) * sum(one.hosts for one in windows)
        )
        behind: dict[str | None, set[str | None]] = {}
        for one in windows:
            behind.setdefault(one.via, set()).add(one.host)
        here = hosts * sum(
            not one.beyond and (one.via is None or len(behind[one.via]) < _BEHIND)
            for one in windows
        ) / len(windows)  # fmt: skip
        return Tried(
            ports if ports >= _AS_MANY * hosts else 0.0,
            here if hosts >= _AS_MANY * ports else 0.0,
        )


def is_vain(row: DeviceWindow) -> bool:
    """Return whether most of a window's SYNs were not answered: only then is it worth a look."""
    syn = row.tx.get("syn", 0)
    return 0 < 2 * row.rx.get("syn_ack", 0) + 1 <= syn
