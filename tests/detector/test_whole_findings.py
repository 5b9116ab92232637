"""Whole findings: all that each kind of them says, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.finders import found, view
from tests.detector.wholefindings import FINDINGS
from tests.detector.windows import ATTACKER, ROUTER, VICTIM, echoes, plain, syns
from tests.detector.windows import device as seen_device

from monitorpi_common.messages import DeviceWindow, Omitted, Peer, Repeats
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rule import Finding, LimitsOf, Rule
from monitorpi_detector.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_detector.views.window import WindowView


def inventory(*routers: str) -> HostInventory:
    """Return devices with addresses; some of them are routers."""
    known = HostInventory()
    for number, mac in enumerate((ATTACKER, VICTIM, ROUTER)):
        role = "router" if mac in routers else "host"
        known.see_device(seen_device(mac, -100, f"192.0.2.{number}", role=role))
    return known


def many(build: Callable[..., DeviceWindow], count: int, **more: Any) -> list[DeviceWindow]:
    """Return the rows of three senders."""
    return [build(count, f"04:00:00:00:01:{n:02x}", **more) for n in range(3)]


def unlisted(name: str) -> dict[str, Any]:
    """Return a window that lists a device, and counts frames of ten others."""
    return {"omitted": Omitted(devices=10, classes={name: 400}), "counts": {name: 400}}


def taken(name: str, count: int) -> DeviceWindow:
    """Return the row of whoever got frames of a class."""
    return plain(VICTIM, packets=1, rx={"packets": count, "tcp": count, name: count})


USUAL: dict[str, Any] = {
    mac: dict.fromkeys(("half_open", "icmp_echo", "dhcp", "broadcast"), (5.0, 9999.0))
    for mac in (ATTACKER, "wire")
}
SEEN: dict[str, Any] = {"known": inventory()}
SCAN = syns(200, ports=100, hosts=2)
SWEEP = syns(200, hosts=100).model_copy(update={"top_peer": {"syn": Peer(mac=VICTIM, packets=2)}})
PASSED_ON = [syns(400, ROUTER), taken("syn", 400)]
SEARCHED = [syns(200, ROUTER, ports=100)]
MADE_UP: dict[str, Any] = {"new_macs": 300, "source_macs": 300}

VIEWS: dict[str, tuple[str, Callable[[], WindowView]]] = {
    "SYNs of one": ("syn-flood", lambda: view(syns(400, addresses=9), late_syn=7, **SEEN)),
    "SYNs of three": ("syn-flood", lambda: view(*many(syns, 100), **SEEN)),
    "SYNs of three, one direction": (
        "syn-flood",
        lambda: view(*many(syns, 100), sees_replies=False, **SEEN),
    ),
    "SYNs through a router": ("syn-flood", lambda: view(*PASSED_ON, known=inventory(ROUTER))),
    "SYNs of nobody": ("syn-flood", lambda: view(counts={"syn": 400, "tcp": 400})),
    "SYNs of made-up ones": (
        "syn-flood",
        lambda: view(taken("syn", 400), counts={"syn": 400, "tcp": 400}, **MADE_UP, **SEEN),
    ),
    "SYNs of unlisted ones": (
        "syn-flood",
        lambda: view(plain(VICTIM, packets=1), **unlisted("syn"), **SEEN),
    ),
    "SYNs beyond the usual": ("syn-flood", lambda: view(syns(400), usual=USUAL, **SEEN)),
    "SYNs of three beyond the usual": (
        "syn-flood",
        lambda: view(*many(syns, 100), usual=USUAL, **SEEN),
    ),
    "pings beyond the usual": ("icmp-flood", lambda: view(echoes(400), usual=USUAL, **SEEN)),
    "pings of three beyond the usual": (
        "icmp-flood",
        lambda: view(*many(echoes, 100), usual=USUAL, **SEEN),
    ),
    "DHCP beyond the usual": (
        "dhcp-starvation",
        lambda: view(
            plain(ATTACKER, packets=90, dhcp=90, broadcast=90),
            counts={"dhcp": 90},
            usual=USUAL,
            **SEEN,
        ),
    ),
    "broadcasts beyond the usual": (
        "broadcast-storm",
        lambda: view(plain(ATTACKER, packets=500, broadcast=500), usual=USUAL, **SEEN),
    ),
    "pings of one": ("icmp-flood", lambda: view(echoes(400), **SEEN)),
    "pings of three": ("icmp-flood", lambda: view(*many(echoes, 100), **SEEN)),
    "pings through a router": (
        "icmp-flood",
        lambda: view(echoes(400, ROUTER), known=inventory(ROUTER)),
    ),
    "pings of nobody": ("icmp-flood", lambda: view(counts={"icmp": 400, "icmp_echo": 400})),
    "pings of made-up ones": (
        "icmp-flood",
        lambda: view(
            taken("icmp_echo", 400), counts={"icmp": 400, "icmp_echo": 400}, **MADE_UP, **SEEN
        ),
    ),
    "pings of unlisted ones": (
        "icmp-flood",
        lambda: view(plain(VICTIM, packets=1), **unlisted("icmp_echo"), **SEEN),
    ),
    "unasked ICMP": (
        "icmp-flood",
        lambda: view(
            plain(ATTACKER, packets=400, icmp=400),
            plain(VICTIM, packets=1, rx={"packets": 400, "icmp": 400}),
            **SEEN,
        ),
    ),
    "ports": ("port-scan", lambda: view(SCAN, **SEEN)),
    "ports through a router": ("port-scan", lambda: view(*SEARCHED, known=inventory(ROUTER))),
    "hosts": ("host-sweep", lambda: view(SWEEP, **SEEN)),
    "broadcasts of one": (
        "broadcast-storm",
        lambda: view(plain(ATTACKER, packets=500, broadcast=500), **SEEN),
    ),
    "broadcasts of nobody": ("broadcast-storm", lambda: view(counts={"broadcast": 500})),
    "ARP of one": (
        "arp-storm",
        lambda: view(plain(ATTACKER, packets=500, arp=500, broadcast=500), **SEEN),
    ),
    "IGMP of one": ("igmp-storm", lambda: view(plain(ATTACKER, packets=500, igmp=500), **SEEN)),
    "DHCP of one": (
        "dhcp-starvation",
        lambda: view(
            plain(ATTACKER, packets=90, dhcp=90, broadcast=90), counts={"dhcp": 90}, **SEEN
        ),
    ),
    "DHCP of invented ones": (
        "dhcp-starvation",
        lambda: view(counts={"dhcp": 300}, new_macs=150, source_macs=150),
    ),
    "DHCP of unlisted ones": (
        "dhcp-starvation",
        lambda: view(plain(VICTIM, packets=1), **unlisted("dhcp"), **SEEN),
    ),
    "a loop": (
        "loop",
        lambda: view(counts={"broadcast": 500}, packets=500, repeats=Repeats(ratio=0.9, senders=9)),
    ),
    "MACs without end": ("mac-flood", lambda: view(new_macs=400, source_macs=400)),
    "a surge": ("surge-dns", lambda: view(plain(ATTACKER, packets=900, dns=900), **SEEN)),
}


def shown(one: Finding) -> dict[str, Any]:
    """Return what a finding says beside what it says by default."""
    nothing = Finding("", 0.0, 0.0, "")
    return {
        name.name: getattr(one, name.name)
        for name in fields(one)
        if getattr(one, name.name) != getattr(nothing, name.name)
    }


@pytest.mark.parametrize("name", VIEWS)
def test_a_finding_says_all_that_speaks_for_it(name: str) -> None:
    """Who, how much, of what unit, against which limit, and how sure."""
    rule, make = VIEWS[name]

    assert [shown(one) for one in found(rule, make())] == [FINDINGS[name]]


@pytest.mark.parametrize("name", [name for name in VIEWS if "usual" not in name])
def test_where_nothing_is_usual_the_floor_alone_holds(name: str) -> None:
    """However low somebody sets it: once, or as many times as a kind without senders needs."""
    rule, make = VIEWS[name]
    of_windows: Rule[Any] = RULES[rule]
    one = replace(of_windows.defaults, floor=0.5)

    told = of_windows.judge(make(), LimitsOf(lambda _: one, one.floor * one.close_ratio))

    assert {finding.threshold / 0.5 for finding in told} <= {1.0, 3.0, 5.0, 10.0, 20.0}


KINDS = {
    "flood": ("loop", "syn-flood", "icmp-flood", "broadcast-storm", "arp-storm", "dhcp-starvation",
              "igmp-storm", "mac-flood", "port-scan", "host-sweep"),
    "outage": ("uplink-down", "cut-off", "group-down"),
    "effect": ("device-down", "answers-no-pings", "uplink-degraded", "group-degraded", "high-loss",
               "high-delay", "high-jitter"),
    "notice": ("new-device", "arp-spoof", "address-denial", "rogue-dhcp", "rogue-ra",
               "sensor-blind", "sensor-loses", "service-missing"),
}  # fmt: skip


def test_what_kind_of_alert_each_rule_raises() -> None:
    """Floods and outages cause effects; a notice is neither, and every surge is an effect."""
    found = {name: rule.kind for name, rule in RULES.items()}

    surges = {name: "effect" for name in RULES if name.startswith("surge-")}
    assert found == {name: kind for kind, names in KINDS.items() for name in names} | surges
