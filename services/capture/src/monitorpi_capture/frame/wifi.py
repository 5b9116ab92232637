"""802.11 frames as the Ethernet frames they would be behind an access point. Pure.

IEEE 802.11-2020, 9.2 and 9.3. A data frame has its addresses where its DS bits say; behind its
header stand LLC and SNAP with an EtherType, where it is not encrypted. Of an aggregate (A-MSDU)
the first part is looked at: it is one frame on the air. Management and control frames are the
air's own business: they count for the wire only, or the beacons of a neighbourhood would be a
storm of broadcasts.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_FCS: Final = 4
_RADIOTAP_HEADER: Final = 8
_MORE_FIELDS: Final = 0x80
_TSFT: Final = 0x01
_FLAGS: Final = 0x02
_HAS_FCS: Final = 0x10
_IS_PADDED: Final = 0x20
_BAD_FCS: Final = 0x40
_MAX_WORDS: Final = 32
"""Words of fields in a radiotap header; there are a few."""

_HEADER: Final = 24
_DATA: Final = 2
_NO_DATA: Final = 0x40
_QOS: Final = 0x80
_TO_DS: Final = 0x01
_FROM_DS: Final = 0x02
_MORE_FRAGMENTS: Final = 0x04
_PROTECTED: Final = 0x40
_HTC: Final = 0x80
_AMSDU: Final = 0x80
_MAC: Final = 6
_LENGTH: Final = 2
_SUBFRAME: Final = 14
_SNAP: Final = (b"\xaa\xaa\x03\x00\x00\x00", b"\xaa\xaa\x03\x00\x00\xf8")
"""RFC 1042, and bridge tunnels (IEEE 802.1H)."""
_NO_TYPE: Final = b"\0\0"


class Framed(NamedTuple):
    """A frame with an Ethernet header in place of its own."""

    data: bytes
    """From the destination MAC on; empty: it has no MACs that count."""
    wire_length: int
    """Of ``data``, had nothing been cut off."""
    size: int
    """Bytes on the air, without radiotap header and checksum."""
    is_malformed: bool = False


def behind_radiotap(data: bytes, length: int) -> tuple[bytes, int, bool] | None:
    """Return the 802.11 frame behind a radiotap header (radiotap.org), and whether it came whole.

    Returns:
        The frame without its checksum, its length, False if that was wrong; None: no header.

    """
    if len(data) < _RADIOTAP_HEADER or data[0]:
        return None
    (header,) = struct.unpack_from("<H", data, 2)
    if not _RADIOTAP_HEADER <= header <= len(data):
        return None
    at = 4
    for _ in range(_MAX_WORDS):
        if at + 4 > header:
            return None
        at += 4
        if not data[at - 1] & _MORE_FIELDS:
            break
    flags = 0
    if data[4] & _FLAGS:
        if data[4] & _TSFT:
            at = (at + 7 & ~7) + 8
        flags = data[at] if at < header else 0
    frame, left = data[header:], length - header
    if flags & _HAS_FCS:
        left = max(left - _FCS, 0)
        frame = frame[:left]
    if flags & _IS_PADDED:
        inner = _header_of(frame)
        frame = frame[:inner] + frame[inner + 3 & ~3 :]
        left -= -inner % 4
    return frame, max(left, len(frame)), not flags & _BAD_FCS


def _header_of(frame: bytes) -> int:
    """Return the length of a data frame's header."""
    if len(frame) < 2 or frame[0] >> 2 & 3 != _DATA:  # noqa: PLR2004 - frame control
        return _HEADER
    both = frame[1] & (_TO_DS | _FROM_DS) == _TO_DS | _FROM_DS
    header = _HEADER + (_MAC if both else 0)
    if frame[0] & _QOS:
        header += 2 + (4 if frame[1] & _HTC else 0)
    return header


def as_ethernet(frame: bytes, length: int) -> Framed:
    """Return a frame of 802.11 as one of Ethernet.

    Args:
        frame: from its frame control on, as much as was captured.
        length: its length on the air, without checksum.

    """
    if len(frame) < 2:  # noqa: PLR2004 - frame control
        return Framed(b"", 0, length, is_malformed=length < 2)  # noqa: PLR2004
    first, flags = frame[0], frame[1]
    header = _header_of(frame)
    if first >> 2 & 3 != _DATA:
        return Framed(b"", 0, length)
    if len(frame) < header:
        return Framed(b"", 0, length, is_malformed=length < header)
    one, two, three, four = (frame[at : at + _MAC] for at in (4, 10, 16, 24))
    match flags & (_TO_DS | _FROM_DS):
        case 0:
            macs = one + two
        case 1:
            macs = three + two
        case 2:
            macs = one + three
        case _:
            macs = three + four
    opaque = Framed(macs + _NO_TYPE, len(macs) + 2, length)
    is_later = frame[22] & 0x0F
    if first & _NO_DATA or flags & _PROTECTED or flags & _MORE_FRAGMENTS or is_later:
        return opaque
    if first & _QOS and frame[header - (6 if flags & _HTC else 2)] & _AMSDU:
        header += _SUBFRAME
    payload = header + len(_SNAP[0])
    if frame[header:payload] not in _SNAP or len(frame) < payload + _LENGTH:
        return opaque
    return Framed(macs + frame[payload:], len(macs) + length - payload, length)
