"""From frames to alerts: the same faults by another protocol, in another order, at another pace."""

from __future__ import annotations

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP
from tests.detector.addressed import EVIL, EVIL_ID, GATEWAY, PC, PHONE, ROUTER, lan
from tests.detector.wire import ALL_NODES, Wire

MASTER, BACKUP = "04:00:00:00:00:e1", "04:00:00:00:00:e2"
VIRTUAL = ("00:00:5e:00:01:0a", "00:00:0c:07:ac:05", "00:00:0c:9f:f1:23")


def kept(wire: Wire, rule: str) -> int:
    """Return how many alerts of a rule were told."""
    return len({alert.id for alert in wire.alerts if alert.rule == rule})


# --- virtual routers ------------------------------------------------------------------------------


@pytest.mark.parametrize("virtual", VIRTUAL)
def test_a_gateway_whose_router_answers_from_its_own_card_is_held(virtual: str) -> None:
    """FreeBSD's CARP names the virtual MAC in answers and sends them from the card's own."""
    wire = Wire()
    wire.lives(MASTER, "198.18.0.2", 400)
    wire.lives(PC, "198.18.0.10", 400)
    wire.lives(EVIL, "198.18.0.66", 400)
    for second in range(5, 400, 10):
        answer = ARP(op=2, hwsrc=virtual, psrc=GATEWAY, hwdst=PC, pdst="198.18.0.10")
        wire.put(second, MASTER, PC, answer)
    for second in range(200, 260, 2):
        wire.answer(second + 0.5, EVIL, GATEWAY, PC)
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}
    assert wire.after(f"arp-spoof-{EVIL_ID}") <= 203


def test_an_ipv6_gateway_whose_router_answers_from_its_own_card_is_held() -> None:
    """The same by neighbour discovery."""
    virtual = "00:00:5e:00:02:0a"
    wire = Wire()
    wire.lives(MASTER, "198.18.0.2", 400)
    wire.lives(PC, "198.18.0.10", 400)
    wire.lives(EVIL, "198.18.0.66", 400)
    for second in range(5, 400, 10):
        wire.na_for(second, MASTER, virtual, "fe80::1")
    for second in range(200, 260, 2):
        wire.na(second + 0.5, EVIL, "fe80::1")
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}


def test_a_failover_between_cards_that_answer_for_a_virtual_router_is_no_news() -> None:
    """The backup names the same virtual MAC from a card of its own."""
    wire = Wire()
    for mac, ip in ((MASTER, "198.18.0.2"), (BACKUP, "198.18.0.3"), (PC, "198.18.0.10")):
        wire.lives(mac, ip, 900)
    for second in range(5, 900, 10):
        answer = ARP(op=2, hwsrc=VIRTUAL[0], psrc=GATEWAY, hwdst=PC, pdst="198.18.0.10")
        wire.put(second, MASTER if second < 400 else BACKUP, PC, answer)
    wire.run()

    assert wire.reported("arp-spoof") == {}


@pytest.mark.parametrize("successor", ["00:00:5e:00:01:01", MASTER])
def test_a_virtual_router_that_was_replaced_is_told_once_and_closes(successor: str) -> None:
    """From one protocol to another, or to a single router: nobody is there who could insist."""
    wire = Wire()
    wire.lives(PC, "198.18.0.10", 3000)
    for second in range(0, 3000, 5):
        wire.answer(second, VIRTUAL[1] if second < 600 else successor, GATEWAY, PC)
    wire.run()

    assert wire.reported("arp-spoof") == {successor.replace(":", ""): "critical"}
    assert kept(wire, "arp-spoof") == 1
    assert wire.open() == set()
    assert wire.ips(successor) == [GATEWAY]


@pytest.mark.parametrize("claims", [True, False])
def test_a_virtual_router_that_is_there_holds_for_hours(claims: bool) -> None:
    """Nobody asks for it while its hosts keep the forged answer; its own frames show it."""
    wire = Wire()
    wire.lives(PC, "198.18.0.10", 5000)
    for second in range(0, 5000, 5):
        if claims or second < 600:
            wire.answer(second, VIRTUAL[0], GATEWAY, PC)
        else:
            wire.syn(second, VIRTUAL[0], PC, "9.9.9.9", "198.18.0.10")
        if second > 1000:
            wire.answer(second + 1, EVIL, GATEWAY, PC)
    wire.run()

    assert wire.open() == {f"arp-spoof-{EVIL_ID}"}
    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}
    assert GATEWAY in wire.ips(VIRTUAL[0])


# --- routers that advertise themselves ------------------------------------------------------------


def test_a_pair_of_ipv6_routers_is_learned_in_the_first_day() -> None:
    """Routers advertise themselves each ten minutes or so (RFC 4861, 6.2.1): the second one too."""
    wire = lan(4000)
    for second in range(20, 4000, 600):
        wire.ra(second, ROUTER, "fe80::1")
        wire.ra(second + 400, MASTER, "fe80::2")
    wire.run()

    assert wire.reported("rogue-ra") == {}


def test_a_rogue_router_that_advertises_each_ten_minutes_is_one_alert() -> None:
    """Hosts use it for half an hour after each word of it: so long it is there."""
    wire = lan(9000)
    for second in range(20, 9000, 300):
        wire.ra(second, ROUTER, "fe80::1")
    for second in range(3000, 6000, 590):
        wire.ra(second, EVIL, "fe80::66")
    wire.run(learning_s=600)

    assert wire.reported("rogue-ra") == {EVIL_ID: "critical"}
    assert kept(wire, "rogue-ra") == 1
    assert wire.open() == set()


def test_a_name_server_by_router_advertisement_needs_no_router() -> None:
    """A lifetime of 0 makes no router, yet hosts take the name server in it (RFC 8106)."""
    wire = lan(900)
    for second in range(20, 900, 100):
        wire.ra(second, ROUTER, "fe80::1")
    for second in range(600, 800, 20):
        body = ICMPv6ND_RA(routerlifetime=0) / ICMPv6NDOptSrcLLAddr(lladdr=EVIL)
        dns = ICMPv6NDOptRDNSS(dns=["2001:db8::66"], lifetime=600)
        head = IPv6(src="fe80::66", dst="ff02::1", hlim=255)
        wire.put(second, EVIL, ALL_NODES, head / body / dns)
    wire.run(learning_s=300)

    assert wire.reported("rogue-ra") == {EVIL_ID: "critical"}


def test_a_border_router_of_things_is_no_router() -> None:
    """Thread border routers advertise with lifetime 0 and no name server, all day."""
    wire = lan(900)
    for second in range(20, 900, 100):
        wire.ra(second, ROUTER, "fe80::1")
        wire.ra(second + 50, PHONE, "fe80::20", lifetime=0)
    wire.run(learning_s=300)

    assert wire.reported("rogue-ra") == {}


# --- who serves in which VLAN ---------------------------------------------------------------------


def test_each_vlan_has_a_server_of_its_own() -> None:
    """On a trunk two servers name two routers: neither contradicts the other, on any day."""
    wire = Wire()
    for second in range(5, 1500, 100):
        wire.dhcp(second, ROUTER, PC, "198.18.0.10", vlan=10)
        if second > 300:
            wire.dhcp(second + 50, MASTER, PHONE, "198.18.8.10", router="198.18.8.1", vlan=20)
    wire.run()

    assert wire.reported("rogue-dhcp") == {}


def test_a_stranger_in_a_vlan_that_has_a_server_is_told() -> None:
    """Beside the other VLAN's server: it names another router than its own VLAN's."""
    wire = Wire()
    for second in range(5, 900, 100):
        wire.dhcp(second, ROUTER, PC, "198.18.0.10", vlan=10)
        wire.dhcp(second + 20, MASTER, PHONE, "198.18.8.10", router="198.18.8.1", vlan=20)
        if second > 500:
            wire.dhcp(second + 50, EVIL, PHONE, "198.18.8.77", router="198.18.8.66", vlan=20)
    wire.run()

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}


@pytest.mark.parametrize("day", ["first", "later"])
def test_nobody_is_known_everywhere_by_a_vlan_that_has_no_server(day: str) -> None:
    """It serves where nobody does, is learned, and then comes where somebody does."""
    wire = Wire()
    for second in range(5, 1500, 100):
        wire.dhcp(second, ROUTER, PC, "198.18.0.10", vlan=10)
        vlan = 30 if second < 800 else 10
        wire.dhcp(second + 50, EVIL, PHONE, "198.18.0.77", router="198.18.0.66", vlan=vlan)
    wire.run(learning_s=86_400 if day == "first" else 600)

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning" if day == "first" else "critical"}


def test_a_server_of_two_vlans_comes_into_a_third() -> None:
    """Nobody serves there, and nothing it says there contradicts anybody."""
    wire = Wire()
    for second in range(5, 1500, 100):
        for vlan in (10, 20) if second < 800 else (10, 20, 30):
            wire.dhcp(second + vlan, ROUTER, PC, f"198.18.{vlan}.10", vlan=vlan)
    wire.run(learning_s=600)

    assert wire.reported("rogue-dhcp") == {}


# --- conflicts that last --------------------------------------------------------------------------


@pytest.mark.parametrize("each_s", [100, 280, 500, 700, 1300])
def test_a_lasting_conflict_is_told_twice_a_night_at_most(each_s: int) -> None:
    """Two devices with one fixed address, for hours, whatever their pace."""
    hours = 6 * 3600
    wire = lan(600)
    wire.lives(PHONE, "198.18.0.20", hours, each=60)
    for second in range(120, hours, each_s):
        wire.arp(second, EVIL, "198.18.0.20")
    wire.run()

    assert kept(wire, "arp-spoof") <= 2


# --- sweeps ---------------------------------------------------------------------------------------


def solicit(wire: Wire, at_s: float, mac: str, ip: str, wanted: str) -> None:
    """Ask for a neighbour by IPv6."""
    head = IPv6(src=ip, dst="ff02::1:ff00:9", hlim=255)
    wire.put(at_s, mac, "33:33:ff:00:00:09",
             head / ICMPv6ND_NS(tgt=wanted) / ICMPv6NDOptSrcLLAddr(lladdr=mac))  # fmt: skip


@pytest.mark.parametrize("each_s", [2.0, 10.0])
def test_a_sweep_by_neighbour_discovery_is_named(each_s: float) -> None:
    """Whoever tries ``::1`` to ``::ff`` asks for neighbours that nobody is."""
    wire = lan(int(60 + 255 * each_s + 300))
    for number in range(1, 255):
        solicit(wire, 60 + number * each_s, EVIL, "2001:db8::66", f"2001:db8::{number:x}")
    wire.run()

    assert wire.reported("host-sweep") == {EVIL_ID: "warning"}
    assert wire.open() == set()


def test_a_host_that_talks_to_its_ipv6_neighbours_is_no_sweep() -> None:
    """Sixty that answer, and a few that are gone."""
    wire = lan(900)
    for number in range(60):
        for at_s in (10 + number, 500 + number):
            solicit(wire, at_s, PC, "2001:db8::10", f"2001:db8::1:{number:x}")
            wire.na(at_s + 0.01, f"04:00:00:00:02:{number:02x}", f"2001:db8::1:{number:x}", S=1)
            solicit(wire, at_s + 0.5, PC, "2001:db8::10", f"2001:db8::9:{number % 7:x}")
    wire.run()

    assert wire.reported("host-sweep") == {}
