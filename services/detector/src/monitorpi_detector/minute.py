"""Ports and hosts tried in vain, added up over a minute for each MAC address. Pure.

Theory of operation. A scan of ten ports a second stays under every floor of one window. Its tries
are added to the slot of ten seconds in which they were made; the sum of the last six slots is what
a minute saw. Capture counts different ports and hosts in each window and does not name them, so
that a port tried in two windows counts twice: a client that tries again does so ever more rarely
(RFC 6298, 5.5), a scanner does not. A window counts only where several ports of a host, or several
hosts at one port, come to nothing (a client knocks at one or two, and file sharing has a port for
each host), and while it is slower than what the rules for fast scans name. Hosts count only while
a router passes somebody's answers on: when the uplink is away, everybody tries in vain.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.view import WindowView

MAX_MACS: Final = 1024
SPAN_S: Final = 60.0
FAST_PER_S: Final = 50.0
"""The floor of ``port-scan`` and ``host-sweep``."""
LEAST: Final = 3
"""Different ports of a host, or hosts, in a window: a page opens two connections to a server."""
_HOSTS_PER_PORT: Final = 5
_HARDLY_ANY: Final = 0.9
"""Share of the hosts tried that do not answer a scan; who browses is answered by most."""
_PASSES_S: Final = 30.0
"""A router that passed an answer on so long ago still does: homes are never silent for as long."""
_SLOT_S: Final = 10.0
_SLOTS: Final = 6


@dataclass(frozen=True, slots=True)
class Tried:
    """What one MAC tried in vain within a minute."""

    ports: float = 0.0
    hosts: float = 0.0


@dataclass(slots=True)
class _Slots:
    kept: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=_SLOTS))
    """Number of the slot, ports, hosts."""

    def add(self, slot: int, ports: float, hosts: float) -> None:
        if self.kept and self.kept[-1][0] >= slot:
            last, before_ports, before_hosts = self.kept.pop()
            self.kept.append((last, before_ports + ports, before_hosts + hosts))
        else:
            self.kept.append((slot, ports, hosts))


class Minute:
    """The tries of every MAC address that makes some."""

    def __init__(self) -> None:
        self._macs: Bounded[_Slots] = Bounded(MAX_MACS, stale_s=SPAN_S)
        self._passed_s = 0.0
        """When a router passed an answer on."""

    def __len__(self) -> int:
        return len(self._macs)

    def see(self, view: WindowView) -> None:
        """Add what a window shows."""
        if any(view.forwards(row.mac) for row, _ in view.senders("syn_ack", 0.0)):
            self._passed_s = view.now_s
        passes = view.now_s - self._passed_s <= _PASSES_S
        for row, _ in view.senders("syn", LEAST / view.span_s):
            ports, hosts = in_vain(view, row)
            hosts *= passes
            if ports or hosts:
                slots = self._macs.get(row.mac) or _Slots()
                slots.add(int(view.now_s // _SLOT_S), ports, hosts)
                self._macs.put(row.mac, slots, view.now_s)

    def of(self, mac: str, now_s: float) -> Tried:
        """Return the sum of the minute before a time."""
        slots = self._macs.get(mac)
        if slots is None:
            return Tried()
        recent = [one for one in slots.kept if one[0] > int(now_s // _SLOT_S) - _SLOTS]
        return Tried(sum(one[1] for one in recent), sum(one[2] for one in recent))


def in_vain(view: WindowView, row: DeviceWindow) -> tuple[float, float]:
    """Return the ports and the hosts a sender tried in a window, where they came to nothing."""
    sent, hosts, ports = row.tx.get("syn", 0), row.spread.dst_ips, row.spread.dst_ports
    if max(view.rate(ports), view.rate(hosts)) >= FAST_PER_S or view.forwards(row.mac):
        return 0.0, 0.0
    vain = view.opened_by(row).open
    if vain < sent / 2:
        return 0.0, 0.0
    if ports >= LEAST * max(1, hosts):
        return float(ports), 0.0
    if hosts < max(LEAST, _HOSTS_PER_PORT * ports) or vain < _HARDLY_ANY * sent:
        return 0.0, 0.0
    # whoever was answered until now has lost the uplink
    lost = view.was_answered(row) or view.lost_uplink(row) is not None
    return 0.0, 0.0 if lost else float(hosts)
