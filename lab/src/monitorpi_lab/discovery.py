"""How hosts are discovered: ARP, ND, DHCP, DHCPv6, mDNS; and TCP segments, all as frames.

Pure functions beside :mod:`.frames`; addresses are text, all checksums are right. A pair is
(source, destination).
"""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import Final

from monitorpi_lab.frames import (
    BROADCAST_MAC,
    checksum,
    ethernet,
    ip_bytes,
    ipv4_frame,
    mac_bytes,
    multicast_mac,
    udp,
)

ACK, PSH, RST, SYN, FIN = 0x10, 0x08, 0x04, 0x02, 0x01
DISCOVER, OFFER, REQUEST, DECLINE, DHCP_ACK, RELEASE = 1, 2, 3, 4, 5, 7
"""Message types of DHCP (RFC 2132, 9.6)."""
ALL_NODES: Final = "ff02::1"

_ARP: Final = 0x0806
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_ND_HOPS: Final = 255  # RFC 4861: a neighbour's frame was never forwarded
_DHCP_COOKIE: Final = b"\x63\x82\x53\x63"
_NOBODY: Final = "0.0.0.0"  # noqa: S104 - the source of a client without an address
_REPLY: Final = 7  # RFC 8415, 7.3


# --- IPv4 -----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def arp_reply(macs: tuple[str, str], ips: tuple[str, str]) -> bytes:
    """Return "ips[0] is at macs[0]", sent to the second."""
    body = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2)
    body += mac_bytes(macs[0]) + ip_bytes(ips[0]) + mac_bytes(macs[1]) + ip_bytes(ips[1])
    return ethernet(macs[0], macs[1], _ARP, body)


def echo_reply(macs: tuple[str, str], ips: tuple[str, str], identifier: int) -> bytes:
    """Return the answer to a ping, with 32 bytes of data."""
    data = bytes(range(32))
    header = struct.pack("!BBHHH", 0, 0, 0, identifier, 1)
    body = header[:2] + struct.pack("!H", checksum(header + data)) + header[4:] + data
    return ipv4_frame(macs, ips, _ICMP, body)


def tcp(
    macs: tuple[str, str],
    ips: tuple[str, str],
    ports: tuple[int, int],
    flags: int = ACK,
    size: int = 0,
) -> bytes:
    """Return a TCP segment with so many bytes of data, over IPv4 or IPv6."""
    header = struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, flags, 64240, 0, 0)
    body = header + bytes(size)
    if ":" in ips[0]:
        checked = checksum(_pseudo6(ips, _TCP, len(body)) + body)
        return ipv6_frame(macs, ips, _TCP, body[:16] + struct.pack("!H", checked) + body[18:])
    pseudo = ip_bytes(ips[0]) + ip_bytes(ips[1]) + struct.pack("!BBH", 0, _TCP, len(body))
    checked = checksum(pseudo + body)
    return ipv4_frame(macs, ips, _TCP, body[:16] + struct.pack("!H", checked) + body[18:])


def dhcp_ask(
    kind: int,
    mac: str,
    *,
    hostname: str = "",
    own: str = _NOBODY,
    server: tuple[str, str] = (BROADCAST_MAC, "255.255.255.255"),
    wanted: str = "",
) -> bytes:
    """Return what a client sends: DISCOVER, REQUEST, DECLINE or RELEASE (to the server alone)."""
    options = bytes((53, 1, kind))
    if wanted:
        options += b"\x32\x04" + ip_bytes(wanted)
    if hostname:
        options += bytes((12, len(hostname))) + hostname.encode()
    bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, 7, 0, 0) + ip_bytes(own) + bytes(12)
    bootp += mac_bytes(mac).ljust(16, b"\0") + bytes(192) + _DHCP_COOKIE
    return udp((mac, server[0]), (own, server[1]), (68, 67), bootp + options + b"\xff")


def dhcp_answer(
    kind: int,
    server: tuple[str, str],
    client: str,
    address: str,
    *,
    router: str | None = None,
    mask: str = "255.255.255.0",
) -> bytes:
    """Return a server's OFFER or ACK to a client; ``server`` is its (MAC, address)."""
    options = bytes((53, 1, kind)) + b"\x36\x04" + ip_bytes(server[1])
    options += b"\x33\x04\x00\x01\x51\x80" + b"\x01\x04" + ip_bytes(mask)
    options += b"\x03\x04" + ip_bytes(router or server[1])
    bootp = struct.pack("!BBBBIHH", 2, 1, 6, 0, 7, 0, 0) + bytes(4) + ip_bytes(address)
    bootp += ip_bytes(server[1]) + bytes(4)
    bootp += mac_bytes(client).ljust(16, b"\0") + bytes(192) + _DHCP_COOKIE
    return udp((server[0], client), (server[1], address), (67, 68), bootp + options + b"\xff")


def igmp_query(mac: str, ip: str) -> bytes:
    """Return a querier's general question (RFC 2236)."""
    message = b"\x11\x64" + struct.pack("!H", checksum(b"\x11\x64" + bytes(6))) + bytes(4)
    macs = (mac, multicast_mac("224.0.0.1"))
    return ipv4_frame(macs, (ip, "224.0.0.1"), 2, message, ttl=1, options=b"\x94\x04\x00\x00")


def mdns_announcement(mac: str, ip: str, name: str) -> bytes:
    """Return a host's own address record (RFC 6762, 8.3)."""
    labels = b"".join(bytes((len(one),)) + one.encode() for one in (name, "local"))
    record = labels + b"\0" + struct.pack("!HHIH", 1, 0x8001, 120, 4) + ip_bytes(ip)
    dns = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0) + record
    macs = (mac, multicast_mac("224.0.0.251"))
    return udp(macs, (ip, "224.0.0.251"), (5353, 5353), dns)


# --- IPv6 -----------------------------------------------------------------------------------------


def ipv6_frame(
    macs: tuple[str, str], ips: tuple[str, str], next_header: int, payload: bytes, hops: int = 64
) -> bytes:
    """Return the frame of an IPv6 packet."""
    header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, hops)
    packed = (ipaddress.IPv6Address(one).packed for one in ips)
    return ethernet(macs[0], macs[1], _IPV6, header + b"".join(packed) + payload)


def icmpv6(macs: tuple[str, str], ips: tuple[str, str], message: bytes, hops: int = 64) -> bytes:
    """Return an ICMPv6 message; its checksum (bytes 2 and 3) is filled in."""
    checked = checksum(_pseudo6(ips, _ICMPV6, len(message)) + message)
    body = message[:2] + struct.pack("!H", checked) + message[4:]
    return ipv6_frame(macs, ips, _ICMPV6, body, hops)


def echo6(macs: tuple[str, str], ips: tuple[str, str], *, reply: bool = False) -> bytes:
    """Return an echo request (or reply) over IPv6, with 32 bytes of data."""
    return icmpv6(macs, ips, bytes((129 if reply else 128, 0, 0, 0, 0, 1, 0, 1, *range(32))))


@lru_cache(maxsize=4096)
def neighbour_advertisement(macs: tuple[str, str], address: str, to: str = ALL_NODES) -> bytes:
    """Return "this address is mine" (solicited where it goes to one neighbour)."""
    flags = 0x20000000 if to == ALL_NODES else 0x60000000
    message = struct.pack("!BBHI", 136, 0, 0, flags) + ipaddress.IPv6Address(address).packed
    message += b"\x02\x01" + mac_bytes(macs[0])
    there = multicast6_mac(to) if to == ALL_NODES else macs[1]
    return icmpv6((macs[0], there), (address, to), message, _ND_HOPS)


def neighbour_solicitation(mac: str, own: str, wanted: str) -> bytes:
    """Return "who has wanted"; from ``::`` it is the look for a duplicate (RFC 4862, 5.4.2)."""
    group = solicited_node(wanted)
    message = struct.pack("!BBHI", 135, 0, 0, 0) + ipaddress.IPv6Address(wanted).packed
    if own != "::":
        message += b"\x01\x01" + mac_bytes(mac)
    return icmpv6((mac, multicast6_mac(group)), (own, group), message, _ND_HOPS)


def router_advertisement(
    mac: str, link_local: str, prefix: str, *, lifetime_s: int = 1800, hops: int = _ND_HOPS
) -> bytes:
    """Return a router's advertisement of one on-link prefix (``2001:db8:1::/64``)."""
    network = ipaddress.IPv6Network(prefix)
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime_s, 0, 0)
    message += b"\x01\x01" + mac_bytes(mac)
    message += struct.pack("!BBBBIII", 3, 4, network.prefixlen, 0xC0, 86400, 14400, 0)
    message += network.network_address.packed
    return icmpv6((mac, multicast6_mac(ALL_NODES)), (link_local, ALL_NODES), message, hops)


@lru_cache(maxsize=4096)
def mld_report(mac: str, link_local: str, group: str) -> bytes:
    """Return a listener's report (RFC 2710)."""
    message = struct.pack("!BBHHH", 131, 0, 0, 0, 0) + ipaddress.IPv6Address(group).packed
    return icmpv6((mac, multicast6_mac(group)), (link_local, group), message, 1)


def dhcp6_reply(macs: tuple[str, str], ips: tuple[str, str], address: str) -> bytes:
    """Return a DHCPv6 server's REPLY that hands out one address (RFC 8415, 21.4 and 21.6)."""
    given = struct.pack("!HH", 5, 24) + ipaddress.IPv6Address(address).packed
    given += struct.pack("!II", 3600, 7200)
    server = b"\x00\x03\x00\x01" + mac_bytes(macs[0])
    client = b"\x00\x03\x00\x01" + mac_bytes(macs[1])
    body = struct.pack("!I", _REPLY << 24 | 0x0A0B0C)
    body += (
        struct.pack("!HH", 1, len(client)) + client + struct.pack("!HH", 2, len(server)) + server
    )
    body += struct.pack("!HHIII", 3, 12 + len(given), 1, 1800, 2880) + given
    return udp6(macs, ips, (547, 546), body)


def udp6(
    macs: tuple[str, str], ips: tuple[str, str], ports: tuple[int, int], payload: bytes
) -> bytes:
    """Return the frame of a UDP datagram over IPv6."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", *ports, length, 0)
    checked = checksum(_pseudo6(ips, _UDP, length) + header + payload) or 0xFFFF
    return ipv6_frame(macs, ips, _UDP, header[:6] + struct.pack("!H", checked) + payload)


def multicast6_mac(group: str) -> str:
    """Return the MAC address of an IPv6 multicast group (RFC 2464, section 7)."""
    return "33:33:" + ipaddress.IPv6Address(group).packed[12:].hex(":")


def solicited_node(address: str) -> str:
    """Return the group a neighbour's solicitation goes to (RFC 4291, 2.7.1)."""
    low = int(ipaddress.IPv6Address(address)) & 0xFFFFFF
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("ff02::1:ff00:0")) | low))


def link_local(mac: str) -> str:
    """Return the address a MAC makes for itself on its link (RFC 4291, appendix A)."""
    raw = mac_bytes(mac)
    identifier = bytes((raw[0] ^ 2, raw[1], raw[2], 0xFF, 0xFE, *raw[3:]))
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _pseudo6(ips: tuple[str, str], protocol: int, length: int) -> bytes:
    packed = b"".join(ipaddress.IPv6Address(one).packed for one in ips)
    return packed + struct.pack("!II", length, protocol)
