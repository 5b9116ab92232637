"""From frames to alerts: several VLANs on one wire, and several of what is one elsewhere."""

from __future__ import annotations

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from tests.detector.addressed import EVIL, EVIL_ID, GATEWAY, PC, PHONE, ROUTER, lan
from tests.detector.wire import T0, Wire

MASTER, BACKUP = "04:00:00:00:00:e1", "04:00:00:00:01:e2"


def advertise(wire: Wire, mac: str, vlan: int, begin: int, until: int) -> None:
    """Advertise a router in a VLAN each five minutes."""
    for second in range(begin, until, 300):
        wire.ra(second, mac, f"fe80::{mac[-2:]}", vlan=vlan)


# --- routers by VLAN ------------------------------------------------------------------------------


def test_each_vlan_has_routers_of_its_own() -> None:
    """One comes up an hour after the other, in a VLAN that has none; then its partner does."""
    wire = lan(7000)
    advertise(wire, ROUTER, 10, 20, 7000)
    advertise(wire, MASTER, 20, 3600, 7000)
    advertise(wire, BACKUP, 20, 4200, 7000)
    wire.run()

    assert wire.reported("rogue-ra") == {}
    assert wire.devices[MASTER].advertised_vlans == [[20]]


def test_a_router_that_comes_late_into_a_vlan_that_has_one_is_told() -> None:
    """It is the only one in none: the other VLAN's router does not make it late."""
    wire = lan(6000)
    advertise(wire, ROUTER, 10, 20, 6000)
    advertise(wire, MASTER, 20, 50, 6000)
    advertise(wire, EVIL, 20, 3600, 6000)
    wire.run()

    assert wire.reported("rogue-ra") == {EVIL_ID: "warning"}


@pytest.mark.parametrize("day", ["first", "later"])
def test_no_router_is_known_everywhere_by_a_vlan_that_has_none(day: str) -> None:
    """It advertises itself where nobody does, is learned, and then comes where somebody does."""
    wire = lan(6000)
    advertise(wire, ROUTER, 10, 20, 6000)
    advertise(wire, EVIL, 30, 60, 3000)
    advertise(wire, EVIL, 10, 3060, 6000)
    wire.run(learning_s=86_400 if day == "first" else 2500)

    assert wire.reported("rogue-ra") == {EVIL_ID: "warning" if day == "first" else "critical"}
    assert wire.after(f"rogue-ra-{EVIL_ID}") <= 3067


def test_a_router_of_two_vlans_comes_into_a_third() -> None:
    """Nobody is there: the owner made a network, on any day."""
    wire = lan(6000)
    for number, vlan in enumerate((10, 20)):
        advertise(wire, ROUTER, vlan, 20 + number, 6000)
    advertise(wire, ROUTER, 30, 3030, 6000)
    wire.run(learning_s=2500)

    assert wire.reported("rogue-ra") == {}
    assert wire.devices[ROUTER].advertised_vlans == [[30], [20], [10]]


def test_a_router_that_leaves_one_vlan_stays_in_the_other() -> None:
    """A lifetime of 0 ends it where it is said."""
    wire = lan(900)
    for second in range(20, 800, 100):
        wire.ra(second, ROUTER, "fe80::1", vlan=10)
        wire.ra(second + 1, ROUTER, "fe80::1", vlan=20, lifetime=1800 if second < 500 else 0)
    wire.run()

    assert wire.devices[ROUTER].advertised_vlans == [[10]]
    assert wire.devices[ROUTER].advertised_at is not None


# --- a server of many VLANs -----------------------------------------------------------------------


def test_a_server_of_seventy_vlans_tells_nothing_new() -> None:
    """It names another router in each, as often as there are clients."""
    wire = Wire()
    for second in range(5, 2000, 2):
        vlan = 10 + second // 2 % 70
        wire.dhcp(second, ROUTER, PC, f"198.18.{vlan}.10", router=f"198.18.{vlan}.1", vlan=vlan)
    wire.run(learning_s=900)

    assert wire.reported("rogue-dhcp") == {}


def serve(
    wire: Wire, server: str, vlan: int, begin: int, until: int, *, router: str = "", dns: str
) -> None:
    """Hand out addresses in a VLAN, each hundred seconds."""
    for second in range(begin, until, 100):
        wire.dhcp(
            second + vlan / 100, server, PC, f"198.18.{vlan}.10", vlan=vlan,
            router=router or f"198.18.{vlan}.1", more=[("name_server", dns)],
        )  # fmt: skip


def test_a_network_that_comes_after_the_first_day_is_no_change() -> None:
    """The server that is known has a router and a name server for each; a second router is told."""
    wire = Wire()
    serve(wire, ROUTER, 10, 5, 2000, dns="198.18.10.53")
    serve(wire, ROUTER, 20, 1000, 2000, dns="198.18.20.53")
    serve(wire, ROUTER, 10, 2000, 2300, router="198.18.20.1", dns="198.18.10.53")
    wire.run(learning_s=800)

    (alert,) = wire.first.values()
    assert alert.opened_at.timestamp() - T0 > 2000
    assert "another router, 198.18.20.1 (before: 198.18.10.1)" in alert.summary


def test_what_is_right_in_one_vlan_contradicts_in_another() -> None:
    """A stranger names the guests' name server to everybody else."""
    wire = Wire()
    serve(wire, ROUTER, 10, 5, 900, dns="198.18.10.53")
    serve(wire, ROUTER, 20, 5, 900, dns="198.18.20.53")
    serve(wire, EVIL, 10, 30, 900, dns="198.18.20.53")
    wire.run()

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}


def test_what_a_server_sends_to_a_relay_serves_nobody_there() -> None:
    """It comes again from the relay, where the clients are: networks that come are no change."""
    wire = Wire()
    for second in range(5, 2000, 100):
        for vlan in (10, 20) if second > 1000 else (10,):
            ip, router = f"198.18.{vlan}.10", f"198.18.{vlan}.1"
            answer = DHCP(options=[("message-type", "ack"), ("router", router), "end"])
            boot = BOOTP(op=2, yiaddr=ip, giaddr=router, chaddr=bytes.fromhex("040000000010"))
            head = IP(src="198.18.9.5", dst=router) / UDP(sport=67, dport=67)
            wire.put(second + vlan / 100, MASTER, ROUTER, head / boot / answer, 99)
            wire.dhcp(second + vlan / 100 + 0.01, ROUTER, PC, ip, router=router, vlan=vlan)
    wire.lives(MASTER, "198.18.9.5", 2000, vlan=99)
    wire.lives(PC, "198.18.10.10", 900, vlan=10)
    wire.run(learning_s=800)

    assert wire.reported("rogue-dhcp") == {}
    assert not wire.devices[MASTER].dhcp_server
    assert [one.vlan for one in wire.devices[PC].addresses] == [[10], [20]]


def test_a_phone_that_goes_to_another_vlan_leaves_its_address() -> None:
    """It takes the guests' network: nobody pings what it had before. A trunk's server has both."""
    wire = Wire()
    for mac, host in ((PHONE, 20), (MASTER, 30)):
        wire.dhcp(5, ROUTER, mac, f"198.18.10.{host}", vlan=10)
        wire.dhcp(305, ROUTER, mac, f"198.18.20.{host}", router="198.18.20.1", vlan=20)
        for second in range(6, 800, 20):
            if second < 300 or mac == MASTER:
                wire.arp(second, mac, f"198.18.10.{host}", 10)
            if second > 300:
                wire.arp(second + 1, mac, f"198.18.20.{host}", 20)
    wire.run()

    assert wire.ips(PHONE) == ["198.18.20.20"]
    assert wire.ips(MASTER) == ["198.18.10.30", "198.18.20.30"]


# --- several ports, several addresses -------------------------------------------------------------


def test_four_ports_of_one_machine_are_told_once() -> None:
    """A server whose four ports answer in turn is one note."""
    ports = [f"24:5e:be:00:00:{number:02x}" for number in range(0x23, 0x27)]
    wire = lan(900)
    for second in range(0, 900, 4):
        wire.answer(second, ports[second // 4 % 4], "198.18.0.21", PC)
    wire.run()

    assert list(wire.reported("arp-spoof").values()) == ["info"]
    assert wire.open() == set()


def test_a_router_that_answers_for_forty_ipv6_neighbours_takes_none_from_its_holder() -> None:
    """Neighbour discovery for others (RFC 4389): the first is its own."""
    wire = lan(900)
    for second in range(5, 900, 5):
        wire.syn(second, PC, ROUTER, "198.18.0.10", f"9.9.9.{second % 250}")
    for second in range(5, 900, 20):
        wire.ra(second, ROUTER, "fe80::1")
        wire.na(second + 0.5, ROUTER, "2001:db8::1")
        wire.na(second + 1, ROUTER, f"2001:db8::1:{second:x}")
        wire.na(second + 2, PHONE, "2001:db8::20")
        wire.na(second + 3, ROUTER, "2001:db8::20")
    wire.run()

    assert wire.reported("arp-spoof") == {}
    assert wire.ips(ROUTER) == [GATEWAY, "2001:db8::1", "fe80::1"]
    assert wire.ips(PHONE) == ["2001:db8::20"]


@pytest.mark.parametrize("lasts", [False, True])
def test_two_hundred_ipv6_addresses_that_move_are_no_flood(lasts: bool) -> None:
    """A failover advertises each to all nodes at once; one that goes on for seconds is a flood."""
    wire = lan(200)
    for begin in range(60, 66) if lasts else (60, 65):
        for number in range(200):
            wire.na(begin + number / 1000, MASTER, f"2001:db8::1:{number:x}")
    wire.run()

    key = "icmp-flood-" + MASTER.replace(":", "")
    assert [one.opened_at.timestamp() - T0 < 64 for one in wire.first.values()] == [True] * lasts
    assert set(wire.first) == ({key} if lasts else set())
