"""The capture service's core: windows in, traffic messages and devices out. Pure.

Theory of operation. An engine's windows come in one per interface and second. Each becomes one
traffic message with a number (``seq``) and the totals since the epoch began. A new epoch begins
when the wall clock steps against the boot-time clock (a file: when its times go back) and when a
person says ``reset``: totals and numbers begin anew, so that a reader never subtracts across it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import add
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitorpi_capture.listing import listed, rfc3339, snapshot, tally_of
from monitorpi_capture.window import BYTES, COLUMN, FIRST_CLASS, PACKETS, WIDTH, WindowCounts
from monitorpi_common.messages import Publication, Reset, Tombstone, Watch
from monitorpi_common.service import CommandRefusedError, Order, Tick
from monitorpi_common.topics import slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from monitorpi_capture.settings import CaptureSettings

STEP_S: Final = 0.5
"""The wall clock stepped when it moved so much against the boot-time clock (the contract's)."""
_MAX_KNOWN: Final = 65_536
"""MACs remembered as seen in this epoch; beyond, every stranger counts as new."""
_GROUP: Final = 0x01
_SYN: Final = COLUMN["syn"]
_SYN_ACK: Final = COLUMN["syn_ack"]
_TCP: Final = COLUMN["tcp"]
_RST: Final = COLUMN["rst"]


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What the live source says of its engine, for the health message."""

    engine: str
    refused: Mapping[str, str]
    """Better engines that could not be used, each with the reason."""
    away: Mapping[str, str]
    """Interfaces that cannot be counted now, each with the reason."""
    lag_s: float = 0.0
    """From the end of the last window until it was handed over."""


class _Replies:
    """Learns whether both directions of conversations are on this port.

    A MAC that in one window sent SYNs and was sent SYN-ACKs (or the other way round) shows that
    they are. A MAC in the middle of TCP connections (neither SYN nor RST) that is sent no TCP at
    all shows that they are not: TCP acknowledges. It takes :data:`ENOUGH` windows of the second
    and none of the first to say no.
    """

    ENOUGH: Final = 10
    FRAMES: Final = 20
    """TCP frames in a window before their silence counts: a receiver acknowledges every second."""

    def __init__(self) -> None:
        self._answered = 0
        self._unanswered = 0

    def learn(self, rows: Iterable[Any]) -> bool | None:
        """Look at one window and return what is known now."""
        answered = unanswered = False
        for row in rows:
            tx, rx = row.tx, row.rx
            if not tx or not tx[_TCP]:
                continue
            if rx and ((tx[_SYN] and rx[_SYN_ACK]) or (tx[_SYN_ACK] and rx[_SYN])):
                answered = True
                break
            if tx[_TCP] - tx[_SYN] - tx[_RST] >= self.FRAMES and not (rx and rx[_TCP]):
                unanswered = True
        if answered:
            self._answered, self._unanswered = 1, 0
        elif unanswered:
            self._unanswered += 1
        if self._unanswered >= self.ENOUGH:
            self._answered = 0
        if self._answered:
            return True
        return False if self._unanswered >= self.ENOUGH else None


@dataclass(slots=True)
class _Port:
    """One interface in this epoch."""

    seq: int = 0
    totals: list[int] = field(default_factory=lambda: [0] * WIDTH)
    replies: _Replies = field(default_factory=_Replies)
    end_s: float | None = None
    offset_s: float | None = None


class Steering(Protocol):
    """What the core asks of the live source."""

    def watch(self, order: Watch) -> None:
        """Show packet lines for a while."""
        ...

    def seed(self, macs: Sequence[bytes]) -> None:
        """Keep counters for these MACs, the most important first."""
        ...


class CaptureCore:
    """See the module."""

    def __init__(
        self,
        epoch: str,
        settings: CaptureSettings,
        *,
        steering: Steering | None = None,
        clock_synced: bool = False,
    ) -> None:
        self._first_epoch = epoch
        self._epoch = epoch
        self._epochs = 0
        self._settings = settings
        self._steering = steering
        self._clock_synced = clock_synced
        self._ports: dict[str, _Port] = {}
        self._known: set[bytes] = set()
        self._report: EngineReport | None = None

    def handle(self, item: object) -> Iterable[Publication | Tombstone]:
        """Take one item and answer."""
        match item:
            case WindowCounts():
                return self._window(item)
            case Tick():
                self._clock_synced = item.clock_synced
            case EngineReport():
                self._report = item
            case Order(args=Reset()):
                self._begin_epoch()
            case Order(args=Watch() as watch):
                if self._steering is None:
                    raise CommandRefusedError("a capture file is read: there is nothing to watch")
                self._steering.watch(watch)
            case _:
                pass
        return ()

    def close(self) -> Iterable[Publication | Tombstone]:
        """Nothing is held back: the source flushes the last window."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell which engine counts what."""
        return {"epoch": self._epoch}

    def _begin_epoch(self) -> None:
        self._epochs += 1
        self._epoch = f"{self._first_epoch}-{self._epochs}"
        self._known.clear()
        for port in self._ports.values():
            port.seq = 0
            port.totals = [0] * WIDTH

    # --- traffic ------------------------------------------------------------------------------

    def _window(self, window: WindowCounts) -> Iterator[Publication | Tombstone]:
        port = self._ports.setdefault(window.interface, _Port())
        if self._stepped(port, window):
            self._begin_epoch()
            for one in self._ports.values():
                one.end_s = one.offset_s = None
            self._stepped(port, window)
        port.totals = list(map(add, port.totals, window.wire))
        devices, omitted = listed(
            window, self._settings.reporting_level, self._settings.listed_devices, self._role
        )
        senders, strangers = self._meet(window)
        head: dict[str, Any] = {
            "epoch": self._epoch,
            "seq": port.seq,
            "start": rfc3339(window.start.wall_s),
            "end": rfc3339(window.end.wall_s),
            "window_s": round(window.length_s, 6),
            "clock_synced": self._clock_synced,
            "interface": window.interface,
            "link_bps": window.link_bps,
            "engine": window.engine,
            "packets": window.wire[PACKETS],
            "bytes": window.wire[BYTES],
            "kernel_drops": sum(window.losses.values()),
            "losses": {name: lost for name, lost in window.losses.items() if lost},
            "counts": tally_of(window.wire, FIRST_CLASS),
            "totals": tally_of(port.totals),
            "sees_replies": port.replies.learn(window.rows),
            "source_macs": senders,
            "new_macs": strangers,
            "omitted": omitted,
        }
        port.seq += 1
        yield Publication(slug(window.interface), snapshot(head, devices))

    @staticmethod
    def _stepped(port: _Port, window: WindowCounts) -> bool:
        """Tell whether the clock stepped since this interface's last window, and remember it."""
        end_s, port.end_s = port.end_s, window.end.wall_s
        if window.end.boot_s is None:
            return end_s is not None and window.start.wall_s < end_s - STEP_S
        offset_s, port.offset_s = port.offset_s, window.end.wall_s - window.end.boot_s
        return offset_s is not None and abs(port.offset_s - offset_s) > STEP_S

    def _meet(self, window: WindowCounts) -> tuple[int, int]:
        """Return how many MACs sent something, and how many of them this epoch had not seen."""
        senders = {row.mac for row in window.rows if row.tx}
        strangers = senders - self._known
        if len(self._known) + len(strangers) <= _MAX_KNOWN:
            self._known |= strangers
        beyond = max(window.source_macs - len(senders), 0)
        return len(senders) + beyond, len(strangers) + beyond

    def _role(self, mac: bytes) -> str:
        del mac
        return "unknown"
