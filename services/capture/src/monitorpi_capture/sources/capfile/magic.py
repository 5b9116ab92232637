"""How capture files begin."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_capture.sources.capfile.instream import InStream

PCAP_RECORD: Final = 16
_MODIFIED_RECORD: Final = 24
"""With interface, protocol and direction behind (Alexey Kuznetzov's patch of libpcap)."""
PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e6, PCAP_RECORD),
    b"\xa1\xb2\xc3\xd4": (">", 1e6, PCAP_RECORD),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9, PCAP_RECORD),
    b"\xa1\xb2\x3c\x4d": (">", 1e9, PCAP_RECORD),
    b"\x34\xcd\xb2\xa1": ("<", 1e6, _MODIFIED_RECORD),
    b"\xa1\xb2\xcd\x34": (">", 1e6, _MODIFIED_RECORD),
}
"""Byte order, ticks in a second and bytes of a record's head."""
PCAP_HEADER: Final = 24
PCAP_VERSION: Final = (2, 4)
PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
PCAPNG_HEADER: Final = 28
BYTE_ORDER: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}


def is_pcap(stream: InStream) -> bool:
    """Return whether, within a stream, a pcap file begins at the current position."""
    begin = stream.peek(8)
    if begin[:4] not in PCAP or len(begin) < 8:  # noqa: PLR2004 - up to the version
        return False
    version = struct.unpack_from(f"{PCAP[begin[:4]][0]}HH", begin, 4)
    return PCAP_VERSION >= version >= (PCAP_VERSION[0], 0)


def is_pcapng(stream: InStream) -> bool:
    """Return whether a pcapng section begins at the current position."""
    begin = stream.peek(12)
    return begin[:4] == PCAPNG and begin[8:] in BYTE_ORDER
