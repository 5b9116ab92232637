"""Frames, built byte by byte: what the flood generator and the background traffic put on a wire.

Pure functions; addresses are text, what comes out is bytes with all checksums right.
"""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import Final

BROADCAST_MAC: Final = "ff:ff:ff:ff:ff:ff"
MINIMUM_BYTES: Final = 60  # IEEE 802.3, without the frame check sequence

_IPV4: Final = 0x0800
_ARP: Final = 0x0806
_ICMP: Final = 1
_IGMP: Final = 2
_TCP: Final = 6
_UDP: Final = 17
_SYN: Final = 0x02
_ROUTER_ALERT: Final = b"\x94\x04\x00\x00"  # RFC 2113; every IGMP message carries it
_DHCP_COOKIE: Final = b"\x63\x82\x53\x63"  # RFC 2131 section 3


def ethernet(source: str, destination: str, ethertype: int, payload: bytes) -> bytes:
    """Return an Ethernet II frame, padded to the minimum."""
    header = mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", ethertype)
    return (header + payload).ljust(MINIMUM_BYTES, b"\0")


def tcp_syn(
    macs: tuple[str, str], ips: tuple[str, str], ports: tuple[int, int], sequence: int
) -> bytes:
    """Return the frame of a SYN without options; each pair is (source, destination)."""
    header = struct.pack("!HHIIBBHHH", *ports, sequence, 0, 5 << 4, _SYN, 64240, 0, 0)
    checked = checksum(_pseudo_header(ips, _TCP, len(header)) + header)
    return ipv4_frame(macs, ips, _TCP, header[:16] + struct.pack("!H", checked) + header[18:])


def icmp_echo(macs: tuple[str, str], ips: tuple[str, str], identifier: int, sequence: int) -> bytes:
    """Return the frame of an echo request with 32 bytes of data."""
    data = bytes(range(32))
    header = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence)
    checked = checksum(header + data)
    return ipv4_frame(macs, ips, _ICMP, header[:2] + struct.pack("!H", checked) + header[4:] + data)


def udp(
    macs: tuple[str, str], ips: tuple[str, str], ports: tuple[int, int], payload: bytes
) -> bytes:
    """Return the frame of a UDP datagram."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", *ports, length, 0)
    # a sum of zero is sent as all ones: zero means "no checksum" (RFC 768)
    checked = checksum(_pseudo_header(ips, _UDP, length) + header + payload) or 0xFFFF
    return ipv4_frame(macs, ips, _UDP, header[:6] + struct.pack("!H", checked) + payload)


def arp_request(source_mac: str, source_ip: str, wanted_ip: str) -> bytes:
    """Return the broadcast question "who has wanted_ip?"; gratuitous if it is source_ip."""
    body = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 1)
    body += mac_bytes(source_mac) + ip_bytes(source_ip) + bytes(6) + ip_bytes(wanted_ip)
    return ethernet(source_mac, BROADCAST_MAC, _ARP, body)


def dhcp_discover(source_mac: str, client_mac: str, transaction: int) -> bytes:
    """Return a client's first broadcast (RFC 2131); client_mac stands in its ``chaddr``."""
    bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, transaction, 0, 0x8000)
    bootp += bytes(16) + mac_bytes(client_mac).ljust(16, b"\0") + bytes(192)
    options = _DHCP_COOKIE + b"\x35\x01\x01" + b"\x37\x02\x01\x03" + b"\xff"
    nobody = "0.0.0.0"  # noqa: S104 - the source of a client without an address
    return udp((source_mac, BROADCAST_MAC), (nobody, "255.255.255.255"), (68, 67), bootp + options)


@lru_cache(maxsize=4096)
def igmp_report(source_mac: str, source_ip: str, group: str) -> bytes:
    """Return an IGMPv2 membership report (RFC 2236), sent to the group itself."""
    message = struct.pack("!BBH", 0x16, 0, 0) + ip_bytes(group)
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    macs = (source_mac, multicast_mac(group))
    return ipv4_frame(macs, (source_ip, group), _IGMP, message, ttl=1, options=_ROUTER_ALERT)


def multicast_mac(group: str) -> str:
    """Return the MAC address of an IPv4 multicast group (RFC 1112 section 6.4)."""
    low = int(ipaddress.IPv4Address(group)) & 0x7FFFFF
    return f"01:00:5e:{low >> 16:02x}:{low >> 8 & 0xFF:02x}:{low & 0xFF:02x}"


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071), a sum in ones' complement.

    Such a sum of 16-bit words is the remainder by 65535, written 65535 and not 0 if any bit is set.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    return 0xFFFE - (number - 1) % 0xFFFF if number else 0xFFFF


@lru_cache(maxsize=4096)
def mac_bytes(mac: str) -> bytes:
    """Return the six bytes of ``00:00:5e:00:53:01``."""
    return bytes.fromhex(mac.replace(":", ""))


@lru_cache(maxsize=4096)
def ip_bytes(ip: str) -> bytes:
    """Return the four bytes of an IPv4 address."""
    return ipaddress.IPv4Address(ip).packed


def ipv4_frame(
    macs: tuple[str, str],
    ips: tuple[str, str],
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    options: bytes = b"",
) -> bytes:
    """Return the frame of an IPv4 packet; each pair is (source, destination)."""
    words = 5 + len(options) // 4
    length = 4 * words + len(payload)
    header = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 0, 0x4000, ttl, protocol, 0)
    header += ip_bytes(ips[0]) + ip_bytes(ips[1]) + options
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(macs[0], macs[1], _IPV4, header + payload)


def _pseudo_header(ips: tuple[str, str], protocol: int, length: int) -> bytes:
    return ip_bytes(ips[0]) + ip_bytes(ips[1]) + struct.pack("!BBH", 0, protocol, length)
