"""From frames to alerts: who answers for others (proxy ARP, NDP proxies), and who does not."""

from __future__ import annotations

import random

import pytest
from tests.detector.addressed import EVIL, EVIL_ID, GATEWAY, PC, ROUTER
from tests.detector.wire import Wire

HOSTS = [f"04:00:00:00:01:{number:02x}" for number in range(6)]
ROUTER_ID = ROUTER.replace(":", "")


def ip(number: int, v6: bool = False) -> str:
    """Return the address of a host."""
    return f"2001:db8::1{number:02x}" if v6 else f"198.18.0.{100 + number}"


def apart(
    wire: Wire, until: int, *, each: float, proxy: str = ROUTER, both: bool, seed: int = 3,
    v6: bool = False,
) -> None:  # fmt: skip
    """Have hosts ask for each other and for the router, and a box answer for each of them.

    Args:
        wire: where.
        until: so many seconds.
        each: between two questions.
        proxy: who answers.
        both: the host that is asked for answers too.
        seed: who asks for whom.
        v6: by neighbour discovery.

    """
    draw = random.Random(seed)  # noqa: S311 - a fixed seed
    for turn in range(int(until / each)):
        second = turn * each
        asker, asked = draw.sample(range(len(HOSTS)), 2)
        if v6:
            wire.solicits(second + 0.1, HOSTS[asker], ip(asker, v6=True), ip(asked, v6=True))
            wire.na(second + 0.101, proxy, ip(asked, v6=True), HOSTS[asker], S=1, R=1)
        else:
            wire.arp(second + 0.1, HOSTS[asker], ip(asker), wanted=ip(asked))
            wire.answer(second + 0.101, proxy, ip(asked), HOSTS[asker])
        if both and not v6:
            wire.answer(second + 0.15, HOSTS[asked], ip(asked), HOSTS[asker])
        if turn % 3 == 0:
            wire.arp(second + 0.5, HOSTS[asker], ip(asker), wanted=GATEWAY)
            wire.answer(second + 0.501, ROUTER, GATEWAY, HOSTS[asker])
        if turn % 10 == 0:
            wire.arp(second + 0.7, ROUTER, GATEWAY, wanted=ip(asker))
        wire.syn(second + 0.8, HOSTS[asker], ROUTER, ip(asker), f"142.250.{turn % 200}.4")


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("each", [1, 3, 10])
def test_a_router_that_nobody_named_may_answer_for_all(each: int, both: bool) -> None:
    """Client isolation without any DHCP: at most one note, and nobody's address is lost."""
    wire = Wire()
    apart(wire, 300, each=each, both=both)
    wire.run()

    assert wire.reported("arp-spoof") in ({}, {ROUTER_ID: "info"})
    assert len({one.id for one in wire.alerts if one.rule == "arp-spoof"}) <= 1
    assert GATEWAY in wire.ips(ROUTER)
    assert all(ip(number) in wire.ips(mac) for number, mac in enumerate(HOSTS))


def test_a_proxy_of_neighbour_discovery_is_no_news() -> None:
    """The same for IPv6: an NDP proxy (RFC 4389) between two parts of one network."""
    wire = Wire()
    apart(wire, 300, each=3, both=False, v6=True)
    wire.run()

    assert wire.reported("arp-spoof") in ({}, {ROUTER_ID: "info"})


def test_an_access_point_that_answers_for_all_is_a_note() -> None:
    """It is no router: said once, on the box that does it."""
    wire = Wire()
    wire.lives(PC, "198.18.0.10", 600)
    apart(wire, 600, each=1, both=True, proxy=PC)
    wire.run()

    assert wire.reported("arp-spoof") == {PC.replace(":", ""): "info"}
    assert len({one.id for one in wire.alerts if one.rule == "arp-spoof"}) == 1
    assert "answers for others (proxy ARP)" in wire.last[f"arp-spoof-{PC.replace(':', '')}"].summary


@pytest.mark.parametrize("served", [True, False])
def test_who_answers_for_the_router_too_is_no_proxy(served: bool) -> None:
    """Only when asked, and for everybody: the router's address tells."""
    wire = Wire()
    if served:
        wire.dhcp(0.1, ROUTER, PC, "198.18.0.10")
    wire.lives(EVIL, "198.18.0.66", 300)
    apart(wire, 300, each=2, both=True, proxy=EVIL)
    for second in range(120, 300, 6):
        wire.answer(second + 0.51, EVIL, GATEWAY, HOSTS[0])
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "critical"}


def test_a_second_holder_that_only_answers_is_told() -> None:
    """One address of two boxes that nobody heard speak from it: after a few turns."""
    wire = Wire()
    wire.lives(PC, "198.18.0.10", 300)
    wire.lives(EVIL, "198.18.0.66", 300)
    for second in range(5, 300, 10):
        wire.arp(second, HOSTS[0], ip(0), wanted="198.18.0.200")
        wire.answer(second + 0.01, PC, "198.18.0.200", HOSTS[0])
        wire.answer(second + 0.02, EVIL, "198.18.0.200", HOSTS[0])
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "warning"}
    assert wire.after(f"arp-spoof-{EVIL_ID}") <= 70


def test_a_tool_that_tells_everybody_unasked_is_no_proxy() -> None:
    """Between hosts: it takes the address of one that it leads to itself."""
    wire = Wire()
    for number, mac in enumerate(HOSTS):
        wire.lives(mac, ip(number), 300, each=15)
    wire.lives(EVIL, "198.18.0.66", 300)
    for second in range(100, 200, 2):
        for number in range(4):
            wire.answer(second + number / 10, EVIL, ip(number), HOSTS[5])
    wire.run()

    assert wire.reported("arp-spoof") == {EVIL_ID: "warning"}
