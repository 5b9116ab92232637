"""What ARP, NDP and mDNS frames tell about devices, what is not believed, and bounds of all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp6 import (
    DHCP6_Release,
    DHCP6_Reply,
)
from scapy.layers.dns import DNS, DNSQR, DNSRROPT
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from tests.capture.discovery_frames import (
    ACK,
    HOST,
    OTHER,
    OTHER_RAW,
    OWN,
    RAW,
    TARGET,
    address,
    dhcp,
    dhcpv6,
    leased,
    mdns,
    nd,
    prefix,
    read,
    seen,
    sighting,
    tag,
)

from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import Sighting


def test_arp_tells_the_sender_s_address() -> None:
    """Requests, replies and announcements alike; probes claim nothing."""
    said = sighting(how="arp", ips=("192.0.2.1",))

    for operation in (1, 2):
        assert seen(ARP(op=operation, hwsrc=HOST, psrc="192.0.2.1")) == said
    assert seen(ARP(op=2, hwsrc=HOST, psrc="192.0.2.1", pdst="192.0.2.1")) == said
    assert [one.ips for one in seen(ARP(hwsrc=HOST, psrc="0.0.0.0", pdst="192.0.2.1"))] == [()]


def test_arp_requests_tell_who_is_looked_for() -> None:
    """A request names its target, a probe tries it; an announcement and an answer ask nothing."""
    asks = ARP(op=1, hwsrc=HOST, psrc="192.0.2.1", pdst="192.0.2.9")
    probe = ARP(op=1, hwsrc=HOST, psrc="0.0.0.0", pdst="192.0.2.9")
    announcement = ARP(op=1, hwsrc=HOST, psrc="192.0.2.1", pdst="192.0.2.1")
    answer = ARP(op=2, hwsrc=HOST, psrc="192.0.2.1", pdst="192.0.2.9")
    lost = ARP(op=1, hwsrc=HOST, psrc="127.0.0.1", pdst="192.0.2.9")

    assert seen(asks) == sighting(how="arp", ips=("192.0.2.1",), asks="192.0.2.9")
    assert seen(probe) == sighting(how="arp", asks="192.0.2.9", tries="192.0.2.9")
    assert seen(announcement) == seen(answer) == sighting(how="arp", ips=("192.0.2.1",))
    assert seen(lost) == []


def test_a_solicitation_from_nobody_tries_an_address() -> None:
    """Duplicate address detection (RFC 4862, 5.4.2)."""
    tried = IPv6(src="::", dst="ff02::1:ff00:7", hlim=255) / ICMPv6ND_NS(tgt="2001:db8::7")
    group = IPv6(src="::", dst="ff02::1:ff00:7", hlim=255) / ICMPv6ND_NS(tgt="ff02::7")

    assert seen(tried) == sighting(how="nd", tries="2001:db8::7")
    assert seen(group) == []


def test_a_claim_for_another_mac_names_who_sent_it() -> None:
    """Hosts take the MAC in the message, whatever the frame's own is."""
    arp = seen(ARP(hwsrc=OTHER, psrc="192.0.2.1"))
    neighbour = seen(
        nd(ICMPv6ND_NA(tgt="2001:db8::1"), ICMPv6NDOptDstLLAddr(lladdr=OTHER)),
    )

    assert arp == [
        Sighting(OTHER_RAW, 1.0, "eth0", "arp", sender=RAW, ips=("192.0.2.1",)),
    ]
    assert neighbour == [
        Sighting(OTHER_RAW, 1.0, "eth0", "nd", sender=RAW, ips=("2001:db8::1",)),
    ]


@pytest.mark.parametrize("address", ["0.0.0.9", "127.0.0.1", "224.0.0.5", "255.255.255.255"])
def test_what_nobody_can_own_is_not_claimed(address: str) -> None:
    """Loopback, group, broadcast and "this network" addresses are nobody's."""
    assert seen(ARP(hwsrc=HOST, psrc=address)) == []


@pytest.mark.parametrize(
    "changed", [{"op": 3}, {"op": 9}, {"ptype": 0x86DD}, {"hwlen": 8}, {"plen": 16}]
)
def test_arp_that_hosts_do_not_read_tells_nothing(changed: dict[str, int]) -> None:
    """Other operations and other sizes of addresses are none of IPv4 on Ethernet."""
    frame = ARP(hwsrc=HOST, psrc="192.0.2.1") / bytes(64)
    for name, value in changed.items():
        frame.setfieldval(name, value)

    assert seen(frame) == []


@pytest.mark.parametrize(
    ("ids", "types", "vlan"),
    [
        ((5,), (0x8100,), (5,)),
        ((100, 5), (0x88A8, 0x8100), (100, 5)),
        ((100, 5), (0x9100, 0x8100), (100, 5)),
        ((0,), (0x8100,), ()),
        ((100, 0), (0x88A8, 0x8100), (100,)),
    ],
)
def test_the_vlan_is_of_the_tags(
    ids: tuple[int, ...], types: tuple[int, ...], vlan: tuple[int, ...]
) -> None:
    """Tags are looked through, outermost first; a priority tag names no VLAN."""
    tagged = tag(ids, types) + bytes(ARP(hwsrc=HOST, psrc="192.0.2.1"))

    assert read(tagged) == sighting(how="arp", vlan=vlan, ips=("192.0.2.1",))


def test_a_tag_that_was_taken_out_is_the_outermost() -> None:
    """The stack takes the outer tag out and says what it was; its priority bits do not count."""
    inner = tag((5,), (0x8100,)) + bytes(ARP(hwsrc=HOST, psrc="192.0.2.1"))
    plain = b"\x08\x06" + bytes(ARP(hwsrc=HOST, psrc="192.0.2.1"))
    head = bytes.fromhex("ffffffffffff") + RAW

    both = Dissector().dissect(head + inner, 1.0, "eth0", tag=0xE064)
    one = Dissector().dissect(head + plain, 1.0, "eth0", tag=0x0064)

    assert both == sighting(how="arp", vlan=(100, 5), ips=("192.0.2.1",))
    assert one == sighting(how="arp", vlan=(100,), ips=("192.0.2.1",))


def test_mdns_tells_a_host_s_own_name_only() -> None:
    """An address record for the frame's own source is a name; others' records are not believed."""
    said = sighting(how="mdns", hostname="printer")
    other = address("192.0.2.9", "other.local")

    assert seen(mdns(address("192.0.2.1"))) == said
    assert seen(mdns(other, address("192.0.2.1", cacheflush=1))) == said
    assert seen(mdns(an=[other], ar=[address("192.0.2.1")])) == said
    assert seen(mdns(address("fe80::1"), source="fe80::1")) == said
    assert seen(mdns(other)) == []
    assert seen(mdns(address("192.0.2.1", "printer.example"))) == []
    assert seen(mdns(address("192.0.2.1", ttl=0))) == []
    assert seen(mdns(address("192.0.2.1"), qr=0)) == []


def test_an_mdns_answer_may_repeat_its_questions() -> None:
    """Questions are stepped over, names that point back are followed."""
    asked = [DNSQR(qname="printer.local"), DNSQR(qname="_http._tcp.local")]
    answer = mdns(address("192.0.2.1"), qd=asked, ar=[DNSRROPT()])
    pointed = bytes(DNS(qr=1, qd=[DNSQR(qname="printer.local")], an=[])) + (
        b"\xc0\x0c\0\x01\x80\x01\0\0\0\x78\0\x04\xc0\0\x02\x01"
    )
    pointed = pointed[:6] + b"\0\x01" + pointed[8:]

    assert seen(answer) == sighting(how="mdns", hostname="printer")
    assert seen(IP(src="192.0.2.1") / UDP(sport=5353, dport=5353) / pointed) == sighting(
        how="mdns", hostname="printer"
    )


def test_neighbour_discovery_tells_addresses() -> None:
    """Solicitations and advertisements with the sender's own link-layer address are believed."""
    said = sighting(how="nd", ips=("fe80::1",))

    asking = sighting(how="nd", ips=("fe80::1",), asks="fe80::2")
    assert seen(nd(ICMPv6ND_NS(tgt="fe80::2"), OWN)) == asking
    assert seen(nd(ICMPv6ND_RS(), OWN)) == said
    assert seen(nd(ICMPv6ND_NS(tgt="fe80::2"))) == []
    assert [one.ips for one in seen(nd(ICMPv6ND_NS(tgt="fe80::2"), src="::"))] == [()]
    assert seen(nd(ICMPv6ND_NA(tgt="2001:db8::1"), TARGET)) == sighting(
        how="nd", ips=("2001:db8::1",)
    )


def test_a_router_advertisement_tells_of_router_and_networks() -> None:
    """A lifetime makes a router, 0 ends one; on-link prefixes that are valid are networks here."""
    report = [
        prefix("2001:db8:1::"),
        prefix("2001:db8:2::", L=0),
        prefix("2001:db8:3::", validlifetime=0),
        prefix("fe80::"),
        prefix("2001:db8:4:0:ff::", prefixlen=48),
    ]

    assert seen(nd(ICMPv6ND_RA(routerlifetime=1800), OWN, *report)) == sighting(
        how="ra",
        ips=("fe80::1",),
        is_router=True,
        subnets=("2001:db8:1::/64", "2001:db8:4::/48"),
    )
    assert seen(nd(ICMPv6ND_RA(routerlifetime=0))) == sighting(
        how="ra", ips=("fe80::1",), ends_router=True
    )
    assert seen(nd(ICMPv6ND_RA(), ICMPv6NDOptSrcLLAddr(lladdr=OTHER))) == sighting(
        how="ra", is_router=True
    )


@pytest.mark.parametrize(
    "frame",
    [
        nd(ICMPv6ND_RA(), OWN, hlim=254),
        nd(ICMPv6ND_RA(code=1), OWN),
        nd(ICMPv6ND_RA(), OWN, src="2001:db8::1"),
        nd(ICMPv6ND_RA(), OWN, src="::"),
        nd(ICMPv6ND_RA(), OWN, b"\x05\0"),
        nd(ICMPv6ND_RA(), OWN, b"\x05\x02" + bytes(6)),
        nd(ICMPv6ND_NS(tgt="fe80::2"), ICMPv6NDOptSrcLLAddr(lladdr=HOST, len=0)),
        nd(ICMPv6ND_RA(), *[ICMPv6NDOptMTU()] * 65),
        IPv6(src="fe80::1", hlim=255) / IPv6ExtHdrFragment() / ICMPv6ND_RA(),
    ],
    ids=[
        "hops", "code", "source", "no source", "empty option", "option over the end",
        "empty link option", "options", "fragment",
    ],
)  # fmt: skip
def test_neighbour_discovery_that_a_host_throws_away_tells_nothing(frame: Any) -> None:
    """RFC 4861, 6.1 and 7.1: it may come from beyond the link, or be made to mislead."""
    dissector = Dissector()

    assert dissector.dissect(bytes(Ether(src=HOST) / frame), 1.0, "eth0") == []
    assert dissector.failed == 1


def test_a_router_advertisement_behind_another_header_is_one() -> None:
    """Hosts read it there too; whoever hides one is not to pass unseen."""
    hidden = IPv6(src="fe80::1", hlim=255) / IPv6ExtHdrDestOpt() / ICMPv6ND_RA()

    assert seen(hidden) == sighting(how="ra", ips=("fe80::1",), is_router=True)


def test_plain_traffic_tells_nothing() -> None:
    """Addresses in ordinary packets may be forged or routed: they are not even dissected."""
    assert seen(IP(src="192.0.2.1") / ICMP()) == []


def test_inside_pppoe_nobody_of_this_wire_speaks() -> None:
    """DHCPv6 of a provider comes in PPPoE sessions: its addresses are of another link."""
    packet = bytes(dhcpv6(DHCP6_Reply(), leased("2001:db8::7")))
    session = b"\x88\x64\x11\0\0\x01" + (len(packet) + 2).to_bytes(2, "big") + b"\0\x57"

    assert read(session + packet) == []


def test_crafted_frames_cost_little() -> None:
    """What is looked at is bounded: many records, many options, names of many labels."""
    own = address("192.0.2.1", "printer.local")
    other = address("192.0.2.9", "a.local")
    long = address("192.0.2.1", ".".join("a" * 20) + ".local")

    assert seen(mdns(*[other] * 63, own)) == sighting(how="mdns", hostname="printer")
    assert seen(mdns(*[other] * 64, own)) == []
    assert seen(mdns(long)) == []
    foreign = address("192.0.2.1", "printer.example")
    assert seen(mdns(*[foreign] * 3, own)) == sighting(how="mdns", hostname="printer")
    assert seen(mdns(*[foreign] * 4, own)) == []
    for labels, is_read in ((8, True), (9, False)):
        name = ".".join("a" * labels)
        found = seen(mdns(address("192.0.2.1", f"{name}.local")))
        assert found == (sighting(how="mdns", hostname=name) if is_read else [])
    assert seen(IP(src="192.0.2.1") / UDP(sport=5353, dport=5353) / b"\0\0\x84") == []
    claims = bytes(mdns(other, own)[UDP].payload).replace(b"\0\4\xc0\0\2\x09", b"\xff\xff")
    assert b"\xff\xff" in claims
    assert seen(IP(src="192.0.2.1") / UDP(sport=5353, dport=5353) / claims) == []


def test_a_frame_captured_in_part_is_read_as_far_as_it_goes() -> None:
    """What came before the cut stands, and nothing is broken by it."""
    frame = bytes(Ether(src=HOST) / dhcp(2, [*ACK, ("router", "192.0.2.254")], yiaddr="192.0.2.7"))
    advertised = bytes(Ether(src=HOST) / nd(ICMPv6ND_RA(), OWN, prefix("2001:db8::")))
    dissector = Dissector()

    acknowledged = dissector.dissect(frame[:288], 1.0, "eth0", wire_length=len(frame))
    router = dissector.dissect(advertised[:80], 1.0, "eth0", wire_length=len(advertised))

    assert [one.named for one in acknowledged] == [(), ("192.0.2.7",)]
    assert router == sighting(how="ra", ips=("fe80::1",), is_router=True)
    assert dissector.failed == 0


@pytest.mark.parametrize(
    "frame", [ARP(hwsrc=HOST, psrc="192.0.2.1"), dhcp(1, [("hostname", b"x")])]
)
def test_what_breaks_its_protocol_is_counted(frame: Any) -> None:
    """A message that ends too soon says nothing, and is counted."""
    dissector = Dissector()
    data = bytes(Ether(src=HOST) / frame)[:60]

    assert dissector.dissect(data[:41], 1.0, "eth0", wire_length=400) == []
    assert dissector.failed == 1


DISCOVERY = [
    bytes(Ether(src=HOST) / frame)
    for frame in (
        ARP(hwsrc=HOST, psrc="192.0.2.1"),
        dhcp(1, [("message-type", "request"), ("hostname", b"x")]),
        dhcp(2, [*ACK, ("router", "192.0.2.254")], yiaddr="192.0.2.7"),
        dhcpv6(DHCP6_Reply(), leased("2001:db8::7")),
        dhcpv6(DHCP6_Release(), leased("2001:db8::7"), to_server=True),
        mdns(address("192.0.2.1"), qd=[DNSQR(qname="printer.local")]),
        nd(ICMPv6ND_RA(), OWN, prefix("2001:db8::")),
        nd(ICMPv6ND_NA(tgt="2001:db8::1"), TARGET),
    )
]


@settings(max_examples=300)
@given(st.sampled_from(DISCOVERY), st.data())
def test_no_bytes_break_the_dissector(data: bytes, choice: st.DataObject) -> None:
    """Mutated and cut frames give sightings or nothing, never an exception."""
    changed = bytearray(data)
    for _ in range(choice.draw(st.integers(0, 6))):
        changed[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))

    Dissector().dissect(bytes(changed)[: choice.draw(st.integers(14, len(data)))], 1.0, "eth0")
