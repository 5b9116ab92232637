"""Which seconds of a capture file hold nothing new, and may share a window. Pure.

Theory of operation. A week of a quiet LAN has a few frames in each of some ten thousand seconds. A
window for each would cost a thousand times what reading the frames costs, and add nothing. A
second is *routine* when it has fewer frames than the reporting level, all of them from devices that
were confirmed long ago, none of which says of a device what no frame said before, or sends a
SYN or an echo request where that sender sent none before. Routine seconds that follow each
other are one window. Whatever a rule could raise by, and whatever the inventory could learn by, is
news and keeps a window of its own second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.classify import FLOOD, flood_ends
from monitorpi_capture.items import CONFIRM_S

if TYPE_CHECKING:
    from monitorpi_capture.frame.linklayers import Counted
    from monitorpi_capture.items import Sighting

LONGEST_S: Final = 3600.0
"""Of a window that routine seconds share."""
_MAX_MACS: Final = 8192
_MAX_KNOWN: Final = 16_384
"""What is beyond is forgotten, all at once: then everything is news again."""


class Routine:
    """What a file has shown so far."""

    def __init__(self) -> None:
        self._first_s: dict[bytes, float | None] = {}
        """When a MAC was seen first; None: it was confirmed."""
        self._flows: set[bytes] = set()
        self._known: set[Sighting] = set()
        self._owners: dict[str, bytes] = {}

    def is_news(self, frame: Counted, at_s: float) -> bool:
        """Return whether a frame shows something for the first time, and remember it."""
        data, classified, _, _, has_macs = frame
        mac = data[6:12]
        new = has_macs and self._first_s.get(mac, at_s) is not None and self._is_newcomer(mac, at_s)
        if classified[0] & FLOOD:
            return self._is_new_flow(data, frame) or new
        return new

    def _is_newcomer(self, mac: bytes, at_s: float) -> bool:
        first_s = self._first_s.get(mac, at_s)
        if first_s is None:
            return False
        if len(self._first_s) >= _MAX_MACS:
            self._first_s.clear()
        # a window more than the inventory takes: its windows end later than a frame comes
        self._first_s[mac] = None if at_s - first_s > CONFIRM_S + 1.0 else first_s
        return True

    def _is_new_flow(self, data: bytes, frame: Counted) -> bool:
        source, target, port = flood_ends(data, frame.classified)
        macs = data[:12] if frame.has_macs else b""
        flow = b"".join((macs, source, target, port.to_bytes(2, "big")))
        if flow in self._flows:
            return False
        if len(self._flows) >= _MAX_KNOWN:
            self._flows.clear()
        self._flows.add(flow)
        return True

    def is_new(self, sighting: Sighting) -> bool:
        """Return whether a sighting says something new, and remember it."""
        moved = False
        for ip in (*sighting.ips, *sighting.named):
            moved |= self._owners.get(ip) != sighting.mac
            self._owners[ip] = sighting.mac
        claim = sighting._replace(at_s=0.0)
        if claim in self._known and not moved:
            return False
        if len(self._known) >= _MAX_KNOWN or len(self._owners) >= _MAX_KNOWN:
            self._known.clear()
            self._owners.clear()
        self._known.add(claim)
        return True
