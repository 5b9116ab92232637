"""Counts frames where they lie in a ring, many at a time. Pure; the packet socket's engine uses it.

Theory of operation. Nearly all frames of a LAN, and of a flood, are IPv4 without options, without
fragments and with a whole TCP, UDP or ICMP header. Of these everything that counts lies at fixed
places: one :meth:`struct.Struct.unpack_from` reads it, a few comparisons prove that the frame is of
that kind, and two tables give its classes, as :func:`~monitorpi_capture.frame.classify.classify`
would (a test holds the two together). Such a frame costs a look-up of (both MACs, classes), a SYN
or echo request one more of what it was aimed at; what came together is counted together when it is
folded. Every other frame is given to whoever asked, whole, to be classified as ever.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.frame.classify import (
    BROADCAST,
    FLAGS,
    FLOOD,
    ICMP_ECHO,
    MULTICAST,
    SYN,
    TCP_PORTS,
    UDP4_PORTS,
    VLAN,
)
from monitorpi_capture.items import CLASS_BIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from monitorpi_capture.count.tally import Tally

    Buffer = bytes | memoryview | mmap

MOST: Final = 8192
"""Pairs and ends that are held before they are folded; about 2 MB each."""
_IPV4: Final = b"\x08\x00\x45"
"""EtherType, version 4 and a header of five words."""
_ALL_ONES: Final = b"\xff" * 6
_ETHERNET: Final = 14
_HEADER: Final = 20
"""Bytes of IPv4's header, and the least that TCP's has."""
_LEAST: Final = _HEADER + 8
"""Of a packet: IPv4's header and that of UDP or ICMP."""
_NEEDED: Final = 48
"""Bytes of a frame that are read: up to the flags of TCP."""


def _native(value: int) -> int:
    """Return how a 16-bit number of the wire reads in this machine's byte order."""
    return int.from_bytes(value.to_bytes(2, "big"), sys.byteorder)


_PLACE: Final = _native(0x3FFF)
"""Of the fragment's word: more fragments, and the offset."""
_FIRST_BYTE: Final = _native(0xFF00)
_ECHO: Final = _native(0x0800)
_TCP: Final = {_native(port): mask for port, mask in TCP_PORTS.items()}
_UDP: Final = {_native(port): mask for port, mask in UDP4_PORTS.items()}
_TCP4: Final = CLASS_BIT["ipv4"] | CLASS_BIT["tcp"]
_UDP4: Final = CLASS_BIT["ipv4"] | CLASS_BIT["udp"]
_ICMP4: Final = CLASS_BIT["ipv4"] | CLASS_BIT["icmp"]
_DISCOVERY: Final = CLASS_BIT["dhcp"] | CLASS_BIT["mdns"]


class Layout(NamedTuple):
    """Where a ring puts what: offsets from the start of an entry, in bytes."""

    following: int
    """The distance to the next entry, 32 bits."""
    length: int
    """The frame's bytes on the wire, 32 bits, and behind them the status."""
    merged: int
    """A byte that is not 0 where receive offload merged frames."""
    frame: int
    """The frame: the same for all entries."""
    tag_out: int
    """In the status: a VLAN tag was taken out."""


class RingCounts:
    """Frames of one interface that were counted but not folded yet."""

    def __init__(self, layout: Layout, other: Callable[[int], None]) -> None:
        """Take where what lies, and who counts the frame of an entry that is not ordinary."""
        self._layout = layout
        self._other = other
        self._entry = struct.Struct(
            f"={layout.following}xI"
            f"{layout.length - layout.following - 4}xII"
            f"{layout.merged - layout.length - 8}xB"
            f"{layout.frame - layout.merged - 1}x12s3sxBB2xHxB2x8sHHBB4xxxBB"
        )
        self._pairs: dict[tuple[bytes, int], list[int]] = {}
        self._ends: dict[tuple[bytes, int, bytes, int], int] = {}

    def read(self, memory: Buffer, place: int, frames: int) -> None:  # noqa: C901, PLR0912 - once per frame: no calls it can do without
        """Count a block of frames, from the place of its first entry.

        The last one is not read here, as what is read beyond it may not be there.
        """
        unpack, other, pairs, ends = self._entry.unpack_from, self._other, self._pairs, self._ends
        tag_out = self._layout.tag_out
        for _ in range(frames - 1):
            (
                following, length, status, merged, macs, kind, total_h, total_l, fragment, protocol,
                ips, src_port, dst_port, byte_4, byte_5, offset, flags,
            ) = unpack(memory, place)  # fmt: skip
            total, mask = total_h << 8 | total_l, 0
            if (
                kind == _IPV4 and not merged and not fragment & _PLACE
                and _LEAST <= total <= length - _ETHERNET and length >= _NEEDED
            ):  # fmt: skip
                if protocol == 6:  # noqa: PLR2004 - TCP
                    if _HEADER <= offset >> 2 & 0x3C <= total - _HEADER:
                        mask = _TCP4 | FLAGS[flags]
                        mask |= _TCP.get(src_port, 0) | _TCP.get(dst_port, 0)
                elif protocol == 17:  # noqa: PLR2004 - UDP
                    size = byte_4 << 8 | byte_5
                    if not size or _LEAST <= size + _HEADER <= total:
                        mask = _UDP4 | _UDP.get(src_port, 0) | _UDP.get(dst_port, 0)
                elif protocol == 1:
                    mask = _ICMP4 | ICMP_ECHO if src_port & _FIRST_BYTE == _ECHO else _ICMP4
            if not mask or mask & _DISCOVERY:
                other(place)
                place += following
                continue
            place += following
            if macs[0] & 1:
                mask |= BROADCAST if macs[:6] == _ALL_ONES else MULTICAST
            if status & tag_out:
                mask |= VLAN
                length += 4
            pair = pairs.get((macs, mask))
            if pair is None:
                pairs[macs, mask] = [1, length]
            else:
                pair[0] += 1
                pair[1] += length
            if mask & FLOOD:
                end = (macs, mask, ips, dst_port)
                ends[end] = ends.get(end, 0) + 1
        if frames:
            other(place)

    def fold(self, tally: Tally, most: int = MOST) -> None:
        """Hand over what was counted, where it is more than this."""
        if len(self._pairs) > most:
            for (macs, mask), (frames, size) in self._pairs.items():
                tally.add_pair(macs, mask, size, frames)
            self._pairs.clear()
        if len(self._ends) > most:
            for (macs, mask, ips, port), frames in self._ends.items():
                target = _native(port) if mask & SYN else 0
                tally.add_flood(macs, (ips[:4], ips[4:], target), frames, syn=bool(mask & SYN))
            self._ends.clear()
