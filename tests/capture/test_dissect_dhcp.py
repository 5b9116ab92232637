"""What DHCP and DHCPv6 frames say about clients, servers, routers and name servers."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.dhcp6 import (
    DUID_EN,
    DUID_LLT,
    DHCP6_Advertise,
    DHCP6_Decline,
    DHCP6_RelayForward,
    DHCP6_RelayReply,
    DHCP6_Release,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6OptBootFileUrl,
    DHCP6OptDNSDomains,
    DHCP6OptDNSServers,
    DHCP6OptIA_PD,
    DHCP6OptIAPrefix,
    DHCP6OptRelayMsg,
    DHCP6OptStatusCode,
)
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    IPv6,
)
from scapy.packet import Raw
from tests.capture.discovery_frames import (
    ACK,
    CLIENT,
    OFFER,
    OTHER,
    OTHER_RAW,
    RAW,
    dhcp,
    dhcpv6,
    leased,
    seen,
    sighting,
)

from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import Sighting


def test_dhcp_tells_name_address_router_and_mask() -> None:
    """A client tells its name, the server's ACK its address, the routers' and the network."""
    request = dhcp(1, [("message-type", "request"), ("hostname", b"printer")])
    report = [("router", "192.0.2.254", "192.0.2.253"), ("subnet_mask", "255.255.255.128")]
    ack = dhcp(2, ACK + report, yiaddr="192.0.2.7", chaddr=OTHER_RAW)
    offer = dhcp(2, OFFER + report, yiaddr="192.0.2.7", chaddr=OTHER_RAW)
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
    report = [
        ("name_server", "192.0.2.53", "192.0.2.54"),
        ("domain", b"home"),
        (121, bytes([0, 192, 0, 2, 254, 9, 10, 128, 192, 0, 2, 66])),
        (249, bytes([32, 198, 51, 100, 7, 192, 0, 2, 66])),
        (252, b"http://w/p\n\xff"),
        (66, b"boot"),
        (150, bytes([192, 0, 2, 5])),
    ]

    assert seen(dhcp(2, OFFER + report, yiaddr="192.0.2.7"))[0].directions == (
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


RELAY, BOOT = ("relay", "192.0.2.99"), ("boot-next", "192.0.2.98")


@pytest.mark.parametrize(
    ("fields", "options", "directions"),
    [
        ({}, [], ()),
        ({"giaddr": "192.0.2.99"}, [], (RELAY,)),
        ({"siaddr": "192.0.2.98"}, [], ()),
        ({"file": b"pxe.0"}, [], ()),
        ({"siaddr": "192.0.2.98", "file": b"pxe.0"}, [], (BOOT,)),
        ({"siaddr": "192.0.2.98", "giaddr": "192.0.2.99"}, [(67, b"pxe.0")], (RELAY, BOOT)),
        ({"siaddr": "192.0.2.98", "file": b"\x00\xff"}, [(52, b"\x01")], ()),
        ({"siaddr": "192.0.2.98", "file": b"pxe.0"}, [(52, b"\x02")], (BOOT,)),
        (
            {},
            [(33, bytes([10, 0, 0, 0, 192, 0, 2, 1, 10, 1, 0, 0, 192, 0, 2, 2, 9]))],
            (("route", "10.0.0.0 via 192.0.2.1"), ("route", "10.1.0.0 via 192.0.2.2")),
        ),
        ({}, [(33, bytes([10, 0, 0, 0, 192, 0, 2]))], ()),
    ],
)
def test_what_the_fields_of_dhcp_say_beside_its_options(
    fields: dict[str, Any], options: list[Any], directions: tuple[tuple[str, str], ...]
) -> None:
    """By which relay an answer came, and what is booted from where: a server alone says nothing."""
    answer = dhcp(2, [*OFFER, *options], yiaddr="192.0.2.7", **fields)

    assert seen(answer)[0].directions == directions


@pytest.mark.parametrize("routes", [b"\x21", b"\x18\xc0\x00\x02\xc0\x00", b"\x20"])
def test_broken_routes_tell_nothing(routes: bytes) -> None:
    """A network larger than an address, a router in part, nothing behind the size."""
    assert seen(dhcp(2, [*OFFER, (121, routes)], yiaddr="192.0.2.7"))[0].directions == ()


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


def test_what_stands_behind_the_end_of_the_options_counts_for_nothing() -> None:
    """A client need not clear its buffer (RFC 2132, 3.2); zeros before it are passed over."""
    options = [("message-type", "request"), "pad", "pad", ("hostname", b"printer")]

    assert seen(dhcp(1, [*options, "end", ("hostname", b"-of-old")])) == sighting(
        how="dhcp", hostname="printer"
    )


@pytest.mark.parametrize("mask", ["0.0.0.0", "255.0.255.0", "0.255.255.255"])
def test_a_mask_with_holes_tells_no_network(mask: str) -> None:
    """Only a run of ones from the left is a mask."""
    ack = dhcp(2, [*ACK, ("subnet_mask", mask)], yiaddr="192.0.2.7")

    assert [one.subnets for one in seen(ack)] == [(), ()]


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
        directions=(
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


def test_a_datagram_longer_than_its_packet_says_nothing() -> None:
    """Hosts drop it: the lengths must agree, so nobody believes it."""
    packet = bytes(dhcp(1, [("message-type", "request"), ("hostname", b"printer")]))
    dissector = Dissector()

    short = packet[:2] + (56).to_bytes(2, "big") + packet[4:]
    found = dissector.dissect(bytes.fromhex("ffffffffffff") + RAW + b"\x08\0" + short, 1.0, "eth0")

    assert found == []
    assert dissector.failed == 1
