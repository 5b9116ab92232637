"""A capture file as a source: windows in the file's own time.

Theory of operation. Windows stand on whole seconds of the frames' timestamps. A window is emitted
when a frame of a later second comes. Behind the last frame before a gap follow up to
:data:`EMPTY_AFTER` empty windows, so that whoever counts "2 of 3 windows" sees the end of a burst;
the rest of a gap is skipped, however long it is. A frame up to a second older than the current
window counts in it (several capture threads write slightly out of order); an older one means that
another capture was appended: a window there, which the core takes for a step of the clock. The
last window ends with the last frame and says how long it was.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitorpi_capture.capfile import CaptureFile, CaptureFileError
from monitorpi_capture.classify import ETHERNET_HEADER, Classified, classify, classify_packet
from monitorpi_capture.core import ListenerReport
from monitorpi_capture.dissect import is_telling
from monitorpi_capture.linktypes import (
    LINK_ETHERNET,
    LINK_IPV4,
    LINK_IPV6,
    LINK_LOOP,
    LINK_NULL,
    LINK_RAW,
    LINK_SLL,
    LINK_SLL2,
)
from monitorpi_capture.tally import Tally
from monitorpi_capture.window import CLASS_BIT, Instant, WindowCounts
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_capture.dissect import Dissector
    from monitorpi_capture.frame import Frame
    from monitorpi_capture.instream import ByteStream
    from monitorpi_capture.pacing import Gate
    from monitorpi_common.log import Log

ENGINE: Final = "file"
EMPTY_AFTER: Final = 3
"""Empty windows before a gap is skipped: as many as an m-of-n rule looks at (2 of 3)."""
_REORDER_S: Final = 1.0
_SHORTEST_S: Final = 0.001
"""Length of a window that holds a single instant; times are told in milliseconds."""

UNKNOWN_MAC: Final = b"\x01\x00\x00\x00\x00\x00"
"""Stands for a destination the link layer does not tell (Linux cooked): a group, so without row."""
_BROADCAST_MAC: Final = b"\xff" * 6
_ARPHRD_ETHERNET: Final = 1
_FAMILY_IPV4: Final = 2
_FAMILIES_IPV6: Final = frozenset({10, 24, 28, 30})
"""AF_INET6 of Linux, the BSDs and Darwin (link type registry, LINKTYPE_NULL)."""
_FAMILY_SIZE: Final = 4
_NOTHING: Final[Classified] = (0, 0, 0)
_MALFORMED: Final[Classified] = (CLASS_BIT["malformed"], 0, 0)
_TYPE_IPV4: Final = 0x0800
_TYPE_IPV6: Final = 0x86DD
_MAY_TELL: Final = sum(CLASS_BIT[name] for name in ("arp", "dhcp", "mdns", "icmp"))
_COOKED_HEADERS: Final = {LINK_SLL: 16, LINK_SLL2: 20}
"""Bytes before the packet; every cooked frame counts as if it had an Ethernet header instead."""
_COOKED_BROADCAST: Final = 1
_COOKED_MULTICAST: Final = 2


class FileSource:
    """Reads one capture stream and emits :class:`WindowCounts`, whole seconds each."""

    def __init__(
        self,
        stream: ByteStream,
        name: str,
        interface: str,
        log: Log,
        *,
        max_rows: int,
        dissector: Dissector | None = None,
        dissected_per_s: int = 200,
        gate: Gate | None = None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the stream.

        Args:
            stream: the bytes.
            name: of the stream, for people.
            interface: what the messages call it.
            log: for notes about the file.
            max_rows: MAC addresses counted apart in a window.
            dissector: reads what frames tell about devices; None: nobody does.
            dissected_per_s: such frames per window at most.
            gate: bounds the windows that wait for the core.
            on_stop: ends the stream while it waits.

        Raises:
            ResourceError: it is no capture file that can be read.

        """
        try:
            self._file = CaptureFile(stream, name)
        except CaptureFileError as error:
            raise ResourceError(str(error)) from None
        self._interface = interface
        self._log = log
        self._tally = Tally(interface, ENGINE, max_rows)
        self._dissector = dissector
        self._dissected_per_s = dissected_per_s
        self._dissected = 0
        self._dropped = 0
        self._gate = gate
        self._on_stop = on_stop
        self._stopped = False
        self._start: float | None = None
        self._latest = 0.0

    def stop(self) -> None:
        """End with the current window."""
        self._stopped = True
        self._on_stop()
        if self._gate is not None:
            self._gate.open()

    def run(self, emit: Callable[[object], None]) -> None:
        """Read to the end."""
        stop = -math.inf
        tally = self._tally
        add = tally.add
        telling = _MAY_TELL if self._dissector is not None else 0
        for frame in self._file:
            at_s, link, data, wire_length = frame
            if at_s is None:
                at_s = self._latest
            if not self._latest - _REORDER_S <= at_s < stop:
                stop = self._move(at_s, emit)
                if self._stopped:
                    break
            self._latest = max(self._latest, at_s)
            if link == LINK_ETHERNET and len(data) >= ETHERNET_HEADER:
                classified = classify(data, wire_length)
                add(data, classified, wire_length)
                if classified[0] & telling and is_telling(data, classified):
                    self._dissect(data, wire_length, at_s, emit)
            elif link in _COOKED_HEADERS:
                framed, classified, wire_length = _count_cooked(tally, frame)
                if classified[0] & telling and is_telling(framed, classified):
                    self._dissect(framed, wire_length, at_s, emit)
            else:
                _count_other(tally, frame)
        self._finish(emit)

    def _finish(self, emit: Callable[[object], None]) -> None:
        """Flush the last window, which ends with the last frame, and tell what was wrong."""
        if self._start is not None:
            self._emit(self._latest, emit)
        if self._dissector is not None:
            emit(ListenerReport(self._dropped, self._dissector.failed))
        for note in self._file.notes:
            self._log.warning("capture file", what=note)
        if self._file.failure is not None:
            raise ResourceError(self._file.failure)

    def _move(self, at_s: float, emit: Callable[[object], None]) -> float:
        """Close the current window, begin the one of this time and return where that ends."""
        start = self._start
        if start is not None:
            self._emit(start + 1.0, emit)
            ahead = math.floor(at_s) - start - 1
            for _ in range(int(min(ahead, EMPTY_AFTER))):
                start += 1.0
                self._start = start
                self._emit(start + 1.0, emit)
        self._start = float(math.floor(at_s))
        self._latest = at_s
        self._dissected = 0
        return self._start + 1.0

    def _emit(self, end_s: float, emit: Callable[[object], None]) -> None:
        start = self._start or 0.0
        length = max(end_s - start, _SHORTEST_S)
        window: WindowCounts = self._tally.cut(
            Instant(start, None), Instant(start + length, None), length
        )
        if self._gate is not None:
            self._gate.enter()
        emit(window)

    def _dissect(
        self, data: bytes, wire_length: int, at_s: float, emit: Callable[[object], None]
    ) -> None:
        """Hand on what a frame tells, up to the share of a second."""
        if self._dissector is None or self._dissected >= self._dissected_per_s:
            self._dropped += 1
            return
        self._dissected += 1
        for sighting in self._dissector.dissect(
            data, at_s, self._interface, wire_length=wire_length
        ):
            emit(sighting)


def _count_other(tally: Tally, frame: Frame) -> None:
    """Count a frame that has no whole Ethernet header."""
    _, link, data, wire_length = frame
    match link:
        case _ if link == LINK_ETHERNET:
            tally.add_unlinked(classify(data, wire_length)[0], wire_length)
        case _ if link in (LINK_RAW, LINK_IPV4, LINK_IPV6):
            tally.add_packet(data, _raw(data, wire_length, 0), wire_length)
        case _ if link in (LINK_NULL, LINK_LOOP):
            tally.add_packet(data, _loopback(data, wire_length), wire_length)


def _raw(data: bytes, wire_length: int, offset: int) -> Classified:
    """Classify a bare IP packet."""
    if len(data) <= offset:
        return _NOTHING if wire_length > offset else _MALFORMED
    ether_type = {4: _TYPE_IPV4, 6: _TYPE_IPV6}.get(data[offset] >> 4)
    if ether_type is None:
        return _MALFORMED
    return classify_packet(data, wire_length, ether_type, offset)


def _loopback(data: bytes, wire_length: int) -> Classified:
    """Classify a BSD loopback frame: an address family, then the packet."""
    if len(data) < _FAMILY_SIZE:
        return _MALFORMED if wire_length < _FAMILY_SIZE else _NOTHING
    family = max(data[0], data[3])  # either byte order: the value is small
    if family != _FAMILY_IPV4 and family not in _FAMILIES_IPV6:
        return _NOTHING
    return _raw(data, wire_length, _FAMILY_SIZE)


def _count_cooked(tally: Tally, frame: Frame) -> tuple[bytes, Classified, int]:
    """Count a Linux cooked frame: it names the sender but not the destination.

    Returns the frame with an Ethernet header in place of the cooked one, what it is and its length
    on the wire; nothing telling where the sender has no Ethernet address.
    """
    _, link, data, wire_length = frame
    header = _COOKED_HEADERS[link]
    size = max(wire_length + ETHERNET_HEADER - header, 0)
    if len(data) < header:
        tally.add_unlinked(CLASS_BIT["malformed"] if wire_length < header else 0, size)
        return b"", _NOTHING, size
    if link == LINK_SLL:
        kind, hardware, length = data[1], data[2] << 8 | data[3], data[4] << 8 | data[5]
        source, protocol = data[6:12], data[14:16]
    else:
        kind, hardware, length = data[10], data[8] << 8 | data[9], data[11]
        source, protocol = data[12:18], data[0:2]
    mask = {
        _COOKED_BROADCAST: CLASS_BIT["broadcast"],
        _COOKED_MULTICAST: CLASS_BIT["multicast"],
    }.get(kind, 0)
    target = _BROADCAST_MAC if kind == _COOKED_BROADCAST else UNKNOWN_MAC
    framed = target + source + protocol + data[header:]
    ether_type = protocol[0] << 8 | protocol[1]
    classified = classify_packet(framed, size, ether_type, ETHERNET_HEADER, mask)
    if hardware != _ARPHRD_ETHERNET or length != len(source):
        tally.add_packet(framed, classified, size)
        return framed, _NOTHING, size
    tally.add(framed, classified, size)
    return framed, classified, size
