"""Reads pcap and pcapng streams frame by frame, in flat memory, from files and pipes.

Theory of operation. The format is told by the first four bytes, never by the name. A broken
header is refused with :class:`CaptureFileError`; once frames came, a broken or cut record ends the
stream and is told in :attr:`CaptureFile.notes`, since what was captured before it is good. Every
size a file claims is checked against a limit before anything of that size is read.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; link types: the registry of
draft-ietf-opsawg-pcaplinktype.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

LINK_NULL: Final = 0
LINK_ETHERNET: Final = 1
LINK_RAW: Final = 101
LINK_LOOP: Final = 108
LINK_SLL: Final = 113
LINK_IPV4: Final = 228
LINK_IPV6: Final = 229
LINK_SLL2: Final = 276
SUPPORTED: Final = {
    LINK_NULL: "BSD loopback",
    LINK_ETHERNET: "Ethernet",
    LINK_RAW: "raw IP",
    LINK_LOOP: "OpenBSD loopback",
    LINK_SLL: "Linux cooked",
    LINK_IPV4: "raw IPv4",
    LINK_IPV6: "raw IPv6",
    LINK_SLL2: "Linux cooked v2",
}
_RAW_ON_DISK: Final = {12: LINK_RAW, 14: LINK_RAW}
"""Values some systems wrote for raw IP (their DLT_RAW instead of the registry's number)."""

MAX_FRAME: Final = 262_144
"""The largest frame libpcap writes (its MAXIMUM_SNAPLEN)."""
MAX_BLOCK: Final = 16 * 1024 * 1024
"""The largest pcapng block that is read (Wireshark's limit); options of a frame count in it."""
_MAX_INTERFACES: Final = 4096
_MAX_LENGTH: Final = 0x7FFF_FFFF
_CHUNK: Final = 1 << 20
_RECORD: Final = 16
_BLOCK: Final = 12
"""Type and length before a block's body and the length again behind it."""
_INTERFACE_BODY: Final = 8
_PACKET_BODY: Final = 20
_SIMPLE_BODY: Final = 4
_OFFSET_SIZE: Final = 8

_PCAP_MAGIC: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE: Final = 1
_OLD_PACKET: Final = 2
_SIMPLE_PACKET: Final = 3
_ENHANCED_PACKET: Final = 6
_PACKETS: Final = frozenset({_OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET})
_OPTION_TSRESOL: Final = 9
_OPTION_TSOFFSET: Final = 14
_ORDER: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_MAX_YEAR_S: Final = 253_339_228_799.0
"""31 December 9997: the contract's last year is left for what ends after the last frame."""


class ByteStream(Protocol):
    """Where a capture comes from."""

    def read(self, size: int, /) -> bytes:
        """Return some bytes, at most ``size``; none at the end."""
        ...


class CaptureFileError(Exception):
    """The stream is no capture file we can read; the text is one line for people."""


class Frame(NamedTuple):
    """One captured frame."""

    at_s: float | None
    """Seconds since 1970; None where the file has no time for it (simple packet blocks)."""
    link: int
    data: bytes
    wire_length: int


@dataclass(slots=True)
class _Interface:
    """One interface of a pcapng section."""

    link: int
    snaplen: int
    tick_s: float
    offset_s: int


class CaptureFile:
    """An iterator over the frames of one stream.

    Raises:
        CaptureFileError: from the constructor, when the stream is not a capture.

    """

    def __init__(self, stream: ByteStream, name: str) -> None:
        self.notes: list[str] = []
        """What was wrong with the stream, one line each; complete after the last frame."""
        self.skipped = 0
        """Frames of link types that are not understood."""
        self._stream = stream
        self._name = name
        self._buffer = b""
        self._at = 0
        magic = self._peek(4)
        if not magic:
            raise CaptureFileError(f"{name} is empty: give a pcap or pcapng file")
        if magic in _PCAP_MAGIC:
            self._frames = self._pcap(*_PCAP_MAGIC[magic])
        elif magic == _PCAPNG_MAGIC:
            self._frames = self._pcapng()
        else:
            raise CaptureFileError(
                f"{name} is no capture file (it begins with {magic.hex()}): give a pcap or pcapng"
                + (" file; unpack it first" if magic[:2] == b"\x1f\x8b" else " file")
            )

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    # --- bytes --------------------------------------------------------------------------------

    def _fill(self, size: int) -> bool:
        """Make ``size`` bytes available from the current position; False at the end."""
        left = len(self._buffer) - self._at
        if left >= size:
            return True
        parts = [self._buffer[self._at :]]
        self._at = 0
        while left < size:
            try:
                part = self._stream.read(max(_CHUNK, size - left))
            except OSError as error:
                self._note(f"reading failed: {error.strerror}")
                part = b""
            if not part:
                break
            parts.append(part)
            left += len(part)
        self._buffer = b"".join(parts)
        return left >= size

    def _peek(self, size: int) -> bytes:
        self._fill(size)
        return self._buffer[self._at : self._at + size]

    def _left(self) -> bool:
        return self._fill(1)

    def _skip(self, size: int) -> bool:
        """Move on without keeping what is passed; False when the stream ended before."""
        while size:
            if not self._left():
                return False
            step = min(size, len(self._buffer) - self._at)
            self._at += step
            size -= step
        return True

    def _note(self, text: str) -> None:
        self.notes.append(f"{self._name}: {text}")

    # --- pcap ---------------------------------------------------------------------------------

    def _pcap(self, order: str, tick_s: float) -> Iterator[Frame]:
        header = struct.Struct(f"{order}HHiIII")
        if not self._fill(24):
            raise CaptureFileError(f"{self._name} ends within its header: nothing to read")
        network = header.unpack_from(self._buffer, self._at + 4)[5] & 0xFFFF
        self._at += 24
        link = _RAW_ON_DISK.get(network, network)
        if link not in SUPPORTED:
            raise CaptureFileError(self._unsupported(link))
        return self._records(struct.Struct(f"{order}IIII"), tick_s, link)

    def _unsupported(self, link: int) -> str:
        known = ", ".join(f"{name} ({number})" for number, name in SUPPORTED.items())
        return f"{self._name} holds frames of link type {link}; understood are {known}"

    def _records(self, record: struct.Struct, tick_s: float, link: int) -> Iterator[Frame]:
        unpack = record.unpack_from
        while True:
            if len(self._buffer) - self._at < _RECORD and not self._fill(_RECORD):
                if self._left():
                    self._note("ends within the header of a frame; read up to there")
                return
            seconds, ticks, captured, length = unpack(self._buffer, self._at)
            if captured > MAX_FRAME:
                self._note(f"claims a frame of {captured} bytes: broken; read up to there")
                return
            stop = self._at + _RECORD + captured
            if stop > len(self._buffer):
                if not self._fill(_RECORD + captured):
                    self._note("ends within a frame; read up to there")
                    return
                stop = self._at + _RECORD + captured
            data = self._buffer[self._at + _RECORD : stop]
            self._at = stop
            yield Frame(seconds + ticks * tick_s, link, data, max(captured, length))

    # --- pcapng -------------------------------------------------------------------------------

    def _pcapng(self) -> Iterator[Frame]:
        if not self._fill(28):
            raise CaptureFileError(f"{self._name} ends within its header: nothing to read")
        if self._buffer[self._at + 8 : self._at + 12] not in _ORDER:
            raise CaptureFileError(f"{self._name} has a broken pcapng header: nothing to read")
        return self._blocks()

    def _blocks(self) -> Iterator[Frame]:  # noqa: C901 - one way to be broken after another
        order = "<"
        interfaces: list[_Interface] = []
        while self._left():
            if not self._fill(_BLOCK):
                return self._note("ends within a block header; read up to there")
            if self._buffer[self._at : self._at + 4] == _PCAPNG_MAGIC:
                order = _ORDER.get(self._buffer[self._at + 8 : self._at + 12], "")
                interfaces = []
                if not order:
                    return self._note("has a section of unknown byte order; read up to there")
            kind, length = struct.unpack_from(f"{order}II", self._buffer, self._at)
            broken = self._take_block(kind, length)
            if broken is not None:
                return self._note(f"{broken}; read up to there")
            start, size = self._at - length + 8, length - _BLOCK
            if kind == _INTERFACE:
                if len(interfaces) >= _MAX_INTERFACES:
                    return self._note("has too many interfaces; read up to there")
                interfaces.append(self._interface(order, start, size))
            elif kind in _PACKETS:
                frame = self._frame(order, kind, start, size, interfaces)
                if isinstance(frame, str):
                    return self._note(f"{frame}; read up to there")
                if frame is None:
                    self.skipped += 1
                else:
                    yield frame
        return None

    def _take_block(self, kind: int, length: int) -> str | None:
        """Move behind a block, its body still in the buffer if it is of use; text: it is broken."""
        if length < _BLOCK or length % 4 or length > _MAX_LENGTH:
            return f"claims a block of {length} bytes"
        if kind != _INTERFACE and kind not in _PACKETS:
            return None if self._skip(length) else "ends within a block"
        if length > MAX_BLOCK:
            return f"claims a block of {length} bytes"
        if not self._fill(length):
            return "ends within a block"
        self._at += length
        return None

    def _interface(self, order: str, start: int, size: int) -> _Interface:
        """Read an interface description; what is missing in it has the format's default."""
        one = _Interface(link=-1, snaplen=0, tick_s=1e-6, offset_s=0)
        if size < _INTERFACE_BODY:
            return one
        link, _, one.snaplen = struct.unpack_from(f"{order}HHI", self._buffer, start)
        one.link = _RAW_ON_DISK.get(link, link)
        at, stop = start + 8, start + size
        while at + 4 <= stop:
            code, length = struct.unpack_from(f"{order}HH", self._buffer, at)
            value = self._buffer[at + 4 : at + 4 + length]
            if code == 0 or at + 4 + length > stop:
                break
            if code == _OPTION_TSRESOL and length == 1:
                one.tick_s = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
            elif code == _OPTION_TSOFFSET and length == _OFFSET_SIZE:
                one.offset_s = struct.unpack(f"{order}q", value)[0]
            at += 4 + (length + 3 & ~3)
        if one.link not in SUPPORTED:
            self._note(f"frames of link type {one.link} are skipped")
        return one

    def _frame(
        self, order: str, kind: int, start: int, size: int, interfaces: list[_Interface]
    ) -> Frame | str | None:
        """Read a frame; text: what is broken; None: a link type that is not understood."""
        at_s: float | None = None
        ticks = 0
        if kind == _SIMPLE_PACKET:
            if size < _SIMPLE_BODY:
                return "has a broken frame block"
            number, head = 0, _SIMPLE_BODY
            (length,) = struct.unpack_from(f"{order}I", self._buffer, start)
            captured = min(length, size - _SIMPLE_BODY)
        else:
            if size < _PACKET_BODY:
                return "has a broken frame block"
            head = _PACKET_BODY
            form = f"{order}IIIII" if kind == _ENHANCED_PACKET else f"{order}HxxIIII"
            number, high, low, captured, length = struct.unpack_from(form, self._buffer, start)
            ticks = high << 32 | low
        if number >= len(interfaces):
            return f"has a frame of interface {number}, which it does not describe"
        interface = interfaces[number]
        if kind == _SIMPLE_PACKET:
            if interface.snaplen:
                captured = min(captured, interface.snaplen)
        else:
            at_s = ticks * interface.tick_s + interface.offset_s
            at_s = min(max(at_s, 0.0), _MAX_YEAR_S)
        if captured > min(size - head, MAX_FRAME):
            return f"claims a frame of {captured} bytes"
        if interface.link not in SUPPORTED:
            return None
        data = self._buffer[start + head : start + head + captured]
        return Frame(at_s, interface.link, data, max(length, captured))
