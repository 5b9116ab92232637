"""What Home Assistant is shown, part by part: alerts by rule, rates, hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.drive import received
from tests.home_assistant.made import MAC, alert, device, wire
from tests.home_assistant.test_core import SENSOR, Rig, T, shown

from monitorpi_common.examples import example
from monitorpi_common.messages import (
    Alert,
    RuleState,
    Target,
)
from monitorpi_home_assistant.alarms import Alarms
from monitorpi_home_assistant.discovery import PublishedHost
from monitorpi_home_assistant.hosts import Hosts
from monitorpi_home_assistant.rates import RateMeter

ANNOUNCED = Path(__file__).with_name("announced.json")


def test_entities_keep_their_names_topics_and_units() -> None:
    """People build on them: what changes here changes their dashboards and automations.

    A wanted change is written anew from what this test prints.
    """
    rig = shown(devices="all", buttons=True, page="http://pi:8080/")
    text = json.dumps(rig.outside, indent=1, sort_keys=True)
    for one in rig.outside.values():
        version = one["origin"]["sw_version"]
        text = text.replace(f'"{version}"', '"VERSION"')

    assert text + "\n" == ANNOUNCED.read_text(encoding="utf-8"), text


def states(table: Alarms) -> dict[str, RuleState]:
    """Return the state of each rule."""
    return dict(table.states(frozenset({"arp-spoof"}), T))


def test_a_rule_is_as_bad_as_its_worst_alert() -> None:
    """The newest says what it is; all together are a rule too; one without any is off."""
    table = Alarms()
    for key, severity in (("a", "warning"), ("b", "critical"), ("c", "info")):
        table.take(alert(key, severity=severity, summary=f"of {key}"), 0.0, retained=False)
    table.take(alert("d", rule="loop", severity="info"), 0.0, retained=False)

    found = states(table)

    assert sorted(found) == ["any", "arp-spoof", "loop", "syn-flood"]
    one = found["syn-flood"]
    assert (one.state, one.open, one.severity, one.summary) == ("ON", 3, "critical", "of c")
    assert (one.keys, one.at, one.rule) == (["a", "b", "c"], T, "syn-flood")
    assert (found["any"].open, found["any"].severity) == (4, "critical")
    off = found["arp-spoof"]
    assert (off.state, off.open, off.severity, off.summary, off.keys) == ("OFF", 0, None, None, [])
    table.forget("d")
    assert states(table)["loop"].state == "OFF"


def test_of_many_alerts_the_first_keys_are_told() -> None:
    """32 of them, and how many there are; 4,096 are known at once."""
    table = Alarms()
    events = [table.take(alert(str(number)), 0.0, retained=False) for number in range(4097)]

    assert [event is None for event in events] == [False] * 4096 + [True]
    assert states(table)["any"].open == 4096
    assert states(table)["any"].keys == [str(number) for number in range(32)]
    assert table.take(alert("0", id="8f3e0b8e-3c0b-5d0a-9a55-000000000009"), 0.0, retained=False)


@pytest.mark.parametrize(
    ("steps", "events"),
    [
        (["open 1", "open 1", "closed 1"], ["opened", None, "closed"]),
        (["open 1", "open 2"], ["opened", "opened"]),
        (["closed 1"], [None]),
        (["open 1", "closed 1", "closed 1"], ["opened", "closed", None]),
        (["open 1 retained", "open 1"], [None, None]),
        (["open 1 retained", "closed 1"], [None, "closed"]),
        (["open 1", "closed 1 retained", "open 1"], ["opened", None, "opened"]),
    ],
)
def test_an_alert_is_told_of_when_it_opens_and_when_it_closes(
    steps: list[str], events: list[str | None]
) -> None:
    """Once each; what a broker kept is no event."""
    table = Alarms()
    found = []
    for step in steps:
        state, number, *retained = step.split()
        one = alert("a", state, id=f"8f3e0b8e-3c0b-5d0a-9a55-00000000000{number}")
        found.append(table.take(one, 0.0, retained=bool(retained)))

    assert [event and event.event_type for event in found] == events
    for event in found:
        if event is not None:
            sample = example(Alert)
            assert (event.key, event.rule, event.severity) == ("a", sample.rule, sample.severity)
            assert (event.at, event.summary) == (sample.at, sample.summary)


def test_an_alert_that_is_not_refreshed_is_dropped_after_two_minutes() -> None:
    """Counted from its last word, or from when the detector came back."""
    table = Alarms()
    table.take(alert("a"), 0.0, retained=False)
    table.drop_stale(120.0)
    assert len(table.open) == 1
    table.refresh(120.0)
    table.take(alert("b"), 130.0, retained=False)
    table.drop_stale(240.0)
    assert len(table.open) == 2

    table.drop_stale(240.1)

    assert [one.key for one in table.open] == ["b"]


def test_windows_become_one_value() -> None:
    """Per second whatever they last; the load of the link, the share that was lost."""
    meter = RateMeter()
    meter.add(wire())
    meter.add(wire(window_s=3.0, counts={}))

    (rates,) = meter.take(T)

    assert (rates.interface, rates.at, rates.interval_s) == ("eth0", T, 5.0)
    assert (rates.frames_per_s, rates.bps) == (36.0, 3200)
    assert (rates.utilisation_ratio, rates.lost_ratio) == (0.4, 0.1)
    assert (rates.classes["syn"], rates.classes["arp"]) == (1.0, 0.0)
    assert meter.take(T) == []


@pytest.mark.parametrize(
    ("changes", "load", "lost"),
    [({"link_bps": None}, None, 0.1), ({"packets": 0, "kernel_drops": 0}, 0.5, 0.0),
     ({"packets": 0}, 0.5, 1.0)],
)  # fmt: skip
def test_what_is_not_known_is_not_told(
    changes: dict[str, Any], load: float | None, lost: float
) -> None:
    """A link without a speed has no load; of no frames none was lost."""
    meter = RateMeter()
    meter.add(wire(**changes))

    (rates,) = meter.take(T)

    assert (rates.utilisation_ratio, rates.lost_ratio) == (load, lost)


def test_figures_are_as_long_as_they_mean_something() -> None:
    """Each value is a row of Home Assistant's data base."""
    meter = RateMeter()
    meter.add(wire(window_s=3.0006, link_bps=30_000, packets=100, kernel_drops=7,
                   counts={"syn": 1}))  # fmt: skip

    (rates,) = meter.take(T)

    assert (rates.interval_s, rates.frames_per_s, rates.bps) == (3.001, 33.3, 2666)
    assert (rates.utilisation_ratio, rates.lost_ratio) == (0.0889, 0.065421)
    assert rates.classes["syn"] == 0.3


def test_interfaces_are_bounded() -> None:
    """64 of them; those that are known go on."""
    meter = RateMeter()
    for number in (*range(70), 0):
        meter.add(wire(interface=f"eth{number}"))

    rates = meter.take(T)

    assert [one.interface for one in rates] == [f"eth{number}" for number in range(64)]
    assert [one.interval_s for one in rates[:2]] == [4.0, 2.0]
    rig = Rig()
    for number in range(70):
        rig.take(received(wire(interface=f"eth{number}"), f"eth{number}"))
    rig.tick(5)
    assert sum(key.endswith("-bps") for key in rig.outside[SENSOR]["components"]) == 64


def target(mac: str | None = MAC, **more: Any) -> Target:
    """Return a target as the prober says it is."""
    plain = {"mac": mac, "name": "printer", "address": "192.0.2.1", "vendor": None}
    return example(Target).model_copy(update=plain | more)


def test_a_device_is_put_together_from_what_two_services_say() -> None:
    """The prober's name wins, whoever speaks first; the vendor is whoever's knows it."""
    for messages in (
        [("x", device(hostname="by-dhcp", vendor="V")), ("t", target())],
        [("t", target(vendor="V")), ("x", device(hostname="by-dhcp", vendor="V"))],
    ):
        hosts = Hosts("all", 8)
        for id_, message in messages:
            assert hosts.receive(id_, message) == MAC
            assert hosts.receive(id_, message) is None

        assert list(hosts.shown()) == [PublishedHost(MAC, "printer", "V", "t", is_seen=True)]


@pytest.mark.parametrize(
    ("messages", "shown"),
    [
        ([("t", target(name="192.0.2.1"))], PublishedHost(MAC, None, None, "t")),
        ([("x", device(hostname="h")), ("t", target(name="192.0.2.1"))],
         PublishedHost(MAC, "h", None, "t", is_seen=True)),
        ([("t", target()), ("u", target(name="other"))],
         PublishedHost(MAC, "printer", None, "t")),
        ([("t", target()), ("t", target(name="renamed"))],
         PublishedHost(MAC, "renamed", None, "t")),
        ([("x", device(hostname="h")), ("x", device(hostname="i"))],
         PublishedHost(MAC, "i", None, None, is_seen=True)),
    ],
)  # fmt: skip
def test_the_name_of_a_device(messages: list[tuple[str, Any]], shown: PublishedHost) -> None:
    """An address is none; of several addresses the first one is pinged."""
    hosts = Hosts("all", 8)
    for id_, message in messages:
        hosts.receive(id_, message)

    assert list(hosts.shown()) == [shown]


def test_who_is_nobody_here_changes_nothing() -> None:
    """A target without a MAC, another kind of message, and everything where nothing is shown."""
    assert Hosts("none", 8).receive("x", device()) is None
    hosts = Hosts("all", 8)
    assert hosts.receive("t", target(None)) is None
    assert hosts.receive("w", wire()) is None
    assert hosts.forget("nobody") is None
    assert list(hosts.shown()) == []


@pytest.mark.parametrize(
    ("choice", "shown"),
    [("all", "abc"), ("named", "b"), ([f"{MAC[:-1]}c"], "c"), ([], "")],
)
def test_devices_by_choice(choice: Any, shown: str) -> None:
    """All, those that are pinged under a name, or some."""
    hosts = Hosts(choice, 8)
    hosts.receive("x", device(f"{MAC[:-1]}a", hostname="h"))
    hosts.receive("t", target(f"{MAC[:-1]}b"))
    hosts.receive("u", target(f"{MAC[:-1]}c", name="192.0.2.1"))

    assert "".join(one.mac[-1] for one in hosts.shown()) == shown


def test_a_device_goes_when_neither_service_knows_it() -> None:
    """One word at a time; the place is kept for who comes back."""
    hosts = Hosts("all", 8)
    hosts.receive("x", device())
    hosts.receive("t", target())

    assert hosts.forget("t") == MAC
    assert [(one.target, one.is_seen) for one in hosts.shown()] == [(None, True)]
    assert hosts.forget("b827eb000001") == MAC
    assert list(hosts.shown()) == []
    assert hosts.receive("x", device()) == MAC


def test_devices_are_bounded() -> None:
    """So many are shown, the first that were seen; four times as many are known."""
    hosts = Hosts("all", 2)
    macs = [f"02:00:00:00:00:{number:02x}" for number in range(9)]

    assert [hosts.receive("x", device(mac)) for mac in macs] == [*macs[:8], None]
    assert [one.mac for one in hosts.shown()] == macs[:2]
    assert hosts.receive("x", device(macs[7], hostname="h")) == macs[7]
