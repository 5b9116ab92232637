"""Lines of "What it cannot see" in docs/detection.md that are about hosts and servers, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from tests.detector.addressed import EVIL, EVIL_ID, GATEWAY, PC, ROUTER, lan
from tests.detector.windows import Detector, at, device, probe, window
from tests.detector.wire import ALL_NODES, Wire, raw

from monitorpi_common.messages import ProbeSource
from monitorpi_detector.hosts.servers import MAX_STATEMENTS, Servers

if TYPE_CHECKING:
    from monitorpi_detector.hosts.statements import Statement

DNS, FORGED = "198.18.0.53", "198.18.0.66"


def serve(wire: Wire, mac: str, begin: int, until: int, dns: str = DNS) -> None:
    """Answer a client each ten seconds."""
    for second in range(begin, until, 10):
        wire.dhcp(second + 0.1, mac, PC, "198.18.0.10", more=[("name_server", dns)])


def test_a_server_of_the_first_minute_is_known() -> None:
    """Where nobody contradicts it."""
    wire = lan(400, served=False)
    serve(wire, EVIL, 0, 400, FORGED)
    wire.run()

    assert wire.reported("rogue-dhcp") == {}


def test_a_router_of_the_first_half_hour_is_known() -> None:
    """A pair of routers advertises itself so seldom."""
    wire = lan(2000, served=False)
    for second in range(0, 2000, 100):
        wire.ra(second, ROUTER, "fe80::1")
        if second >= 1500:
            wire.ra(second + 1, EVIL, "fe80::66")
    wire.run()

    assert wire.reported("rogue-ra") == {}


def test_answers_to_inform_are_nobodys_directions() -> None:
    """Who hands out no address is no server, whatever name server he tells of."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400)
    for second in range(200, 400, 10):
        options = [("message-type", "ack"), ("server_id", FORGED), ("name_server", FORGED)]
        boot = BOOTP(op=2, ciaddr="198.18.0.10", chaddr=raw(PC)) / DHCP(options=[*options, "end"])
        wire.put(
            second, EVIL, PC, IP(src=FORGED, dst="198.18.0.10") / UDP(sport=67, dport=68) / boot
        )
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {}


def test_name_servers_that_a_known_router_advertises_are_not_compared() -> None:
    """Router advertisements say who routes, and no more."""
    wire = lan(400)
    for second in range(0, 400, 10):
        dns = "2001:db8::53" if second < 200 else "2001:db8::66"
        body = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=ROUTER)
        head = IPv6(src="fe80::1", dst="ff02::1", hlim=255)
        wire.put(second, ROUTER, ALL_NODES, head / body / ICMPv6NDOptRDNSS(dns=[dns], lifetime=600))
    wire.run(learning_s=100)

    assert {key for key in wire.first if "rogue" in key} == set()


def test_who_sends_from_the_holders_own_mac_is_not_told_from_it() -> None:
    """The claim of an address from the MAC address that holds it."""
    wire = lan(300)
    for second in range(150, 250, 2):
        wire.answer(second, ROUTER, GATEWAY, PC)
    wire.run()

    assert wire.reported("arp-spoof") == {}


def test_who_imitates_a_relay_in_everything_is_one() -> None:
    """It leads nobody astray; addresses it gives out twice are told by their holders."""
    wire = lan(600, served=False)
    for second in range(0, 600, 10):
        by, relay = (ROUTER, GATEWAY) if second < 300 else (EVIL, FORGED)
        wire.dhcp(second, by, PC, "198.18.0.10", itself="10.0.0.5", relay=relay)
    wire.run(learning_s=100)

    assert wire.devices[EVIL].dhcp_server
    assert wire.reported("rogue-dhcp") == {}


def test_an_address_that_was_only_answered_for_goes_to_who_claims_it() -> None:
    """Of a box with three addresses or more that it never speaks from: a note at most."""
    wire = lan(500)
    for second in range(0, 500, 5):
        for number in range(4):
            ip = f"198.18.0.{40 + number}"
            wire.arp(second + number, PC, "198.18.0.10", wanted=ip)
            wire.answer(second + number + 0.01, "04:00:00:00:00:30", ip, PC)
        if 300 <= second < 400:
            wire.answer(second + 0.5, EVIL, "198.18.0.41", PC)
    wire.run()

    assert wire.reported("arp-spoof") in ({}, {"040000000030": "info"})
    assert EVIL_ID not in wire.reported("arp-spoof")


def test_what_a_server_of_a_hundred_vlans_begins_to_say_is_not_seen() -> None:
    """What is remembered of one server is bounded."""
    servers = Servers((), ())
    says: list[Statement] = []
    for vlan in range(MAX_STATEMENTS // 2):
        says += [("vlan", str(vlan)), (f"dns@{vlan}", DNS)]
    servers.see(ROUTER, 0.0, 0.0, says, learns=True)
    few = Servers((), ())
    few.see(ROUTER, 0.0, 0.0, says[:20], learns=True)
    news = [("vlan", "3"), ("dns@3", FORGED)]

    assert servers.see(ROUTER, 10.0, 10.0, news, learns=False) is None
    assert few.see(ROUTER, 10.0, 10.0, news, learns=False) is not None


@pytest.mark.parametrize(("own", "keys"), [(True, []), (False, [f"host-sweep-{EVIL_ID}"])])
def test_a_sweep_from_a_probers_own_mac_is_not_seen(own: bool, keys: list[str]) -> None:
    """It announces that it looks for hosts."""
    detector = Detector()
    source = ProbeSource(mac=EVIL if own else PC, ip=FORGED, echo_per_s=1.0, arp_per_s=1.0)
    swept = device(EVIL, 20, FORGED, asked_in_vain=80, asked_at=at(20))

    detector.take(window(0), probe(10, source=source), window(11))
    detector.take(swept, *[window(second) for second in range(20, 30)])

    assert [key for key in detector.open() if key.startswith("host-sweep")] == keys
