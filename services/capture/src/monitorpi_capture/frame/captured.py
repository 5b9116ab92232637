"""One captured frame, as readers of files hand it over."""

from __future__ import annotations

from typing import Final, NamedTuple

from monitorpi_capture.frame.linktypes import LINK_RADIOTAP

MAX_FRAME: Final = 262_144
"""The largest frame libpcap writes (its MAXIMUM_SNAPLEN)."""
_FLAGS_AT: Final = 4
_HAS_FLAGS: Final = 0x02


class Frame(NamedTuple):
    """One captured frame, without its checksum."""

    at_s: float | None
    """Seconds since 1970; None where the file has no time for it (simple packet blocks).
    Zero may mean the same."""
    link: int
    data: bytes
    wire_length: int


def without_fcs(link: int, data: bytes, length: int, fcs: int) -> tuple[bytes, int]:
    """Take the checksum off a frame's end; a capture may have cut it off, or a part of it.

    A radiotap header that has flags says itself whether there is one, and is left alone.
    """
    if link == LINK_RADIOTAP and data[_FLAGS_AT : _FLAGS_AT + 1] and data[_FLAGS_AT] & _HAS_FLAGS:
        return data, length
    length = max(length - fcs, 0)
    return data[:length], length
