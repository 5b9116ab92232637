"""From frames to alerts: who holds an address, and who poses as whom."""

from __future__ import annotations

import pytest
from tests.detector.addressed import EVIL, EVIL_ID, GATEWAY, PC, PHONE, ROUTER, VRRP, lan
from tests.detector.wire import Wire

# --- a router's address ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gateway",
    [
        ROUTER, VRRP, "00:00:5e:00:02:0a", "00:00:0c:07:ac:05", "00:00:0c:9f:f1:23",
        "00:05:73:a0:01:02", "00:07:b4:00:01:01",
    ],
)  # fmt: skip
def test_a_poisoned_gateway_is_told_at_once(gateway: str) -> None:
    """Whatever its MAC, virtual or not: critical within two seconds, and closed when it is over."""
    wire = lan(600, gateway=gateway)
    for second in range(60, 120, 2):
        wire.answer(second + 0.5, EVIL, GATEWAY, PC)
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}
    assert wire.after(f"arp-spoof-{EVIL_ID}") <= 62.5
    assert wire.open() == set()
    assert wire.ips(gateway) == [GATEWAY]


def test_a_poisoned_ipv6_gateway_is_told_at_once() -> None:
    """Neighbour advertisements with the override flag for the address of one that advertises."""
    wire = lan(300)
    for second in range(0, 300, 10):
        wire.ra(second, ROUTER, "fe80::1")
        wire.na(second + 1, ROUTER, "2001:db8::1", R=1)
    for number in range(300):
        wire.na(100 + number / 50, EVIL, "2001:db8::1", R=1, O=1)
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}
    assert wire.after(f"arp-spoof-{EVIL_ID}") <= 102


def test_an_attack_that_is_older_than_the_first_lease_is_critical_once_it_is_seen() -> None:
    """Whose address it is that two fight for is known with the first answer of a DHCP server."""
    wire = Wire()
    wire.lives(ROUTER, GATEWAY, 200, each=10)
    wire.lives(PC, "198.18.0.10", 200)
    for second in range(0, 200, 2):
        wire.answer(second + 0.1, EVIL, GATEWAY, PC)
    wire.dhcp(60, "04:00:00:00:00:05", "04:00:00:00:00:77", "198.18.0.77")
    wire.run()

    severities = [one.severity for one in wire.alerts if one.rule == "arp-spoof"]
    assert list(dict.fromkeys(severities)) == ["warning", "critical"]
    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}


def test_a_spoofer_need_not_be_a_device() -> None:
    """One claim of a MAC never seen is reported by the message of who holds the address."""
    wire = lan(200)
    wire.answer(100.5, "04:00:00:00:00:99", GATEWAY, PC)
    wire.run()

    assert wire.reported("arp-spoof") == {"040000000099": "critical"}
    assert wire.after("arp-spoof-040000000099") <= 103


def test_a_full_inventory_hides_no_spoofer() -> None:
    """No place for the claimant, no matter."""
    wire = lan(200)
    wire.answer(100.5, "04:00:00:00:00:99", GATEWAY, PC)
    wire.run(capture={"max_devices": 16})

    assert wire.reported("arp-spoof") == {"040000000099": "critical"}


def test_a_planned_failover_of_the_gateway_is_told_once_and_closes() -> None:
    """Two routers without a virtual MAC: over and back five minutes later."""
    other = "04:00:00:00:00:e2"
    wire = Wire()
    wire.dhcp(10, "04:00:00:00:00:05", "04:00:00:00:00:77", "198.18.0.77")
    wire.lives(ROUTER, "198.18.0.2", 1000)
    wire.lives(other, "198.18.0.3", 1000)
    for second, mac in ((1, ROUTER), (300, other), (600, ROUTER)):
        for number in range(5):
            wire.arp(second + number / 100, mac, GATEWAY)
    wire.run()

    assert wire.reported("arp-spoof") == {other.replace(":", ""): "critical"}
    assert wire.last[f"arp-spoof-{other.replace(':', '')}"].closed_at is not None
    assert wire.ips(ROUTER) == [GATEWAY, "198.18.0.2"]


# --- other addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("v6", [False, True])
def test_a_service_address_that_moves_once_is_no_news(v6: bool) -> None:
    """Both machines stay, each with its own address; the old one loses the service's at once."""
    a, b = "04:00:00:00:00:0a", "04:00:00:00:00:2b"
    wire = lan(900)
    ip = "2001:db8::53" if v6 else "198.18.0.53"
    claim = wire.na if v6 else wire.arp
    wire.lives(a, "198.18.0.2", 900)
    wire.lives(b, "198.18.0.3", 900)
    for second in range(0, 900, 60):
        claim(second + 1, a if second < 300 else b, ip)
    wire.run()

    assert wire.reported("arp-spoof") == {}
    assert ip not in wire.ips(a)
    assert ip in wire.ips(b)


def test_a_phone_that_roams_to_a_repeater_and_back_is_no_news() -> None:
    """The repeater speaks for it while it is there."""
    repeater = "04:00:00:00:00:e0"
    wire = lan(700)
    wire.lives(repeater, "198.18.0.4", 700)
    for second in range(0, 700, 30):
        wire.arp(second + 3, repeater if 200 <= second < 400 else PHONE, "198.18.0.20")
    wire.run()

    assert wire.reported("arp-spoof") == {}
    assert wire.ips(PHONE) == ["198.18.0.20"]
    assert wire.ips(repeater) == ["198.18.0.4"]


def test_two_that_fight_stay_told_and_close_when_it_is_over() -> None:
    """Two devices with one fixed address, for ten minutes."""
    wire = lan(1200)
    for second in range(0, 600, 40):
        wire.arp(second + 5, PHONE, "198.18.0.20")
        if second >= 80:
            wire.arp(second + 25, EVIL, "198.18.0.20")
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "warning"}
    alert = wire.last[f"arp-spoof-{EVIL_ID}"]
    assert alert.state == "closed"
    assert alert.closed_at is not None
    assert (alert.closed_at - alert.opened_at).total_seconds() > 600
    assert len({one.id for one in wire.alerts if one.rule == "arp-spoof"}) == 1


def test_ports_of_one_machine_are_told_once_as_info() -> None:
    """Linux bonding in mode 6 answers with either port's MAC, for ever."""
    one, two = "24:5e:be:00:00:23", "24:5e:be:00:00:24"
    wire = lan(900)
    for second in range(0, 900, 4):
        wire.answer(second, one, "198.18.0.21", PC)
        wire.answer(second + 2, two, "198.18.0.21", PC)
    wire.run()

    assert wire.reported("arp-spoof") == {two.replace(":", ""): "info"}
    assert wire.open() == set()


def test_a_sleep_proxy_is_told_once_as_info_at_most() -> None:
    """It answers for one that sleeps, which takes its address back each time it wakes."""
    proxy = "04:00:00:00:00:aa"
    wire = lan(1800)
    wire.lives(proxy, "198.18.0.8", 1800)
    for begin in range(0, 1600, 200):
        for second in range(begin, begin + 60, 15):
            wire.arp(second, PHONE, "198.18.0.20")
        for second in range(begin + 61, begin + 199, 30):
            wire.answer(second, proxy, "198.18.0.20", PC)
    wire.run()

    assert set(wire.reported("arp-spoof").values()) <= {"info"}
    assert wire.open() == set()


def test_what_belongs_together_is_never_told() -> None:
    """``together`` in the configuration ends it, for a router's address too."""
    wire = lan(300)
    for second in range(60, 120, 2):
        wire.answer(second + 0.5, EVIL, GATEWAY, PC)
    wire.run(together=[[ROUTER, EVIL]])

    assert wire.reported("arp-spoof") == {}


@pytest.mark.parametrize("native", [False, True])
def test_one_range_in_three_vlans_is_three_networks(native: bool) -> None:
    """A router, a PC and a camera each, with the same addresses, and a DHCP server each."""
    wire = Wire()
    for number, vlan in enumerate((None if native else 10, 20, 30)):
        router, host = f"04:00:00:00:{number:02x}:01", f"04:00:00:00:{number:02x}:10"
        for second in range(0, 600, 30):
            wire.dhcp(second, router, host, "198.18.0.10", vlan=vlan)
            wire.arp(second + 1, host, "198.18.0.10", vlan)
            wire.answer(second + 1.1, router, GATEWAY, host, vlan)
    wire.run()

    assert wire.alerts == []
    assert wire.ips("04:00:00:00:02:10") == ["198.18.0.10"]
    assert wire.devices["04:00:00:00:02:10"].addresses[0].vlan == [30]


def test_leases_end_and_come_back() -> None:
    """RELEASE and a new lease, DECLINE, and the first lease again: one address at a time."""
    wire = lan(100)
    server = ROUTER
    reported = []
    for second, ip in ((0, "198.18.0.50"), (100, "198.18.0.61"), (200, "198.18.0.50")):
        wire.dhcp(second, server, PHONE, ip)
        for number in range(5):
            wire.arp(second + 1 + 10 * number, PHONE, ip)
        reported.append(ip)
    wire.asks(99, PHONE, "release", "198.18.0.50")
    wire.dhcp(300, server, PC, "198.18.0.50")
    wire.asks(300.5, PC, "decline", "198.18.0.50")
    wire.arp(301, PHONE, "198.18.0.50")
    wire.lives(PC, "198.18.0.10", 320)
    wire.run()

    assert wire.reported("arp-spoof") == {}
    assert wire.ips(PHONE) == ["198.18.0.50"]
    assert wire.ips(PC) == ["198.18.0.10"]


def test_clients_behind_a_repeater_are_where_their_frames_are() -> None:
    """Ten clients whose MACs are not on this wire; a lease of one changes."""
    repeater = "04:00:00:00:00:e0"
    wire = lan(700)
    for number in range(10):
        client = f"04:00:00:00:0c:{number:02x}"
        for second in range(0, 700, 60):
            ip = f"198.18.0.{100 + number + (50 if number == 3 and second >= 300 else 0)}"
            wire.dhcp(second + number, ROUTER, client, ip, to=repeater)
            wire.arp(second + number + 5, repeater, ip)
    wire.run()

    expected = {f"198.18.0.{100 + n}" for n in range(10) if n != 3} | {"198.18.0.153"}
    assert set(wire.ips(repeater)) == expected
    assert not [mac for mac in wire.devices if mac.startswith("04:00:00:00:0c")]
    assert wire.reported("arp-spoof") == {}


def test_naming_another_address_of_a_router_takes_nothing_from_the_first() -> None:
    """A forged answer of a DHCP server, and then the address that everybody sends to is claimed."""
    wire = lan(1500, served=False)
    wire.lives(ROUTER, "198.18.0.254", 1500, each=10)
    for second in range(5, 1200, 5):
        for host in (PC, PHONE):
            wire.syn(second, host, ROUTER, "198.18.0.10", f"9.9.9.{second % 250}")
    wire.lives(PHONE, "198.18.0.20", 1500)
    wire.dhcp(1200, EVIL, PHONE, "198.18.0.20", router="198.18.0.254")
    wire.answer(1210, EVIL, GATEWAY, PC)
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}


def test_a_router_answers_for_all_from_the_first_second() -> None:
    """Local proxy ARP (ports that are apart): the hosts speak only after it answered for them."""
    wire = Wire()
    wire.dhcp(0.1, ROUTER, PC, "198.18.0.10")
    hosts = [(f"04:00:00:00:01:{number:02x}", f"198.18.0.{100 + number}") for number in range(6)]
    for turn, second in enumerate(range(1, 300, 2)):
        (asker, own), (_, wanted) = hosts[turn % 6], hosts[(5 * turn + 1) % 6]
        if second > 20:
            wire.arp(second, asker, own, wanted=wanted)
        wire.answer(second + 0.001, ROUTER, wanted, asker)
        wire.syn(second + 0.1, asker, ROUTER, own, f"8.8.8.{turn % 5}")
        if second > 15:
            wire.arp(second + 0.2, ROUTER, GATEWAY, wanted=own)
    wire.run()

    assert wire.reported("arp-spoof") == {}
    assert GATEWAY in wire.ips(ROUTER)
    assert all(own in wire.ips(mac) for mac, own in hosts)


@pytest.mark.parametrize("owned", [False, True])
def test_a_router_that_answers_for_forty_keeps_its_own_address(owned: bool) -> None:
    """Proxy ARP; some of those it answers for may be here and answer too (client isolation)."""
    wire = lan(500)
    for second in range(5, 500):
        wire.answer(second + 0.1, ROUTER, f"198.18.0.{100 + second % 40}", PC)
        if owned and second % 10 == 0:
            mac = f"04:00:00:00:30:{second // 10 % 5:02x}"
            wire.arp(second + 0.3, mac, f"198.18.0.{100 + second // 10 % 5}")
    wire.run()

    assert wire.ips(ROUTER) == [GATEWAY]
    assert wire.reported("arp-spoof") == {}
    if owned:
        assert wire.ips("04:00:00:00:30:02") == ["198.18.0.102"]


def test_who_answers_for_everybody_is_no_router_by_that() -> None:
    """A stranger that claims every host's address poisons the LAN."""
    wire = lan(300)
    for number in range(12):
        wire.lives(f"04:00:00:00:40:{number:02x}", f"198.18.0.{100 + number}", 300, each=15)
    for second in range(100, 200, 5):
        for number in range(12):
            wire.answer(second + number / 100, EVIL, f"198.18.0.{100 + number}", PC)
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "warning"}


@pytest.mark.parametrize(("mask", "last"), [("255.255.255.0", 255), ("255.255.255.128", 127)])
def test_broadcast_and_network_addresses_are_nobodys(mask: str, last: int) -> None:
    """Speakers that answer for the broadcast address hold nothing and fight nobody."""
    wire = lan(600, served=False)
    wire.dhcp(5, ROUTER, PC, "198.18.0.10", mask=mask)
    for second in range(0, 600, 20):
        for number in range(3):
            speaker = f"04:00:00:00:50:{number:02x}"
            wire.answer(second + number / 10, speaker, f"198.18.0.{last}", PC)
            wire.answer(second + number / 10, speaker, "198.18.0.0", PC)
            wire.arp(second + 5 + number, speaker, f"198.18.0.{30 + number}")
    wire.run()

    assert wire.reported("arp-spoof") == {}
    assert wire.ips("04:00:00:00:50:00") == ["198.18.0.30"]


def test_ipv6_addresses_without_end_leave_the_ipv4_address() -> None:
    """Forty temporary addresses in a day; the list is of both families, and they are marked."""
    wire = lan(50)
    wire.arp(1, PHONE, "198.18.0.20")
    for number in range(40):
        wire.na(20 + 600 * number, PHONE, f"2001:db8::a1b2:{number:x}c3:d4e5:f6a7")
        wire.na(25 + 600 * number, PHONE, "fe80::20")
        wire.put(300 + 600 * number, PHONE, ROUTER, b"x" * 50)
    wire.run()

    assert {"198.18.0.20", "fe80::20"} <= set(wire.ips(PHONE))
    temporary = {one.ip: one.temporary for one in wire.devices[PHONE].addresses}
    assert 3 < sum(temporary.values()) < 10
    assert not temporary["fe80::20"]
    assert wire.alerts == []
