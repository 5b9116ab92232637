"""Discovery frames, built by scapy: what they say, they say about HOST."""

from __future__ import annotations

from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
)
from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import Dissector, is_discovery
from monitorpi_capture.items import Sighting

HOST = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"
RAW = bytes.fromhex("020000000001")
OTHER_RAW = bytes.fromhex("020000000002")


def read(typed: bytes) -> list[Sighting]:
    """Return what a frame from HOST tells, given from its EtherType on."""
    data = bytes.fromhex("ffffffffffff") + RAW + typed
    if not is_discovery(data, classify(data, len(data))):
        return []
    return Dissector().dissect(data, 1.0, "eth0")


def seen(payload: Any) -> list[Sighting]:
    """Return what a frame from HOST tells, if it is worth dissecting at all."""
    return read(bytes(Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff") / payload)[12:])


def tag(ids: tuple[int, ...], types: tuple[int, ...]) -> bytes:
    """Return VLAN tags and the type of ARP behind them."""
    tags = (f"{kind:04x}{number:04x}" for kind, number in zip(types, ids, strict=True))
    return bytes.fromhex("".join(tags) + "0806")


def sighting(**facts: Any) -> list[Sighting]:
    """Return one sighting of HOST."""
    return [Sighting(RAW, 1.0, "eth0", **facts)]


def dhcp(op: int, options: list[Any], **fields: Any) -> Any:
    """Return a DHCP message about HOST."""
    ports = (68, 67) if op == 1 else (67, 68)
    message = BOOTP(**({"op": op, "chaddr": RAW} | fields)) / DHCP(options=[*options, "end"])
    return IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=ports[0], dport=ports[1]) / message


ACK = [("message-type", "ack")]
OFFER = [("message-type", "offer")]
CLIENT = DUID_LL(lladdr=OTHER)


def dhcpv6(message: Any, *options: Any, client: Any = CLIENT, to_server: bool = False) -> Any:
    """Return a DHCPv6 message about OTHER, or from HOST."""
    ports = (546, 547) if to_server else (547, 546)
    network = IPv6(src="fe80::1", dst="fe80::2") / UDP(sport=ports[0], dport=ports[1])
    for layer in (message, DHCP6OptClientId(duid=client), *options):
        network /= layer
    return network


def leased(address: str, valid_s: int = 3600) -> Any:
    """Return an identity association with one address."""
    inner = DHCP6OptIAAddress(addr=address, preflft=0, validlft=valid_s)
    return DHCP6OptIA_NA(iaid=1, T1=0, T2=0, ianaopts=[inner])


def mdns(*records: Any, source: str = "192.0.2.1", **fields: Any) -> Any:
    """Return an mDNS answer."""
    network = IPv6(src=source) if ":" in source else IP(src=source, dst="224.0.0.251")
    message = DNS(**({"qr": 1, "aa": 1, "qd": [], "an": list(records)} | fields))
    return network / UDP(sport=5353, dport=5353) / message


def address(ip: str, name: str = "printer.local", **fields: Any) -> Any:
    """Return an address record."""
    kind = "AAAA" if ":" in ip else "A"
    return DNSRR(**({"rrname": name, "type": kind, "rdata": ip, "ttl": 120} | fields))


def nd(message: Any, *options: Any, **fields: Any) -> Any:
    """Return a neighbour discovery message."""
    network = IPv6(**({"src": "fe80::1", "dst": "ff02::1", "hlim": 255} | fields)) / message
    for option in options:
        network /= option
    return network


OWN = ICMPv6NDOptSrcLLAddr(lladdr=HOST)
TARGET = ICMPv6NDOptDstLLAddr(lladdr=HOST)


def prefix(network: str, **fields: Any) -> Any:
    """Return a prefix option."""
    return ICMPv6NDOptPrefixInfo(**({"prefix": network, "prefixlen": 64} | fields))
