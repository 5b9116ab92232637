"""From frames to alerts: who is a router or a server, and is let off for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.detector.addressed import EVIL, EVIL_ID, GATEWAY, PC, PHONE, ROUTER, VRRP, lan

if TYPE_CHECKING:
    from tests.detector.wire import Wire

# --- roles ----------------------------------------------------------------------------------------


def surfs(wire: Wire, until: int, *clients: tuple[str, str], router: str = ROUTER) -> None:
    """Have clients reach public addresses through a router."""
    for second in range(0, until, 5):
        for number, (mac, ip) in enumerate(clients):
            target = f"{9 + (second + number) % 7}.9.9.9"
            wire.syn(second + number / 10, mac, router, ip, target)


def test_a_router_is_who_others_reach_the_world_through() -> None:
    """Two clients, or one where the router is told by DHCP."""
    reported, untold, alone = lan(60), lan(60, served=False), lan(60, served=False)
    surfs(reported, 60, (PC, "198.18.0.10"))
    surfs(untold, 60, (PC, "198.18.0.10"), (EVIL, "198.18.0.66"))
    surfs(alone, 60, (PC, "198.18.0.10"))

    roles = [wire.run().devices[ROUTER].role for wire in (reported, untold, alone)]

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

    assert wire.reported("arp-spoof") == ({} if shown else {"040000000001": "critical"})
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
    """Posing for a moment, or for long, then sweeping: both are reported."""
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

    assert wire.reported("rogue-dhcp") == {}


def test_a_second_server_that_tells_of_another_router_is_told() -> None:
    """Whoever answered first: the network has two servers that contradict each other."""
    wire = lan(300)
    serve(wire, ROUTER, 0, 300)
    serve(wire, EVIL, 0, 300, router="198.18.0.66")
    wire.run()

    assert list(wire.reported("rogue-dhcp").values()) == ["warning"]


def test_a_dhcpv6_server_beside_a_dhcp_server_is_told() -> None:
    """A host that begins to hand out IPv6 addresses where another one serves (mitm6)."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400)
    for second in range(200, 400, 10):
        wire.dhcpv6(second, EVIL, PC, "2001:db8::10")
    wire.run()

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}


def test_a_rogue_server_after_the_first_day_is_critical_and_closes_when_it_stops() -> None:
    """What was learned is all there is, for who sends clients anywhere else."""
    wire = lan(900)
    serve(wire, ROUTER, 0, 900)
    serve(wire, EVIL, 300, 400, router="198.18.0.66")
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "critical"}
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

    assert wire.reported("rogue-ra") == {EVIL_ID: severity}
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

    assert wire.reported("rogue-ra") == {}
    assert wire.devices[PC].advertised_at is None
