"""The records of a pcap file: draft-ietf-opsawg-pcap, and the variants that are about."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.frame.captured import MAX_FRAME, Frame, without_fcs
from monitorpi_capture.frame.linktypes import SUPPORTED, of_disk
from monitorpi_capture.sources.capfile.magic import (
    PCAP,
    PCAP_HEADER,
    PCAP_RECORD,
    PCAP_VERSION,
    PCAPNG,
    is_pcap,
    is_pcapng,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.sources.capfile.findings import Findings
    from monitorpi_capture.sources.capfile.instream import InStream

_MAX_SKIPPED: Final = 128 * 1024 * 1024
"""The largest frame of any link type (libpcap's max_snaplen_for_dlt: D-Bus, USB)."""
_ORDERED_SINCE: Final = (2, 3)
"""Older files have captured and original length the other way round (libpcap, sf-pcap.c)."""
_MAGICS: Final = (*PCAP, PCAPNG)
_RESERVED: Final = 0x03FF_0000
_HAS_FCS: Final = 0x0400_0000


class Header(NamedTuple):
    """What the header of a file says of its records."""

    order: str
    ticks_per_s: float
    record: int
    """Bytes of a record's head."""
    link: int
    fcs: int
    """Bytes of the checksum at the end of each frame."""
    is_ordered: bool


def header(stream: InStream, findings: Findings) -> Header | None:
    """Read the header at the current position; None where it is not all there."""
    if not stream.fill(PCAP_HEADER):
        return None
    order, ticks_per_s, record = PCAP[stream.peek(4)]
    major, minor, _, _, _, network = struct.unpack_from(
        f"{order}HHiIII", stream.buffer, stream.at + 4
    )
    if major != PCAP_VERSION[0] or minor > PCAP_VERSION[1]:
        findings.note("version", f"says that it is pcap {major}.{minor}, read as 2.4,")
    if network & _RESERVED:
        findings.note("reserved", f"has reserved bits set in its link type (0x{network:08x})")
    link = of_disk(network & 0xFFFF)
    if link not in SUPPORTED:
        findings.unsupported(link)
    stream.at += PCAP_HEADER
    fcs = 2 * (network >> 28) if network & _HAS_FCS else 0
    ordered = major != PCAP_VERSION[0] or (major, minor) > _ORDERED_SINCE
    return Header(order, ticks_per_s, record, link, fcs, ordered)


def records(  # noqa: C901 - once per frame: a loop without calls
    stream: InStream, head: Header, findings: Findings
) -> Iterator[Frame]:
    """Yield the frames up to the end, to damage, or to something that is no record."""
    _, ticks_per_s, record, link, fcs, ordered = head
    unpack = struct.Struct(f"{head.order}IIII").unpack_from
    if link not in SUPPORTED:
        _skip(stream, head, findings)
        return
    buffer, at, size = stream.buffer, stream.at, len(stream.buffer)
    frames = findings.frames
    odd = _odd_seconds(head)
    while True:
        start = at + record
        if start > size:
            stream.at, findings.frames = at, frames
            if not stream.fill(record):
                if stream.peek(1):
                    findings.stop("ends within the header of a frame")
                return
            buffer, at, size = stream.buffer, stream.at, len(stream.buffer)
            start = at + record
        seconds, ticks, captured, length = unpack(buffer, at)
        if seconds in odd or not 0 < captured <= MAX_FRAME:
            stream.at, findings.frames = at, frames
            if _is_no_record(stream, captured, findings):
                return
        if not ordered and captured > length:
            captured, length = length, captured
        stop = start + captured
        if stop > size:
            stream.at, findings.frames = at, frames
            if not stream.fill(record + captured):
                findings.stop("ends within a frame")
                return
            buffer, at, size = stream.buffer, stream.at, len(stream.buffer)
            start = at + record
            stop = start + captured
        data = buffer[start:stop]
        at = stop
        frames += 1
        length = max(length, captured)
        if fcs:
            data, length = without_fcs(link, data, length, fcs)
        yield Frame(seconds + ticks / ticks_per_s, link, data, length)


def _is_no_record(stream: InStream, captured: int, findings: Findings) -> bool:
    """Return whether something else stands where a record should be; damage is reported."""
    if _begins_else(stream):
        return True
    if captured > MAX_FRAME:
        findings.stop(f"claims a frame of {captured:,} bytes")
        return True
    return False


def _odd_seconds(head: Header) -> set[int]:
    """Return what the seconds of a record are where another file begins in its place."""
    return {int.from_bytes(magic, "little" if head.order == "<" else "big") for magic in _MAGICS}


def _begins_else(stream: InStream) -> bool:
    """Return whether zeros or another file begin here: what comes of that is for others."""
    return stream.peek(PCAP_RECORD) == bytes(PCAP_RECORD) or is_pcap(stream) or is_pcapng(stream)


def _skip(stream: InStream, head: Header, findings: Findings) -> None:
    """Move behind the records of a link type that is not understood."""
    unpack = struct.Struct(f"{head.order}IIII").unpack_from
    odd = _odd_seconds(head)
    while stream.fill(head.record):
        seconds, _, captured, _ = unpack(stream.buffer, stream.at)
        if (seconds in odd or not captured) and _begins_else(stream):
            return
        if captured > _MAX_SKIPPED:
            findings.stop(f"claims a frame of {captured:,} bytes")
            return
        if not stream.skip(head.record + captured):
            findings.stop("ends within a frame")
            return
        findings.skip(head.link)
    if stream.peek(1):
        findings.stop("ends within the header of a frame")
