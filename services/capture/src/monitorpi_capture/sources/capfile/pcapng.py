"""The blocks of a pcapng file: draft-ietf-opsawg-pcapng.

Blocks say how long they are, before and behind their content, so what is not understood is passed
over without being held, however large it is. A block that contradicts itself ends the reading; a
frame that contradicts its block, or its section, is lost alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.captured import MAX_FRAME, Frame, without_fcs
from monitorpi_capture.frame.linktypes import SUPPORTED, of_disk
from monitorpi_capture.sources.capfile.clocks import Clock, TimeLine
from monitorpi_capture.sources.capfile.findings import LAST_TIME_S
from monitorpi_capture.sources.capfile.magic import BYTE_ORDER, PCAPNG, PCAPNG_HEADER, is_pcap
from monitorpi_capture.sources.capfile.making import (
    OPTION_FILTER,
    filter_note,
    lost_frames,
    lost_note,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.sources.capfile.findings import Findings
    from monitorpi_capture.sources.capfile.instream import InStream

_VERSIONS: Final = {(1, 0), (1, 2)}
"""1.2 is what some wrote for 1.0 (the draft, section 4.1)."""
_BLOCK: Final = 12
"""Type and length before a block's body and the length again behind it."""
_HEAD: Final = 28
"""A frame's block up to its data."""
_SIMPLE_HEAD: Final = 12
_LEAST_PACKET: Final = _HEAD + 4
_INTERFACE_BODY: Final = 8
_STATISTICS_BODY: Final = 12
_OPTION: Final = 4
_MAX_BLOCK: Final = 0x7FFF_FFFF
_MAX_KEPT: Final = 512 * 1024
"""So much of a block is held at most: the largest frame and options behind it."""
_MAX_INTERFACES: Final = 4096
_MAX_HELD: Final = 1000
"""Frames of one interface in a row after which no other is taken to go on beside it."""

_INTERFACE: Final = 1
_OLD_PACKET: Final = 2
_SIMPLE_PACKET: Final = 3
_STATISTICS: Final = 5
_ENHANCED_PACKET: Final = 6

_OPTION_FLAGS: Final = 2
_OPTION_TSRESOL: Final = 9
_OPTION_FCSLEN: Final = 13
_OPTION_TSOFFSET: Final = 14
_OFFSET_SIZE: Final = 8
_FLAGS_SIZE: Final = 4
_BYTES_WRITTEN: Final = 4
"""``if_fcslen`` counts bits; no checksum is shorter than 8, so 2 and 4 are bytes, as some write."""


@dataclass(slots=True)
class _CaptureInterface:
    """Link type, resolution and clock of one interface of a section."""

    link: int
    """Of those that are read; -1 - the link type of any other."""
    snaplen: int = 0
    ticks_per_s: float = 1e6
    offset_s: int = 0
    fcs: int = 0


class CaptureSection:
    """What a section says of the frames that follow: byte order and interfaces."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.head = struct.Struct(f"{order}II").unpack_from
        self.packet = struct.Struct(f"{order}IIIIIII").unpack_from
        self.tail = struct.Struct(f"{order}I").unpack_from
        self.interfaces: list[_CaptureInterface] = []
        self.described = 0
        """Interfaces, those beyond the limit too."""
        self.lost: dict[int, int] = {}
        """Frames that interfaces lost, by their last statistics."""
        self.line = TimeLine()


def section(stream: InStream, findings: Findings) -> CaptureSection | None:
    """Read the byte order of the section that begins here; None: it has none."""
    begin = stream.peek(16)
    order = BYTE_ORDER.get(begin[8:12])
    if order is None or len(begin) < 16:  # noqa: PLR2004 - up to the version
        return None
    version = struct.unpack_from(f"{order}HH", begin, 12)
    if version not in _VERSIONS:
        findings.note("version", "says that it is pcapng {}.{}, read as 1.0,".format(*version))
    return CaptureSection(order)


class Blocks:
    """Reads the blocks of one stream, from the section at the current position on."""

    def __init__(self, stream: InStream, findings: Findings) -> None:
        self._stream = stream
        self._findings = findings
        self._section = CaptureSection("<")
        self._is_over = False
        self._held: list[tuple[int, Frame]] = []
        """First frames of an interface that is far behind, which may be another clock."""
        self._held_bytes = 0

    def frames(self) -> Iterator[Frame]:
        """Yield the frames up to the end, to damage, or to something that is no block."""
        stream, findings = self._stream, self._findings
        while not self._is_over:
            # block by block: sections, interfaces, what is unknown, large, cut or broken
            for frame in self._block():
                findings.frames += 1
                yield frame
            # enhanced packets, one after the other: nearly all there is
            here = self._section
            unpack, tail, interfaces, line = here.packet, here.tail, here.interfaces, here.line
            count = len(interfaces)
            buffer, at, size = stream.buffer, stream.at, len(stream.buffer)
            frames = findings.frames
            while at + _LEAST_PACKET <= size and not self._held:
                kind, length, number, high, low, captured, wire = unpack(buffer, at)
                room, end = length - _LEAST_PACKET - captured, at + length
                if (
                    kind != _ENHANCED_PACKET or room < 0 or captured > MAX_FRAME
                    or number >= count or end > size or tail(buffer, end - 4)[0] != length
                ):  # fmt: skip
                    break
                interface = interfaces[number]
                link = interface.link
                at_s: float | None = (high << 32 | low) / interface.ticks_per_s + interface.offset_s
                if link < 0 or not 0.0 <= at_s < LAST_TIME_S:  # type: ignore[operator]  # a float yet
                    break
                if count > 1 and (at_s := line.place(number, at_s)) is None:  # type: ignore[arg-type]
                    break
                data = buffer[at + _HEAD : at + _HEAD + captured]
                wire = max(wire, captured)
                fcs = interface.fcs
                if room >= _OPTION + _FLAGS_SIZE:
                    start = at + _HEAD + (captured + 3 & ~3)
                    fcs = _fcs_of(here.order, buffer, start, end - 4, fcs)
                if fcs:
                    data, wire = without_fcs(link, data, wire, fcs)
                at = end
                frames += 1
                yield Frame(at_s, link, data, wire)
            stream.at, findings.frames = at, frames
        self._report_section()

    def _end(self, why: str | None = None) -> None:
        """End the reading, because of damage where a reason is given."""
        if why is not None:
            self._findings.stop(why)
        self._is_over = True

    def _block(self) -> list[Frame]:
        """Read one block of any kind; return the frames that are to be handed on."""
        stream = self._stream
        if not stream.fill(_BLOCK):
            self._end("ends within a block header" if stream.peek(1) else None)
            return self._release()
        begin = stream.buffer[stream.at : stream.at + _BLOCK]
        waiting: list[Frame] = []
        if begin[:4] == PCAPNG:
            waiting = self._release()
            self._report_section()
            new = section(stream, self._findings)
            if new is None:
                short = not stream.fill(PCAPNG_HEADER)
                self._end("ends within a block header" if short else "has no byte order")
                return waiting
            self._section = new
        elif begin == bytes(_BLOCK) or is_pcap(stream):
            self._end()  # whoever reads on knows what to do with zeros, and with pcap
            return self._release()
        kind, length = self._section.head(begin, 0)
        if length < _BLOCK or length % 4 or length > _MAX_BLOCK:
            self._end(f"claims a block of {length:,} bytes")
            return waiting + self._release()
        held = min(length, _MAX_KEPT)
        if not stream.fill(held):
            self._end("ends within a block")
            return waiting + self._release()
        found: tuple[int, Frame] | None = None
        if kind in (_INTERFACE, _STATISTICS):
            take = self._describe if kind == _INTERFACE else self._count_lost
            take(stream.at + 8, stream.at + held - 4)
        elif kind in (_ENHANCED_PACKET, _SIMPLE_PACKET, _OLD_PACKET):
            found = self._frame(kind, length, held)
        if not self._pass(length):
            return waiting + self._release()
        return waiting if found is None else waiting + self._place(*found)

    def _place(self, number: int, frame: Frame) -> list[Frame]:
        """Lay a frame on the time line; return it, and those that waited for it."""
        line, ready = self._section.line, list[Frame]()
        if self._held:
            same = number == self._held[0][0]
            if same and len(self._held) < _MAX_HELD and self._held_bytes < _MAX_KEPT:
                self._hold(number, frame)
                return ready
            ready = self._release(others_go_on=not same)
        if frame.at_s is None or len(self._section.interfaces) == 1:
            return [*ready, frame]
        at_s = line.place(number, frame.at_s)
        if at_s is None:
            self._hold(number, frame)
            return ready
        return [*ready, frame._replace(at_s=at_s)]

    def _hold(self, number: int, frame: Frame) -> None:
        self._held.append((number, frame))
        self._held_bytes += len(frame.data)

    def _release(self, *, others_go_on: bool = False) -> list[Frame]:
        """Return the frames that were held, now that it is known what they are."""
        held, self._held, self._held_bytes = self._held, [], 0
        if not held:
            return []
        line = self._section.line
        number, first = held[0]
        if others_go_on:
            line.align(number, first.at_s or 0.0)
        else:
            line.begin_anew()
        return [one._replace(at_s=line.place(number, one.at_s or 0.0)) for _, one in held]

    def _pass(self, length: int) -> bool:
        """Move behind a block; False: it does not end as it began."""
        offset = self._stream.offset
        if not self._stream.skip(length - 4) or not self._stream.fill(4):
            self._findings.stop("ends within a block", offset)
            return False  # nothing is left that the next look could find
        (again,) = self._section.tail(self._stream.buffer, self._stream.at)
        if again != length:
            self._findings.stop(f"has a block of {length:,} bytes or {again:,}", offset)
            self._is_over = True
            return False
        self._stream.at += 4
        return True

    def _describe(self, start: int, stop: int) -> None:
        """Take an interface description; what is missing in it has the format's default."""
        here, buffer = self._section, self._stream.buffer
        here.described += 1
        if here.described > _MAX_INTERFACES:
            self._findings.note(
                "interfaces", f"describes more than {_MAX_INTERFACES:,} interfaces: others' frames "
                "are skipped,"
            )  # fmt: skip
            return
        one = _CaptureInterface(link=-1)
        here.interfaces.append(one)
        here.line.clocks.append(Clock())
        if stop - start < _INTERFACE_BODY:
            self._findings.note("interface", "has an interface without a link type")
            return
        number, _, one.snaplen = struct.unpack_from(f"{here.order}HHI", buffer, start)
        link = of_disk(number)
        for code, value in _options(here.order, buffer, start + _INTERFACE_BODY, stop):
            if code == _OPTION_TSRESOL and len(value) == 1:
                base, power = (2.0, value[0] & 0x7F) if value[0] & 0x80 else (10.0, value[0])
                one.ticks_per_s = base**power
            elif code == _OPTION_TSOFFSET and len(value) == _OFFSET_SIZE:
                one.offset_s = struct.unpack(f"{here.order}q", value)[0]
            elif code == _OPTION_FCSLEN and len(value) == 1:
                one.fcs = value[0] if value[0] <= _BYTES_WRITTEN else value[0] // 8
            elif code == OPTION_FILTER and (note := filter_note(value)) is not None:
                self._findings.note(note, note, placed=False)
        if link in SUPPORTED:
            one.link = link
        else:
            one.link = -1 - link
            self._findings.unsupported(link)

    def _frame(self, kind: int, length: int, held: int) -> tuple[int, Frame] | None:
        """Read a frame of any kind of block, ``held`` bytes of which are in the buffer.

        Returns the number of its interface and the frame, by that interface's clock.
        """
        findings, here = self._findings, self._section
        buffer, at = self._stream.buffer, self._stream.at
        claim = _claim_of(here.order, kind, buffer, at, length)
        if claim is None:
            findings.lose("in broken blocks")
            return None
        number, ticks, head, captured, wire = claim
        if number >= len(here.interfaces):
            if number < here.described:
                findings.skip_any()
            else:
                findings.lose("of interfaces that are not described")
            return None
        interface = here.interfaces[number]
        if interface.link < 0:
            findings.skip(-1 - interface.link)
            return None
        if captured > length - head - 4:
            findings.lose("longer than their blocks")
            return None
        at_s: float | None = None
        fcs = interface.fcs
        if ticks is None:
            captured = min(captured, interface.snaplen or captured)
        else:
            at_s = ticks / interface.ticks_per_s + interface.offset_s
            if not 0.0 <= at_s < LAST_TIME_S:
                findings.lose("dated before 1970 or after 2106")
                return None
            if length == held:
                options = at + head + (captured + 3 & ~3)
                fcs = _fcs_of(here.order, buffer, options, at + length - 4, fcs)
        data = buffer[at + head : at + head + min(captured, MAX_FRAME)]
        wire = max(wire, captured)
        if fcs:
            data, wire = without_fcs(interface.link, data, wire, fcs)
        return number, Frame(at_s, interface.link, data, wire)

    def _count_lost(self, start: int, stop: int) -> None:
        """Take an interface's statistics: they count from its beginning on."""
        here, buffer = self._section, self._stream.buffer
        if stop - start < _STATISTICS_BODY:
            return
        (number,) = here.tail(buffer, start)
        options = _options(here.order, buffer, start + _STATISTICS_BODY, stop)
        if number < len(here.interfaces) and (lost := lost_frames(here.order, options)):
            here.lost[number] = lost

    def _report_section(self) -> None:
        """Note which interfaces of the section that ends lost frames, or are moved in time."""
        for number, lost in self._section.lost.items():
            self._findings.note(f"lost by {number}", lost_note(number, lost), placed=False)
        for number, shift_s in self._section.line.moved.items():
            self._findings.note(
                f"clock of {number}",
                f"has clocks that differ: frames of interface {number} are counted "
                f"{abs(shift_s):,.1f} s {'later' if shift_s > 0 else 'earlier'} than stamped",
                placed=False,
            )


def _claim_of(
    order: str, kind: int, buffer: bytes, at: int, length: int
) -> tuple[int, int | None, int, int, int] | None:
    """Return what the block of a frame says of it; None: the block is too short.

    Returns:
        Number of the interface, ticks (None: it has no time), bytes before the data, length as
        captured and on the wire.

    """
    head = _SIMPLE_HEAD if kind == _SIMPLE_PACKET else _HEAD
    if length < head + 4:
        return None
    if kind == _SIMPLE_PACKET:
        (wire,) = struct.unpack_from(f"{order}I", buffer, at + 8)
        return 0, None, head, min(wire, length - head - 4), wire
    form = f"{order}IIIII" if kind == _ENHANCED_PACKET else f"{order}HxxIIII"
    number, high, low, captured, wire = struct.unpack_from(form, buffer, at + 8)
    return number, high << 32 | low, head, captured, wire


def _options(order: str, buffer: bytes, at: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of each option, up to the one that ends them."""
    unpack = struct.Struct(f"{order}HH").unpack_from
    while at + _OPTION <= stop:
        code, length = unpack(buffer, at)
        value = at + _OPTION
        if code == 0 or value + length > stop:
            return
        yield code, buffer[value : value + length]
        at = value + (length + 3 & ~3)


def _fcs_of(order: str, buffer: bytes, at: int, stop: int, usual: int) -> int:
    """Return the length of a frame's checksum: as its flags say, else as its interface's."""
    for code, value in _options(order, buffer, at, stop):
        if code == _OPTION_FLAGS and len(value) == _FLAGS_SIZE:
            flags: int = struct.unpack(f"{order}I", value)[0]
            return flags >> 5 & 0xF or usual
    return usual
