"""One frame's bytes -> the classes it counts for, as docs/counting.md says. Pure.

The function runs once per frame: hence plain integers, tables made at import and no objects. The
result is a triple: the class mask (bit ``i`` is ``CLASSES[i]``), the offset of the IP header and
the offset of the transport header (0 where there is none that can be read).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from monitorpi_capture.items import CLASS_BIT
from monitorpi_common.messages import CLASSES

Classified: TypeAlias = tuple[int, int, int]
"""Class mask, offset of the IP header or 0, offset of a readable transport header or 0."""

ETHERNET_HEADER: Final = 14

BROADCAST: Final = CLASS_BIT["broadcast"]
MULTICAST: Final = CLASS_BIT["multicast"]
_ARP: Final = CLASS_BIT["arp"]
_ICMP: Final = CLASS_BIT["icmp"]
_ICMP_ECHO: Final = CLASS_BIT["icmp_echo"]
_IGMP: Final = CLASS_BIT["igmp"]
_TCP: Final = CLASS_BIT["tcp"]
_UDP: Final = CLASS_BIT["udp"]
_IPV4: Final = CLASS_BIT["ipv4"]
_IPV6: Final = CLASS_BIT["ipv6"]
VLAN: Final = CLASS_BIT["vlan"]
_FRAGMENT: Final = CLASS_BIT["fragment"]
_MALFORMED: Final = CLASS_BIT["malformed"]
SYN: Final = CLASS_BIT["syn"]
ICMP_ECHO: Final = _ICMP_ECHO
FLOOD: Final = SYN | ICMP_ECHO
"""The classes whose frames are also looked at for spread and top peers."""

_ALL_ONES: Final = b"\xff" * 6
_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
"""802.1Q, 802.1ad and the pre-standard service tag (IEEE 802 numbers)."""
_MAX_TAGS: Final = 2
_TYPE_IPV4: Final = 0x0800
_TYPE_ARP: Final = 0x0806
_TYPE_IPV6: Final = 0x86DD
_TYPE_PPPOE: Final = 0x8864
"""The session stage of PPPoE (RFC 2516); discovery has a type of its own and carries nothing."""
_PPPOE_HEADER: Final = 8
"""With the protocol number of PPP behind it."""
_PPPOE_DATA: Final = b"\x11\x00"
"""Version 1, type 1, code 0."""
_PPP_IPV4: Final = 0x0021
_PPP_IPV6: Final = 0x0057
_ARP_HEADER: Final = 8

_P_ICMP: Final = 1
_P_IGMP: Final = 2
_P_TCP: Final = 6
_P_UDP: Final = 17
_P_FRAGMENT: Final = 44
_P_AUTHENTICATION: Final = 51
_P_ICMPV6: Final = 58
_EXTENSIONS: Final = frozenset({0, 43, 44, 51, 60, 135, 139, 140})
"""IPv6 extension headers with a next-header field (IANA registry; ESP and "no next" end it)."""
_MAX_EXTENSIONS: Final = 8
"""RFC 8504 section 5.3 lets a host limit the number; 8 is its default."""

_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_TCP_HEADER: Final = 20
_UDP_HEADER: Final = 8
_MLD: Final = frozenset({130, 131, 132, 143})


def _flag_classes(flags: int) -> int:
    """Return the classes of a TCP flag byte."""
    mask = 0
    if flags & 0x02:
        mask |= CLASS_BIT["syn_ack"] if flags & 0x10 else SYN
    if flags & 0x04:
        mask |= CLASS_BIT["rst"]
    if flags & 0x01:
        mask |= CLASS_BIT["fin"]
    return mask


FLAGS: Final = tuple(_flag_classes(flags) for flags in range(256))
TCP_PORTS: Final = {
    53: CLASS_BIT["dns"],
    80: CLASS_BIT["http"],
    443: CLASS_BIT["https"],
}
_UDP_PORTS: Final = {
    53: CLASS_BIT["dns"],
    443: CLASS_BIT["https"],
    5353: CLASS_BIT["mdns"],
}
UDP4_PORTS: Final = _UDP_PORTS | dict.fromkeys((67, 68), CLASS_BIT["dhcp"])
_UDP6_PORTS: Final = _UDP_PORTS | dict.fromkeys((546, 547), CLASS_BIT["dhcp"])
_ICMPV6_TYPES: Final = dict.fromkeys(_MLD, _IGMP) | {128: _ICMP_ECHO}


def classify(data: bytes, wire_length: int, stripped_tag: bool = False) -> Classified:
    """Return the classes of an Ethernet frame and where its headers are.

    Args:
        data: the frame from the destination MAC on, as much of it as was captured.
        wire_length: its length in bytes on the wire, at least ``len(data)``.
        stripped_tag: a VLAN tag was taken out before ``data`` was handed over.

    """
    if len(data) < ETHERNET_HEADER:
        return (_MALFORMED if wire_length < ETHERNET_HEADER else 0), 0, 0
    mask = VLAN if stripped_tag else 0
    if data[0] & 1:
        mask |= BROADCAST if data[:6] == _ALL_ONES else MULTICAST
    ether_type = data[12] << 8 | data[13]
    if ether_type == _TYPE_IPV4:
        return _ipv4(data, wire_length, ETHERNET_HEADER, mask)
    if ether_type in _TAGS:
        return _tagged(data, wire_length, ETHERNET_HEADER, mask | VLAN)
    return _network(data, wire_length, ether_type, ETHERNET_HEADER, mask)


def classify_packet(
    data: bytes, wire_length: int, ether_type: int, offset: int, mask: int = 0
) -> Classified:
    """Return the classes of a frame whose link layer is not Ethernet's (raw IP, Linux cooked).

    Args:
        data: the frame.
        wire_length: its length on the wire, at least ``len(data)``.
        ether_type: what the link layer said follows.
        offset: where that begins in ``data``.
        mask: what is known already, e.g. ``broadcast`` from a cooked header.

    """
    if ether_type in _TAGS:
        return _tagged(data, wire_length, offset, mask | VLAN)
    return _network(data, wire_length, ether_type, offset, mask)


def _tagged(data: bytes, end: int, offset: int, mask: int) -> Classified:
    """Look through the tags that stand in the data."""
    ether_type = 0
    for _ in range(_MAX_TAGS):
        if offset + 4 > end:
            return mask | _MALFORMED, 0, 0
        if offset + 4 > len(data):
            return mask, 0, 0
        ether_type = data[offset + 2] << 8 | data[offset + 3]
        offset += 4
        if ether_type not in _TAGS:
            break
    return _network(data, end, ether_type, offset, mask)


def _network(data: bytes, end: int, ether_type: int, offset: int, mask: int) -> Classified:
    if ether_type == _TYPE_IPV4:
        return _ipv4(data, end, offset, mask)
    if ether_type == _TYPE_IPV6:
        return _ipv6(data, end, offset, mask)
    if ether_type == _TYPE_ARP:
        return mask | _ARP | (_MALFORMED if offset + _ARP_HEADER > end else 0), 0, 0
    if ether_type == _TYPE_PPPOE:
        return _pppoe(data, end, offset, mask)
    return mask, 0, 0


def _pppoe(data: bytes, end: int, offset: int, mask: int) -> Classified:
    """Look through the header of a PPPoE session."""
    inner = offset + _PPPOE_HEADER
    if inner > end:
        return mask | _MALFORMED, 0, 0
    if inner > len(data) or data[offset : offset + 2] != _PPPOE_DATA:
        return mask, 0, 0
    protocol = data[inner - 2] << 8 | data[inner - 1]
    if protocol == _PPP_IPV4:
        return _ipv4(data, end, inner, mask)
    if protocol == _PPP_IPV6:
        return _ipv6(data, end, inner, mask)
    return mask, 0, 0


def _ipv4(  # noqa: C901 - once per frame: a parser without calls it can do without
    data: bytes, end: int, offset: int, mask: int
) -> Classified:
    if offset + _IPV4_HEADER > end:
        return mask | _MALFORMED, 0, 0
    if offset + _IPV4_HEADER > len(data):
        return mask, 0, 0
    header = (data[offset] & 15) * 4
    if data[offset] >> 4 != 4 or header < _IPV4_HEADER:  # noqa: PLR2004 - the IP version
        return mask | _MALFORMED, 0, 0
    mask |= _IPV4
    total = data[offset + 2] << 8 | data[offset + 3]
    stop = offset + total if total else end
    if offset + header > stop or stop > end:
        return mask | _MALFORMED, offset, 0
    place = (data[offset + 6] << 8 | data[offset + 7]) & 0x3FFF
    protocol = data[offset + 9]
    if place:
        mask |= _FRAGMENT
        if place & 0x1FFF:
            return mask | _later_fragment(protocol, _P_ICMP), offset, 0
    start = offset + header
    if protocol == _P_TCP:
        return _tcp(data, start, stop, mask, offset)
    if protocol == _P_UDP:
        return _udp(data, start, stop, mask, offset)
    if protocol == _P_ICMP:
        mask |= _ICMP
        if start + 8 > stop:
            return mask | _MALFORMED, offset, 0
        if start < len(data) and data[start] == 8:  # noqa: PLR2004 - echo request, RFC 792
            mask |= _ICMP_ECHO
        return mask, offset, start
    if protocol == _P_IGMP:
        mask |= _IGMP if start + 8 <= stop else _IGMP | _MALFORMED
    return mask, offset, 0


def _ipv6(  # noqa: C901, PLR0912 - once per frame: as above
    data: bytes, end: int, offset: int, mask: int
) -> Classified:
    if offset + _IPV6_HEADER > end:
        return mask | _MALFORMED, 0, 0
    if offset + _IPV6_HEADER > len(data):
        return mask, 0, 0
    if data[offset] >> 4 != 6:  # noqa: PLR2004 - the IP version
        return mask | _MALFORMED, 0, 0
    mask |= _IPV6
    length = data[offset + 4] << 8 | data[offset + 5]
    start = offset + _IPV6_HEADER
    stop = start + length if length else end
    if stop > end:
        return mask | _MALFORMED, offset, 0
    protocol = data[offset + 6]
    for _ in range(_MAX_EXTENSIONS):
        if protocol not in _EXTENSIONS:
            break
        if start + 8 > stop:
            return mask | _MALFORMED, offset, 0
        if start + 4 > len(data):
            return mask, offset, 0
        following = data[start]
        if protocol == _P_FRAGMENT:
            mask |= _FRAGMENT
            if (data[start + 2] << 8 | data[start + 3]) & 0xFFF8:
                return mask | _later_fragment(following, _P_ICMPV6), offset, 0
            start += 8
        elif protocol == _P_AUTHENTICATION:
            start += (data[start + 1] + 2) * 4
        else:
            start += (data[start + 1] + 1) * 8
        if start > stop:
            return mask | _MALFORMED, offset, 0
        protocol = following
    if protocol == _P_TCP:
        return _tcp(data, start, stop, mask, offset)
    if protocol == _P_UDP:
        return _udp(data, start, stop, mask, offset)
    if protocol == _P_ICMPV6:
        mask |= _ICMP
        if start + 4 > stop:
            return mask | _MALFORMED, offset, 0
        if start < len(data):
            mask |= _ICMPV6_TYPES.get(data[start], 0)
        return mask, offset, start
    return mask, offset, 0


def _later_fragment(protocol: int, icmp: int) -> int:
    """Return the class of a fragment that has no transport header."""
    if protocol == _P_TCP:
        return _TCP
    if protocol == _P_UDP:
        return _UDP
    if protocol == icmp:
        return _ICMP
    return _IGMP if protocol == _P_IGMP and icmp == _P_ICMP else 0


def _tcp(data: bytes, start: int, stop: int, mask: int, network: int) -> Classified:
    mask |= _TCP
    if start + _TCP_HEADER > stop:
        return mask | _MALFORMED, network, 0
    captured = len(data)
    if start + 4 > captured:
        return mask, network, 0
    ports = TCP_PORTS
    mask |= ports.get(data[start] << 8 | data[start + 1], 0)
    mask |= ports.get(data[start + 2] << 8 | data[start + 3], 0)
    if start + 14 > captured:
        return mask, network, 0
    mask |= FLAGS[data[start + 13]]
    header = data[start + 12] >> 2 & 0x3C
    if header < _TCP_HEADER or start + header > stop:
        mask |= _MALFORMED
    return mask, network, start


def _udp(data: bytes, start: int, stop: int, mask: int, network: int) -> Classified:
    mask |= _UDP
    if start + _UDP_HEADER > stop:
        return mask | _MALFORMED, network, 0
    captured = len(data)
    if start + 4 > captured:
        return mask, network, 0
    ports = UDP4_PORTS if mask & _IPV4 else _UDP6_PORTS
    mask |= ports.get(data[start] << 8 | data[start + 1], 0)
    mask |= ports.get(data[start + 2] << 8 | data[start + 3], 0)
    if start + 6 > captured:
        return mask, network, start
    length = data[start + 4] << 8 | data[start + 5]
    if length and (length < _UDP_HEADER or (start + length > stop and not mask & _FRAGMENT)):
        mask |= _MALFORMED
    return mask, network, start


def flood_ends(data: bytes, classified: Classified) -> tuple[bytes, bytes, int]:
    """Return source address, destination address and destination port (echo: 0) of a flood frame.

    Only for frames whose mask has a bit of :data:`FLOOD`: their headers are known to be at hand.
    """
    mask, network, transport = classified
    port = data[transport + 2] << 8 | data[transport + 3] if mask & SYN else 0
    if mask & _IPV4:
        return data[network + 12 : network + 16], data[network + 16 : network + 20], port
    return data[network + 8 : network + 24], data[network + 24 : network + 40], port


def class_names(mask: int) -> list[str]:
    """Return the names of the classes in a mask, in the order of the docs."""
    return [name for index, name in enumerate(CLASSES) if mask >> index & 1]
