"""What ARP, NDP, DHCP and mDNS frames tell about devices, and what is not believed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether

from monitorpi_capture.classify import classify
from monitorpi_capture.dissect import Dissector, is_telling
from monitorpi_capture.sighting import Sighting

HOST = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"
RAW = bytes.fromhex("020000000001")


def seen(payload: Any, *, tagged: bool = False) -> list[Sighting]:
    """Return what a frame from HOST tells, if it is worth dissecting at all."""
    link = Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff")
    data = bytes((link / Dot1Q(vlan=5) if tagged else link) / payload)
    if not is_telling(data, classify(data, len(data))):
        return []
    return Dissector().dissect(data, 1.0, "eth0")


def sighting(**facts: Any) -> list[Sighting]:
    """Return one sighting of HOST."""
    return [Sighting(RAW, 1.0, "eth0", **facts)]


def test_arp_tells_the_sender_s_address() -> None:
    """Requests and replies alike, behind a VLAN tag too; probes and other people's MACs do not."""
    claim = ARP(hwsrc=HOST, psrc="192.0.2.1")

    assert seen(claim) == sighting(ips=("192.0.2.1",))
    assert seen(claim, tagged=True) == sighting(ips=("192.0.2.1",))
    assert seen(ARP(hwsrc=HOST, psrc="0.0.0.0")) == []
    assert seen(ARP(hwsrc=OTHER, psrc="192.0.2.1")) == []


def dhcp(op: int, options: list[Any], **fields: Any) -> Any:
    """Return a DHCP message about HOST."""
    ports = (68, 67) if op == 1 else (67, 68)
    message = BOOTP(op=op, chaddr=RAW, **fields) / DHCP(options=[*options, "end"])
    return IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=ports[0], dport=ports[1]) / message


def test_dhcp_tells_name_address_and_router() -> None:
    """A client tells its name, the server's ACK its address and the router's."""
    request = dhcp(1, [("message-type", "request"), ("hostname", b"printer")])
    ack = dhcp(2, [("message-type", "ack"), ("router", "192.0.2.254")], yiaddr="192.0.2.7")
    offer = dhcp(2, [("message-type", "offer"), ("router", "192.0.2.254")], yiaddr="192.0.2.7")

    assert seen(request) == sighting(hostname="printer")
    assert seen(ack) == [
        *sighting(serves_dhcp=True),
        *sighting(ips=("192.0.2.7",), router_ips=("192.0.2.254",)),
    ]
    assert seen(offer) == sighting(serves_dhcp=True)


def test_mdns_tells_a_host_s_own_name_only() -> None:
    """An address record for the frame's own source is a name; others' records are not believed."""

    def answer(address: str) -> Any:
        record = DNSRR(rrname="printer.local", type="A", rdata=address, ttl=120)
        network = IP(src="192.0.2.1", dst="224.0.0.251")
        return network / UDP(sport=5353, dport=5353) / DNS(qr=1, aa=1, qd=[], an=[record])

    assert seen(answer("192.0.2.1")) == sighting(hostname="printer")
    assert seen(answer("192.0.2.9")) == []


def test_neighbour_discovery_tells_addresses_and_routers() -> None:
    """Solicitations and advertisements with the sender's own link-layer address are believed."""
    network = IPv6(src="fe80::1", dst="ff02::1", hlim=255)

    assert seen(
        network / ICMPv6ND_NS(tgt="fe80::2") / ICMPv6NDOptSrcLLAddr(lladdr=HOST)
    ) == sighting(ips=("fe80::1",))
    assert seen(network / ICMPv6ND_NS(tgt="fe80::2") / ICMPv6NDOptSrcLLAddr(lladdr=OTHER)) == []
    assert seen(
        network / ICMPv6ND_NA(tgt="2001:db8::1") / ICMPv6NDOptDstLLAddr(lladdr=HOST)
    ) == sighting(ips=("2001:db8::1",))
    assert seen(network / ICMPv6ND_RA(routerlifetime=1800)) == sighting(
        ips=("fe80::1",), is_router=True
    )
    assert seen(network / ICMPv6ND_RA(routerlifetime=0)) == sighting(ips=("fe80::1",))


def test_plain_traffic_tells_nothing() -> None:
    """Addresses in ordinary packets may be forged or routed: they are not even dissected."""
    assert seen(IP(src="192.0.2.1") / ICMP()) == []


def test_crafted_mdns_costs_nothing() -> None:
    """Questions, and answers with more records than a host has, are not dissected at all."""
    network = IP(src="192.0.2.1", dst="224.0.0.251") / UDP(sport=5353, dport=5353)
    own = DNSRR(rrname="printer.local", type="A", rdata="192.0.2.1", ttl=120)

    assert seen(network / DNS(qr=0, an=[own])) == []
    assert seen(network / DNS(qr=1, qd=[], an=[own] * 32)) == sighting(hostname="printer")
    assert seen(network / DNS(qr=1, qd=[], an=[own] * 33)) == []
    assert seen(network / b"\0\0\x84") == []


def test_what_cannot_be_dissected_is_counted() -> None:
    """Oversized frames are not looked at."""
    dissector = Dissector()

    assert dissector.dissect(TELLING[0] + bytes(9000), 1.0, "eth0") == []
    assert dissector.failed == 1


TELLING = [
    bytes(Ether(src=HOST) / ARP(hwsrc=HOST, psrc="192.0.2.1")),
    bytes(Ether(src=HOST) / dhcp(1, [("message-type", "request"), ("hostname", b"x")])),
    bytes(Ether(src=HOST) / dhcp(2, [("message-type", "ack"), ("router", "192.0.2.254")])),
    bytes(
        Ether(src=HOST)
        / IP()
        / UDP(sport=5353, dport=5353)
        / DNS(qr=1, an=[DNSRR(rrname="a.local", rdata="1.2.3.4")])
    ),
    bytes(Ether(src=HOST) / IPv6() / ICMPv6ND_RA()),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TELLING), st.data())
def test_no_bytes_break_the_dissector(data: bytes, choice: st.DataObject) -> None:
    """Mutated and cut frames give sightings or nothing, never an exception."""
    changed = bytearray(data)
    for _ in range(choice.draw(st.integers(0, 6))):
        changed[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))

    Dissector().dissect(bytes(changed)[: choice.draw(st.integers(14, len(data)))], 1.0, "eth0")
