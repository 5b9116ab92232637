"""What ARP, NDP, DHCP and mDNS frames tell about devices, and what is not believed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_EN,
    DUID_LL,
    DUID_LLT,
    DHCP6_Advertise,
    DHCP6_Decline,
    DHCP6_RelayForward,
    DHCP6_RelayReply,
    DHCP6_Release,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6OptBootFileUrl,
    DHCP6OptClientId,
    DHCP6OptDNSDomains,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIA_PD,
    DHCP6OptIAAddress,
    DHCP6OptIAPrefix,
    DHCP6OptRelayMsg,
    DHCP6OptStatusCode,
)
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRROPT
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import Dissector, is_telling
from monitorpi_capture.items import Sighting

HOST = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"
RAW = bytes.fromhex("020000000001")
OTHER_RAW = bytes.fromhex("020000000002")


def read(typed: bytes) -> list[Sighting]:
    """Return what a frame from HOST tells, given from its EtherType on."""
    data = bytes.fromhex("ffffffffffff") + RAW + typed
    if not is_telling(data, classify(data, len(data))):
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


def dhcp(op: int, options: list[Any], **fields: Any) -> Any:
    """Return a DHCP message about HOST."""
    ports = (68, 67) if op == 1 else (67, 68)
    message = BOOTP(**({"op": op, "chaddr": RAW} | fields)) / DHCP(options=[*options, "end"])
    return IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=ports[0], dport=ports[1]) / message


ACK = [("message-type", "ack")]
OFFER = [("message-type", "offer")]


def test_dhcp_tells_name_address_router_and_mask() -> None:
    """A client tells its name, the server's ACK its address, the routers' and the network."""
    request = dhcp(1, [("message-type", "request"), ("hostname", b"printer")])
    told = [("router", "192.0.2.254", "192.0.2.253"), ("subnet_mask", "255.255.255.128")]
    ack = dhcp(2, ACK + told, yiaddr="192.0.2.7", chaddr=OTHER_RAW)
    offer = dhcp(2, OFFER + told, yiaddr="192.0.2.7", chaddr=OTHER_RAW)
    both = ("192.0.2.254", "192.0.2.253")
    serves = sighting(how="dhcp", serves_dhcp=True, router_ips=both)

    assert seen(request) == sighting(how="dhcp", hostname="printer")
    assert seen(offer) == serves
    assert seen(ack) == [
        *serves,
        Sighting(
            OTHER_RAW, 1.0, "eth0", "dhcp",
            sender=RAW, named=("192.0.2.7",), subnets=("192.0.2.0/25",),
            router_ips=("192.0.2.254", "192.0.2.253"),
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["offer", "ack", "nak"])
def test_who_hands_out_no_address_is_no_dhcp_server(kind: str) -> None:
    """A boot server beside the real one, an answer to an INFORM and a refusal give nothing."""
    answer = dhcp(2, [("message-type", kind), ("router", "192.0.2.254")], yiaddr="0.0.0.0")

    assert seen(answer) == []
    assert seen(dhcp(2, [("message-type", "nak")], yiaddr="192.0.2.7")) == []


def test_dhcp_tells_what_clients_are_sent_to() -> None:
    """Name servers, domain, routes of both numbers, proxy and boot server, as short text."""
    told = [
        ("name_server", "192.0.2.53", "192.0.2.54"),
        ("domain", b"home"),
        (121, bytes([0, 192, 0, 2, 254, 9, 10, 128, 192, 0, 2, 66])),
        (249, bytes([32, 198, 51, 100, 7, 192, 0, 2, 66])),
        (252, b"http://w/p\n\xff"),
        (66, b"boot"),
        (150, bytes([192, 0, 2, 5])),
    ]

    assert seen(dhcp(2, OFFER + told, yiaddr="192.0.2.7"))[0].told == (
        ("dns", "192.0.2.53"),
        ("dns", "192.0.2.54"),
        ("domain", "home"),
        ("boot", "boot"),
        ("boot", "192.0.2.5"),
        ("route", "0.0.0.0/0 via 192.0.2.254"),
        ("route", "10.128.0.0/9 via 192.0.2.66"),
        ("route", "198.51.100.7/32 via 192.0.2.66"),
        ("proxy", "http://w/p"),
    )


@pytest.mark.parametrize("routes", [b"\x21", b"\x18\xc0\x00\x02\xc0\x00", b"\x20"])
def test_broken_routes_tell_nothing(routes: bytes) -> None:
    """A network larger than an address, a router in part, nothing behind the size."""
    assert seen(dhcp(2, [*OFFER, (121, routes)], yiaddr="192.0.2.7"))[0].told == ()


def test_dhcp_release_and_decline_end_an_address() -> None:
    """What a client gives up is in ciaddr, what it refuses in option 50; a relay is named."""
    release = dhcp(1, [("message-type", "release")], ciaddr="192.0.2.7")
    decline = dhcp(1, [("message-type", "decline"), ("requested_addr", "192.0.2.8")])
    relayed = dhcp(1, [("message-type", "release")], ciaddr="192.0.2.7", chaddr=OTHER_RAW)

    assert seen(release) == sighting(how="dhcp", ended=("192.0.2.7",))
    assert seen(decline) == sighting(how="dhcp", ended=("192.0.2.8",))
    assert seen(relayed) == [
        Sighting(OTHER_RAW, 1.0, "eth0", "dhcp", sender=RAW, ended=("192.0.2.7",))
    ]


def test_another_s_dhcp_name_is_not_believed() -> None:
    """A name is of who sends it: chaddr may say anything."""
    request = dhcp(1, [("message-type", "request"), ("hostname", b"x")], chaddr=OTHER_RAW)

    assert seen(request) == []


def test_dhcp_options_may_be_split_and_stand_in_the_name_fields() -> None:
    """Parts of one option are joined (RFC 3396); option 52 says that file and sname hold some."""
    split = dhcp(1, [("message-type", "request"), ("hostname", b"prin"), ("hostname", b"ter")])
    spread = dhcp(
        1,
        [("message-type", "request"), ("dhcp-option-overload", 3)],
        file=b"\x0c\x07printer\xff",
        sname=b"\x00\x32\x04\xc0\x00\x02\x07\xff",
    )

    assert seen(split) == sighting(how="dhcp", hostname="printer")
    assert seen(spread) == sighting(how="dhcp", hostname="printer")


@pytest.mark.parametrize("mask", ["0.0.0.0", "255.0.255.0", "0.255.255.255"])
def test_a_mask_with_holes_tells_no_network(mask: str) -> None:
    """Only a run of ones from the left is a mask."""
    ack = dhcp(2, [*ACK, ("subnet_mask", mask)], yiaddr="192.0.2.7")

    assert [one.subnets for one in seen(ack)] == [(), ()]


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


@pytest.mark.parametrize(
    "client", [CLIENT, DUID_LLT(lladdr=OTHER, timeval=1)], ids=["link", "link and time"]
)
def test_dhcpv6_tells_who_serves_and_the_client_s_address(client: Any) -> None:
    """A REPLY names the address of the client, whose id holds its MAC."""
    serves = sighting(how="dhcpv6", serves_dhcp=True)
    reply = dhcpv6(DHCP6_Reply(), leased("2001:db8::7"), client=client)
    advertise = dhcpv6(DHCP6_Advertise(), leased("2001:db8::7"), client=client)

    assert seen(advertise) == serves
    assert seen(reply) == [
        *serves,
        Sighting(OTHER_RAW, 1.0, "eth0", "dhcpv6", sender=RAW, named=("2001:db8::7",)),
    ]


def test_a_dhcpv6_client_without_a_mac_in_its_id_stays_unknown() -> None:
    """An id by number of the maker says who serves and no more."""
    reply = dhcpv6(DHCP6_Reply(), leased("2001:db8::7"), client=DUID_EN(enterprisenum=9, id=b"x"))

    assert seen(reply) == sighting(how="dhcpv6", serves_dhcp=True)


def test_a_delegated_prefix_is_served_too_and_names_nobody() -> None:
    """A prefix with a lifetime is handed out, but is no address."""
    prefix = DHCP6OptIAPrefix(prefix="2001:db8::", plen=56, preflft=1, validlft=1)
    delegated = dhcpv6(DHCP6_Reply(), DHCP6OptIA_PD(iaid=1, T1=0, T2=0, iapdopt=[prefix]))

    assert seen(delegated) == sighting(how="dhcpv6", serves_dhcp=True)


def test_stateless_dhcpv6_serves_name_servers() -> None:
    """A REPLY without an address tells of name servers, domains and what to boot."""
    reply = dhcpv6(
        DHCP6_Reply(),
        DHCP6OptDNSServers(dnsservers=["2001:db8::53"]),
        DHCP6OptDNSDomains(dnsdomains=["home.arpa", "lan"]),
        DHCP6OptBootFileUrl(optdata=b"tftp://x/y"),
    )

    assert seen(reply) == sighting(
        how="dhcpv6",
        serves_dhcp=True,
        told=(
            ("dns-v6", "2001:db8::53"),
            ("domain-v6", "home.arpa"),
            ("domain-v6", "lan"),
            ("boot-v6", "tftp://x/y"),
        ),
    )
    refusal = dhcpv6(DHCP6_Advertise(), DHCP6OptDNSServers(dnsservers=["2001:db8::53"]))
    assert seen(refusal) == []


def test_dhcpv6_without_a_lease_serves_nothing() -> None:
    """Answers without an address, or with one whose lifetime is over, hand out nothing."""
    assert seen(dhcpv6(DHCP6_Reply())) == []
    assert seen(dhcpv6(DHCP6_Advertise(), DHCP6OptStatusCode(statuscode=2))) == []
    assert seen(dhcpv6(DHCP6_Reply(), leased("2001:db8::7", valid_s=0))) == []
    assert seen(dhcpv6(DHCP6_Request(), leased("2001:db8::7"), to_server=True)) == []


@pytest.mark.parametrize("message", [DHCP6_Release, DHCP6_Decline])
def test_dhcpv6_release_and_decline_end_an_address(message: Any) -> None:
    """Who gives an address up without a relay is the frame's own sender, whatever its id says."""
    ended = dhcpv6(message(), leased("2001:db8::7", valid_s=0), to_server=True)

    assert seen(ended) == sighting(how="dhcpv6", ended=("2001:db8::7",))


def test_dhcpv6_is_read_through_relays() -> None:
    """Eight deep: a relayed client is known by its id, and who sends to a relay serves nobody."""

    def relayed(message: Any, times: int, relay: Any) -> Any:
        inner = bytes(message[UDP].payload)
        for _ in range(times):
            inner = bytes(relay(peeraddr="fe80::2") / DHCP6OptRelayMsg(message=Raw(inner)))
        return IPv6(src="fe80::1") / UDP(sport=547, dport=547) / inner

    release = dhcpv6(DHCP6_Release(), leased("2001:db8::7"), to_server=True)
    reply = dhcpv6(DHCP6_Reply(), leased("2001:db8::7"))

    assert seen(relayed(release, 1, DHCP6_RelayForward)) == [
        Sighting(OTHER_RAW, 1.0, "eth0", "dhcpv6", sender=RAW, ended=("2001:db8::7",))
    ]
    assert seen(relayed(reply, 8, DHCP6_RelayReply)) == [
        Sighting(OTHER_RAW, 1.0, "eth0", "dhcpv6", sender=RAW, named=("2001:db8::7",))
    ]
    assert seen(relayed(reply, 9, DHCP6_RelayReply)) == []


def mdns(*records: Any, source: str = "192.0.2.1", **fields: Any) -> Any:
    """Return an mDNS answer."""
    network = IPv6(src=source) if ":" in source else IP(src=source, dst="224.0.0.251")
    message = DNS(**({"qr": 1, "aa": 1, "qd": [], "an": list(records)} | fields))
    return network / UDP(sport=5353, dport=5353) / message


def address(ip: str, name: str = "printer.local", **fields: Any) -> Any:
    """Return an address record."""
    kind = "AAAA" if ":" in ip else "A"
    return DNSRR(**({"rrname": name, "type": kind, "rdata": ip, "ttl": 120} | fields))


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


def nd(message: Any, *options: Any, **fields: Any) -> Any:
    """Return a neighbour discovery message."""
    network = IPv6(**({"src": "fe80::1", "dst": "ff02::1", "hlim": 255} | fields)) / message
    for option in options:
        network /= option
    return network


OWN = ICMPv6NDOptSrcLLAddr(lladdr=HOST)
TARGET = ICMPv6NDOptDstLLAddr(lladdr=HOST)


def test_neighbour_discovery_tells_addresses() -> None:
    """Solicitations and advertisements with the sender's own link-layer address are believed."""
    said = sighting(how="nd", ips=("fe80::1",))

    assert seen(nd(ICMPv6ND_NS(tgt="fe80::2"), OWN)) == said
    assert seen(nd(ICMPv6ND_RS(), OWN)) == said
    assert seen(nd(ICMPv6ND_NS(tgt="fe80::2"))) == []
    assert [one.ips for one in seen(nd(ICMPv6ND_NS(tgt="fe80::2"), src="::"))] == [()]
    assert seen(nd(ICMPv6ND_NA(tgt="2001:db8::1"), TARGET)) == sighting(
        how="nd", ips=("2001:db8::1",)
    )


def prefix(network: str, **fields: Any) -> Any:
    """Return a prefix option."""
    return ICMPv6NDOptPrefixInfo(**({"prefix": network, "prefixlen": 64} | fields))


def test_a_router_advertisement_tells_of_router_and_networks() -> None:
    """A lifetime makes a router, 0 ends one; on-link prefixes that are valid are networks here."""
    told = [
        prefix("2001:db8:1::"),
        prefix("2001:db8:2::", L=0),
        prefix("2001:db8:3::", validlifetime=0),
        prefix("fe80::"),
        prefix("2001:db8:4:0:ff::", prefixlen=48),
    ]

    assert seen(nd(ICMPv6ND_RA(routerlifetime=1800), OWN, *told)) == sighting(
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
    assert seen(IP(src="192.0.2.1") / UDP(sport=5353, dport=5353) / b"\0\0\x84") == []


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


TELLING = [
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


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TELLING), st.data())
def test_no_bytes_break_the_dissector(data: bytes, choice: st.DataObject) -> None:
    """Mutated and cut frames give sightings or nothing, never an exception."""
    changed = bytearray(data)
    for _ in range(choice.draw(st.integers(0, 6))):
        changed[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))

    Dissector().dissect(bytes(changed)[: choice.draw(st.integers(14, len(data)))], 1.0, "eth0")
