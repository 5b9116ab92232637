"""From frames to alerts: who holds an address, who poses as whom, and who is let off for what."""

from __future__ import annotations

import pytest
from tests.detector.wire import Wire

ROUTER, PC, PHONE, EVIL = (f"04:00:00:00:00:{n}" for n in ("01", "10", "20", "66"))
EVIL_ID = EVIL.replace(":", "")
GATEWAY = "198.18.0.1"
VRRP = "00:00:5e:00:01:0a"


def lan(until: int, *, gateway: str = ROUTER, served: bool = True) -> Wire:
    """Return a wire with a router that DHCP names, a PC and a stranger that is a plain host."""
    wire = Wire()
    if served:
        wire.dhcp(2, "04:00:00:00:00:05", "04:00:00:00:00:77", "198.18.0.77")
    wire.lives(gateway, GATEWAY, until, each=10)
    wire.lives(PC, "198.18.0.10", until)
    wire.lives(EVIL, "198.18.0.66", until)
    return wire


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

    assert wire.told("arp-spoof") == {EVIL_ID: "critical"}
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

    assert wire.told("arp-spoof") == {EVIL_ID: "critical"}
    assert wire.after(f"arp-spoof-{EVIL_ID}") <= 102


def test_a_spoofer_need_not_be_a_device() -> None:
    """One claim of a MAC that was never seen is told by the message of who holds the address."""
    wire = lan(200)
    wire.answer(100.5, "04:00:00:00:00:99", GATEWAY, PC)
    wire.run()

    assert wire.told("arp-spoof") == {"040000000099": "critical"}
    assert wire.after("arp-spoof-040000000099") <= 103


def test_a_full_inventory_hides_no_spoofer() -> None:
    """No place for the claimant, no matter."""
    wire = lan(200)
    wire.answer(100.5, "04:00:00:00:00:99", GATEWAY, PC)
    wire.run(capture={"max_devices": 16})

    assert wire.told("arp-spoof") == {"040000000099": "critical"}


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

    assert wire.told("arp-spoof") == {other.replace(":", ""): "critical"}
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

    assert wire.told("arp-spoof") == {}
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

    assert wire.told("arp-spoof") == {}
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

    assert wire.told("arp-spoof") == {EVIL_ID: "warning"}
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

    assert wire.told("arp-spoof") == {two.replace(":", ""): "info"}
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

    assert set(wire.told("arp-spoof").values()) <= {"info"}
    assert wire.open() == set()


def test_what_belongs_together_is_never_told() -> None:
    """``together`` in the configuration ends it, for a router's address too."""
    wire = lan(300)
    for second in range(60, 120, 2):
        wire.answer(second + 0.5, EVIL, GATEWAY, PC)
    wire.run(together=[[ROUTER, EVIL]])

    assert wire.told("arp-spoof") == {}


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
    told = []
    for second, ip in ((0, "198.18.0.50"), (100, "198.18.0.61"), (200, "198.18.0.50")):
        wire.dhcp(second, server, PHONE, ip)
        for number in range(5):
            wire.arp(second + 1 + 10 * number, PHONE, ip)
        told.append(ip)
    wire.asks(99, PHONE, "release", "198.18.0.50")
    wire.dhcp(300, server, PC, "198.18.0.50")
    wire.asks(300.5, PC, "decline", "198.18.0.50")
    wire.arp(301, PHONE, "198.18.0.50")
    wire.lives(PC, "198.18.0.10", 320)
    wire.run()

    assert wire.told("arp-spoof") == {}
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
    assert wire.told("arp-spoof") == {}


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
    assert wire.told("arp-spoof") == {}
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

    assert wire.told("arp-spoof") == {EVIL_ID: "warning"}


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

    assert wire.told("arp-spoof") == {}
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


# --- roles ----------------------------------------------------------------------------------------


def surfs(wire: Wire, until: int, *clients: tuple[str, str], router: str = ROUTER) -> None:
    """Have clients reach public addresses through a router."""
    for second in range(0, until, 5):
        for number, (mac, ip) in enumerate(clients):
            target = f"{9 + (second + number) % 7}.9.9.9"
            wire.syn(second + number / 10, mac, router, ip, target)


def test_a_router_is_who_others_reach_the_world_through() -> None:
    """Two clients, or one where the router is told by DHCP."""
    told, untold, alone = lan(60), lan(60, served=False), lan(60, served=False)
    surfs(told, 60, (PC, "198.18.0.10"))
    surfs(untold, 60, (PC, "198.18.0.10"), (EVIL, "198.18.0.66"))
    surfs(alone, 60, (PC, "198.18.0.10"))

    roles = [wire.run().devices[ROUTER].role for wire in (told, untold, alone)]

    assert roles == ["router", "router", "host"]


@pytest.mark.parametrize("shown", [True, False])
def test_a_router_of_the_group_may_answer_with_its_own_mac(shown: bool) -> None:
    """Others' traffic makes it one of the group; without that it is a stranger, and critical."""
    wire = lan(300, gateway=VRRP)
    wire.lives(ROUTER, "198.18.0.2", 300)
    if shown:
        surfs(wire, 100, (PC, "198.18.0.10"), (EVIL, "198.18.0.66"))
    for second in range(120, 300, 30):
        wire.answer(second + 0.5, ROUTER, GATEWAY, PC)
    wire.run()

    assert wire.told("arp-spoof") == ({} if shown else {"040000000001": "critical"})
    assert GATEWAY in wire.ips(VRRP)


def test_an_advertisement_makes_no_router_and_excuses_nobody() -> None:
    """A host advertises itself in the learning day, then sweeps and starves the DHCP server."""
    wire = lan(200)
    for second in range(0, 200, 10):
        wire.ra(second + 1, EVIL, "fe80::66")
    wire.sweep(100, EVIL, "198.18.0.66", ROUTER)
    wire.run()

    assert wire.devices[EVIL].role == "host"
    assert f"host-sweep-{EVIL_ID}" in wire.first


def test_a_claim_of_the_routers_address_excuses_nobody() -> None:
    """Posing for a moment, or for long, then sweeping: both are told."""
    wire = lan(200)
    for second in (20, 40, 60):
        wire.answer(second + 0.5, EVIL, GATEWAY, PC)
    wire.sweep(100, EVIL, "198.18.0.66", ROUTER)
    wire.run()

    assert {f"host-sweep-{EVIL_ID}", f"arp-spoof-{EVIL_ID}"} <= wire.first.keys()


def test_who_takes_the_routers_place_is_none_though_others_send_through_it() -> None:
    """Victims reach the world through the spoofer: that shows no router."""
    wire = lan(200)
    surfs(wire, 200, (PC, "198.18.0.10"), (PHONE, "198.18.0.20"), router=EVIL)
    for second in range(20, 200, 2):
        wire.answer(second + 0.5, EVIL, GATEWAY, PC)
    wire.sweep(100, EVIL, "198.18.0.66", ROUTER)
    wire.run()

    assert wire.devices[EVIL].role == "host"
    assert f"host-sweep-{EVIL_ID}" in wire.first


@pytest.mark.parametrize("prefix", ["2001:db8::", "2a02:810d:1::"])
def test_a_host_of_many_addresses_is_none(prefix: str) -> None:
    """IPv4, link-local, stable and temporary IPv6, pinged by two monitors: no router."""
    wire = lan(200)
    addresses = ["198.18.0.66", "fe80::66", *(f"{prefix}{n}" for n in range(1, 7))]
    for second in range(120):
        target = addresses[second % len(addresses)]
        for number, monitor in enumerate((PC, PHONE)):
            source = "fe80::9" if ":" in target else f"198.18.0.{10 + number}"
            wire.ping(second + number / 10, monitor, EVIL, source, target)
    wire.sweep(130, EVIL, "198.18.0.66", ROUTER)
    wire.run()

    assert wire.devices[EVIL].role == "host"
    assert f"host-sweep-{EVIL_ID}" in wire.first


def test_a_role_ends_without_evidence() -> None:
    """A day after others last reached anything through it a router is a host again."""
    wire = lan(50)
    surfs(wire, 60, (PC, "198.18.0.10"))
    for hour in range(1, 30):
        wire.arp(3600 * hour, ROUTER, GATEWAY)
    wire.run()

    assert wire.devices[ROUTER].role == "host"


# --- rogue servers and routers --------------------------------------------------------------------


def serve(wire: Wire, server: str, begin: int, until: int, **options: str | None) -> None:
    """Have a DHCP server answer clients, one each ten seconds."""
    for second in range(begin, until, 10):
        client = f"04:00:00:00:70:{second % 7:02x}"
        ip = f"198.18.0.{100 + second % 7}"
        for kind in ("offer", "ack"):
            wire.dhcp(second + 0.1, server, client, ip, kind=kind, **options)  # type: ignore[arg-type]  # texts only


def test_a_redundant_pair_is_no_news_in_the_first_day() -> None:
    """It answers the same client a tenth of a millisecond apart, or shares the clients."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400)
    serve(wire, PHONE, 0, 400)
    serve(wire, PC, 200, 400)
    wire.lives(PHONE, "198.18.0.20", 400)
    wire.run()

    assert wire.told("rogue-dhcp") == {}


def test_a_second_server_that_tells_of_another_router_is_told() -> None:
    """Whoever answered first: the network has two servers that contradict each other."""
    wire = lan(300)
    serve(wire, ROUTER, 0, 300)
    serve(wire, EVIL, 0, 300, router="198.18.0.66")
    wire.run()

    assert list(wire.told("rogue-dhcp").values()) == ["warning"]


def test_a_dhcpv6_server_beside_a_dhcp_server_is_told() -> None:
    """A host that begins to hand out IPv6 addresses where another one serves (mitm6)."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400)
    for second in range(200, 400, 10):
        wire.dhcpv6(second, EVIL, PC, "2001:db8::10")
    wire.run()

    assert wire.told("rogue-dhcp") == {EVIL_ID: "warning"}


def test_a_rogue_server_after_the_first_day_is_critical_and_closes_when_it_stops() -> None:
    """What was learned is all there is."""
    wire = lan(900)
    serve(wire, ROUTER, 0, 900)
    serve(wire, EVIL, 300, 400)
    wire.run(learning_s=100)

    assert wire.told("rogue-dhcp") == {EVIL_ID: "critical"}
    assert wire.open() & {f"rogue-dhcp-{EVIL_ID}"} == set()


@pytest.mark.parametrize(
    ("options", "severity"),
    [({"learning_s": 100}, "critical"), ({"routers": [ROUTER]}, "critical")],
)
def test_a_rogue_router_is_told_and_so_is_its_sweep(
    options: dict[str, object], severity: str
) -> None:
    """A router that nobody knows advertises itself; then it looks for hosts."""
    wire = lan(400)
    for second in range(0, 400, 10):
        wire.ra(second, ROUTER, "fe80::1")
        if second >= 200:
            wire.ra(second + 1, EVIL, "fe80::66")
    wire.sweep(300, EVIL, "198.18.0.66", ROUTER)
    wire.run(**options)

    assert wire.told("rogue-ra") == {EVIL_ID: severity}
    assert wire.after(f"rogue-ra-{EVIL_ID}") <= 207
    assert f"host-sweep-{EVIL_ID}" in wire.first


def test_what_is_no_advertisement_makes_no_rogue() -> None:
    """A lifetime of 0 is no router, a hop limit below 255 no advertisement (RFC 4861)."""
    wire = lan(400)
    for second in range(0, 400, 10):
        wire.ra(second, ROUTER, "fe80::1")
        wire.ra(second + 1, PC, "fe80::10", lifetime=0)
        wire.ra(second + 2, EVIL, "fe80::66", hlim=64)
    wire.run(routers=[ROUTER])

    assert wire.told("rogue-ra") == {}
    assert wire.devices[PC].advertised_at is None
