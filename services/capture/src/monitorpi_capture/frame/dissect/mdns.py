"""Multicast DNS (RFC 6762): a host's own name. Pure."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.dissect.discovery import (
    IPV4_SIZE,
    IPV6_SIZE,
    UDP_HEADER,
    MalformedFrameError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.frame.dissect.discovery import DiscoveryFrame
    from monitorpi_capture.items import Sighting

_HEADER: Final = 12
_COUNTS: Final = Struct(">4H").unpack_from
_RECORD: Final = Struct(">HHIH").unpack_from
"""Type, class, time to live, length of the data (RFC 1035, 3.2.1)."""
_RECORD_SIZE: Final = 10
_QUESTION_SIZE: Final = 4
_ANSWERS: Final = 0x80
_INTERNET: Final = 1
_CLASS: Final = 0x7FFF
"""Without the bit that tells others to flush their caches (RFC 6762, 10.2)."""
_A: Final = 1
_AAAA: Final = 28
_POINTER: Final = 0xC0
_LONGEST: Final = 63
"""A label's longest; what is between this and a pointer is reserved (RFC 1035, 4.1.4)."""
_MAX_ENTRIES: Final = 64
"""Questions and records that are looked at: a host announces all of its services in one answer."""
_MAX_LABELS: Final = 8
"""Labels of a name that is put together: a host's has two."""
_MAX_WALKED: Final = 128
"""Labels of any name: 255 bytes hold no more (RFC 1035, 3.1)."""
_MAX_NAMES: Final = 4
"""Names that are put together in one frame: one host's are few, and mostly in ``.local``."""
_LOCAL: Final = "local"


def is_answer(data: bytes, transport: int) -> bool:
    """Return whether a UDP message is an answer, where the DNS header is at hand."""
    dns = transport + UDP_HEADER
    return len(data) >= dns + _HEADER and data[dns + 2] & _ANSWERS != 0


def read(frame: DiscoveryFrame) -> Iterator[Sighting]:
    """Read the name of an address record for the address the frame came from.

    Others' records are not believed: reflectors repeat what they get elsewhere.

    Raises:
        MalformedFrameError: the records are broken.

    """
    start, stop, in_part = frame.udp_payload()
    body = frame.data[start:stop]
    if len(body) < _HEADER:
        raise MalformedFrameError
    name = _own_name(body, _own(frame), in_part=in_part)
    if name is not None:
        yield frame.sighting("mdns", hostname=name)


def _own(frame: DiscoveryFrame) -> tuple[int, bytes]:
    """Return the type of record that is for the frame's source address, and that."""
    at = frame.network
    if frame.data[at] >> 4 == 4:  # noqa: PLR2004 - the IP version
        return _A, frame.data[at + 12 : at + 12 + IPV4_SIZE]
    return _AAAA, frame.data[at + 8 : at + 8 + IPV6_SIZE]


def _own_name(body: bytes, own: tuple[int, bytes], *, in_part: bool) -> str | None:
    """Return the first name in ``.local`` that a living record gives to an address.

    Raises:
        MalformedFrameError: a record runs over the end of a whole message.

    """
    questions, *records = _COUNTS(body, 4)
    at, left, names, stop = _HEADER, _MAX_ENTRIES, _MAX_NAMES, len(body)
    while questions and left:
        at = _behind_name(body, at) + _QUESTION_SIZE
        questions -= 1
        left -= 1
    for _ in range(min(sum(records), left)):
        begin, at = at, _behind_name(body, at)
        if at + _RECORD_SIZE > stop:
            break
        kind, group, lives_s, size = _RECORD(body, at)
        at += _RECORD_SIZE
        if at + size > stop:
            break
        if (kind, body[at : at + size]) == own and group & _CLASS == _INTERNET and lives_s:
            name = _local_name(body, begin)
            names -= 1
            if name is not None or not names:
                return name
        at += size
    else:
        return None
    if in_part:
        return None
    raise MalformedFrameError


def _behind_name(body: bytes, at: int) -> int:
    """Return where a name ends, without following pointers.

    Raises:
        MalformedFrameError: it runs over the end.

    """
    stop = len(body)
    for _ in range(_MAX_WALKED):
        if at >= stop:
            break
        size = body[at]
        if size >= _POINTER:
            return at + 2
        if size > _LONGEST:
            break
        at += size + 1
        if not size:
            return at
    raise MalformedFrameError


def _local_name(body: bytes, at: int) -> str | None:
    """Return a host's name without ``.local``, None where it is no such name.

    Pointers lead back only (RFC 1035, 4.1.4: to a prior occurrence), so that there is no circle.
    """
    labels: list[bytes] = []
    stop = len(body)
    while at + 1 < stop and len(labels) <= _MAX_LABELS:
        size = body[at]
        if size >= _POINTER:
            target = (size & 0x3F) << 8 | body[at + 1]
            if target >= at:
                return None
            at = target
        elif 0 < size <= _LONGEST:
            labels.append(body[at + 1 : at + 1 + size])
            at += size + 1
        else:
            break
    text = [label.decode("utf-8", "replace") for label in labels]
    if len(text) < 2 or text[-1].lower() != _LOCAL:  # noqa: PLR2004 - a name and "local"
        return None
    return ".".join(text[:-1])
