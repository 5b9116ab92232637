"""From frames to alerts: who asks for addresses nobody has, and who keeps others from one."""

from __future__ import annotations

import pytest
from tests.detector.wire import Wire

ROUTER, PC, PHONE, EVIL = (f"04:00:00:00:00:{n}" for n in ("01", "10", "20", "66"))
EVIL_ID = EVIL.replace(":", "")
GATEWAY, OWN = "198.18.0.1", "198.18.0.66"


def lan(until: int, hosts: int = 20) -> Wire:
    """Return a wire with a router that DHCP names and hosts that ask for it now and then."""
    wire = Wire()
    wire.dhcp(2, ROUTER, "04:00:00:00:00:77", "198.18.0.77")
    wire.lives(ROUTER, GATEWAY, until)
    wire.lives(EVIL, OWN, until)
    for number in range(hosts):
        wire.lives(f"04:00:00:00:01:{number:02x}", f"198.18.0.{100 + number}", until, each=60)
    return wire


def sweep(wire: Wire, mac: str, ip: str, begin: float, each_s: float) -> float:
    """Have a host ask for every address of the network; those that are there answer."""
    for number in range(1, 255):
        at_s, wanted = begin + number * each_s, f"198.18.0.{number}"
        wire.arp(at_s, mac, ip, wanted=wanted)
        if 100 <= number < 120:
            wire.answer(at_s + 0.001, f"04:00:00:00:01:{number - 100:02x}", wanted, mac)
    return begin + 255 * each_s


# --- sweeps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("each_s", [2.0, 10.0, 0.05])
def test_an_arp_sweep_is_named_at_any_pace(each_s: float) -> None:
    """Told when fifty addresses that nobody has were asked for, and closed when it is over."""
    begin = 60
    end = begin + 255 * each_s
    wire = lan(int(end) + 300)
    sweep(wire, EVIL, OWN, begin, each_s)
    wire.run()

    assert wire.reported("host-sweep") == {EVIL_ID: "warning"}
    assert {one.rule for one in wire.alerts} == {"host-sweep"}
    assert wire.after(f"host-sweep-{EVIL_ID}") <= begin + 52 * each_s + 10
    assert "ARP sweep" in wire.first[f"host-sweep-{EVIL_ID}"].summary
    assert wire.open() == set()


def test_probes_without_a_sender_sweep_too() -> None:
    """Tools ask from 0.0.0.0 so that nobody learns their address."""
    wire = lan(700)
    sweep(wire, EVIL, "0.0.0.0", 60, 2.0)
    wire.run()

    assert wire.reported("host-sweep") == {EVIL_ID: "warning"}


def test_a_long_fast_sweep_is_one_alert() -> None:
    """A storm of ARP is told as that, whatever it asks for."""
    wire = lan(400)
    for number in range(2400):
        wanted = f"198.18.{number // 250}.{1 + number % 250}"
        wire.arp(60 + number / 200, EVIL, OWN, wanted=wanted)
    wire.run()

    assert {one.rule for one in wire.alerts} == {"arp-storm"}


def test_ordinary_requests_are_no_sweep() -> None:
    """A host that talks to all others, looks for its printers that are gone, and announces."""
    wire = lan(1800, hosts=60)
    for second in range(30, 1800, 2):
        wanted = f"198.18.0.{100 + second // 2 % 60}"
        wire.arp(second, PC, "198.18.0.10", wanted=wanted)
        wire.answer(second + 0.001, f"04:00:00:00:01:{second // 2 % 60:02x}", wanted, PC)
        wire.arp(second + 0.5, PHONE, "198.18.0.20", wanted=f"198.18.0.{200 + second % 30}")
        wire.arp(second + 0.7, EVIL, f"198.18.1.{second % 250}", wanted=f"198.18.1.{second % 250}")
    wire.run()

    assert wire.reported("host-sweep") == {}


@pytest.mark.parametrize("one_machine", [True, False])
def test_who_gets_an_answer_asks_for_somebody(one_machine: bool) -> None:
    """A server with eighty addresses; a wrong netmask and a router that answers for all beyond."""
    wire = lan(400)
    answers = EVIL if one_machine else ROUTER
    network = "198.18.0" if one_machine else "198.18.7"
    for number in range(80):
        at_s, wanted = 60 + 3 * number, f"{network}.{130 + number}"
        wire.arp(at_s, PC, "198.18.0.10", wanted=wanted)
        wire.answer(at_s + 0.001, answers, wanted, PC)
    wire.run()

    assert wire.reported("host-sweep") == {}
    assert {one.rule for one in wire.alerts} == set()


def test_devices_that_are_away_are_not_asked_for_in_vain() -> None:
    """A monitor that looks for sixty hosts behind a switch that is out."""
    wire = lan(300, hosts=60)
    wire.lives(PC, "198.18.0.10", 1500)
    for second in range(600, 1500):
        wire.arp(second, PC, "198.18.0.10", wanted=f"198.18.0.{100 + second % 60}")
    wire.run()

    assert wire.reported("host-sweep") == {}


def test_routers_and_known_dhcp_servers_may_look_for_anybody() -> None:
    """What comes from beyond is looked for by the router; a server tries what it offers."""
    wire = lan(900)
    for second in range(30, 900, 10):
        for client in (PC, PHONE):
            wire.ping(second, client, EVIL, "198.18.0.10", f"203.0.113.{second % 90}")
    sweep(wire, EVIL, OWN, 200, 2.0)
    sweep(wire, ROUTER, GATEWAY, 200, 2.0)
    wire.run()

    assert wire.devices[EVIL].role == "router"
    assert wire.reported("host-sweep") == {}


def test_a_sweep_of_a_few_is_not_seen() -> None:
    """Fewer than fifty within an hour, and those of an hour before are forgotten."""
    wire = lan(4200)
    for number in range(84):
        wire.arp(60 + 49 * number, EVIL, OWN, wanted=f"198.18.0.{150 + number % 48}")
    wire.run()

    assert wire.reported("host-sweep") == {}


# --- denial of addresses --------------------------------------------------------------------------


@pytest.mark.parametrize("v6", [True, False])
def test_who_answers_every_newcomer_is_told_once(v6: bool) -> None:
    """Hosts try one address after the other, and none of them is free."""
    wire = lan(900)
    for number in range(30):
        at_s, host = 100 + 4 * number, f"04:00:00:00:02:{number // 3:02x}"
        ip = f"2001:db8::{number + 16:x}" if v6 else f"198.18.0.{150 + number}"
        wire.tries(at_s, host, ip)
        if v6:
            wire.na(at_s + 0.02, EVIL, ip)
        else:
            wire.answer(at_s + 0.02, EVIL, ip, host)
    wire.run()

    assert wire.reported("address-denial") == {EVIL_ID: "critical"}
    assert {one.rule for one in wire.alerts} == {"address-denial"}
    assert len({one.id for one in wire.alerts}) == 1
    assert wire.after(f"address-denial-{EVIL_ID}") <= 115
    assert wire.open() == set()


@pytest.mark.parametrize("v6", [True, False])
def test_one_duplicate_is_none(v6: bool) -> None:
    """Whoever holds the address says so, as often as it is tried, seen before or not."""
    wire = lan(600)
    ip = "2001:db8::66" if v6 else "198.18.0.67"
    for at_s in range(100, 500, 20):
        wire.tries(at_s, PHONE, ip)
        if v6:
            wire.na(at_s + 0.02, EVIL, ip)
        else:
            wire.answer(at_s + 0.02, EVIL, ip, PHONE)
    wire.run()

    assert wire.reported("address-denial") == {}


def test_a_host_that_takes_what_it_tried_denies_nobody() -> None:
    """It announces two seconds later, or another one speaks for it: a repeater, a bridge."""
    wire = lan(600)
    repeater = "04:00:00:00:00:e0"
    for number in range(20):
        host, ip = f"04:00:00:00:02:{number:02x}", f"198.18.0.{150 + number}"
        wire.tries(100 + 10 * number, host, ip)
        wire.arp(102 + 10 * number, host, ip, wanted=ip)
        wire.arp(102.1 + 10 * number, repeater, ip, wanted=ip)
    wire.run()

    assert wire.reported("address-denial") == {}


def test_a_device_that_holds_many_addresses_denies_nobody() -> None:
    """Copies of one machine with the same addresses: the first one defends what it holds."""
    wire = lan(600)
    ips = [f"2001:db8::a{number}" for number in range(6)]
    for number, ip in enumerate(ips):
        wire.na(50 + number, PC, ip)
        wire.tries(200 + 2 * number, PHONE, ip)
        wire.na(200.02 + 2 * number, PC, ip)
    wire.run()

    assert wire.reported("address-denial") == {}


def test_a_denier_with_a_mac_for_each_answer_is_not_seen() -> None:
    """Nobody is to be named who denies more than one."""
    wire = lan(400)
    for number in range(20):
        ip = f"198.18.0.{150 + number}"
        wire.tries(200 + 4 * number, PHONE, ip)
        wire.answer(200.02 + 4 * number, f"06:00:00:00:00:{number:02x}", ip, PHONE)
    wire.run()

    assert wire.reported("address-denial") == {}


def test_a_denier_is_told_though_the_inventory_is_full() -> None:
    """It needs no place of its own beforehand."""
    wire = lan(300)
    for number in range(10):
        ip = f"198.18.0.{150 + number}"
        wire.tries(200 + 4 * number, PHONE, ip)
        wire.answer(200.02 + 4 * number, "04:00:00:00:00:99", ip, PHONE)
    wire.run(capture={"max_devices": 16})

    assert wire.reported("address-denial") == {"040000000099": "critical"}
