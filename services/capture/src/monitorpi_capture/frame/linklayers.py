"""Frames of every link layer, as what is counted of them. Pure.

A frame with MAC addresses is given an Ethernet header in place of its own, so that one classifier
and one tally do for all. One without counts for the wire only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.frame import wifi
from monitorpi_capture.frame.classify import ETHERNET_HEADER, Classified, classify, classify_packet
from monitorpi_capture.frame.linktypes import (
    LINK_ETHERNET,
    LINK_LOOP,
    LINK_NULL,
    LINK_PPP,
    LINK_PPP_HDLC,
    LINK_RADIOTAP,
    LINK_SLL,
    LINK_SLL2,
    LINK_WIFI,
)
from monitorpi_capture.items import CLASS_BIT

if TYPE_CHECKING:
    from monitorpi_capture.frame.captured import Frame

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
_COOKED_HEADERS: Final = {LINK_SLL: 16, LINK_SLL2: 20}
"""Bytes before the packet; every cooked frame counts as if it had an Ethernet header instead."""
_COOKED_BROADCAST: Final = 1
_COOKED_MULTICAST: Final = 2
_PPP_ADDRESS: Final = b"\xff\x03"
"""Address and control of HDLC framing, which PPP may leave out (RFC 1662)."""
_PPP_TYPES: Final = {0x0021: _TYPE_IPV4, 0x0057: _TYPE_IPV6}


class Counted(NamedTuple):
    """What is counted of a frame, whatever link layer it came by."""

    data: bytes
    classified: Classified
    wire_length: int
    """Of ``data``, had nothing been cut off."""
    size: int
    """Bytes it counts with."""
    has_macs: bool


def counted(frame: Frame) -> Counted:
    """Return what is counted of a frame of any link type that is read."""
    _, link, data, length = frame
    if link == LINK_ETHERNET:
        has_macs = len(data) >= ETHERNET_HEADER
        return Counted(data, classify(data, length), length, length, has_macs)
    if link in _COOKED_HEADERS:
        return _cooked(link, data, length)
    if link == LINK_WIFI:
        return _wireless(data, length)
    if link == LINK_RADIOTAP:
        inner = wifi.behind_radiotap(data, length)
        if inner is None or not inner[2]:
            return Counted(data, _MALFORMED, length, length, has_macs=False)
        return _wireless(*inner[:2])
    if link in (LINK_NULL, LINK_LOOP):
        classified = _loopback(data, length)
    elif link in (LINK_PPP, LINK_PPP_HDLC):
        classified = _ppp(data, length)
    else:
        classified = _raw(data, length, 0)
    return Counted(data, classified, length, length, has_macs=False)


def _raw(data: bytes, wire_length: int, offset: int) -> Classified:
    """Return the classes of a bare IP packet; its first half byte is the version."""
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


def _ppp(data: bytes, wire_length: int) -> Classified:
    """Classify a PPP frame: a protocol of one byte or two, the packet behind it."""
    offset = len(_PPP_ADDRESS) if data[:2] == _PPP_ADDRESS else 0
    if len(data) <= offset:
        return _MALFORMED if wire_length <= offset else _NOTHING
    if data[offset] & 1:  # compressed (RFC 1661, section 6.5)
        protocol, offset = data[offset], offset + 1
    elif len(data) < offset + 2:
        return _MALFORMED if wire_length < offset + 2 else _NOTHING
    else:
        protocol, offset = data[offset] << 8 | data[offset + 1], offset + 2
    ether_type = _PPP_TYPES.get(protocol)
    return (
        _NOTHING if ether_type is None else classify_packet(data, wire_length, ether_type, offset)
    )


def _wireless(data: bytes, length: int) -> Counted:
    """Return a frame of 802.11 as the Ethernet frame it carries, or as the air's own."""
    framed = wifi.as_ethernet(data, length)
    if not framed.data:
        classified = _MALFORMED if framed.is_malformed else _NOTHING
        return Counted(data, classified, length, framed.size, has_macs=False)
    classified = classify(framed.data, framed.wire_length)
    return Counted(framed.data, classified, framed.wire_length, framed.size, has_macs=True)


def _cooked(link: int, data: bytes, wire_length: int) -> Counted:
    """Read a Linux cooked frame: it names the sender but not the destination."""
    header = _COOKED_HEADERS[link]
    size = max(wire_length + ETHERNET_HEADER - header, 0)
    if len(data) < header:
        cut = _MALFORMED if wire_length < header else _NOTHING
        return Counted(data, cut, size, size, has_macs=False)
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
    has_macs = hardware == _ARPHRD_ETHERNET and length == len(source)
    return Counted(framed, classified, size, size, has_macs)
