"""What Home Assistant is shown: read as a list of what happened and what stands at the broker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.drive import received
from tests.home_assistant.discovery import SCHEMA, UNITS

from monitorpi_common.examples import example
from monitorpi_common.messages import (
    AcknowledgeAll,
    Alert,
    AlertEvent,
    Device,
    Foreign,
    Publication,
    Rates,
    RuleState,
    Service,
    SilenceAll,
    Target,
    Tombstone,
    Wire,
)
from monitorpi_common.rule_titles import RULE_TITLES
from monitorpi_common.service import CommandReceived, Outside, Presence, Tick, TombstoneReceived
from monitorpi_common.topics import Topic, mac_id
from monitorpi_detector.rules import RULES
from monitorpi_home_assistant.core import HomeAssistantCore
from monitorpi_home_assistant.settings import HomeAssistantSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

T = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
WIRE = example(Wire)
SAMPLE = example(Alert)
SENSOR = "homeassistant/device/monitorpi-lab/config"


class Shelf:
    """What a process leaves on disk."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def keep(self, topics: Iterable[str]) -> bool:
        """Keep."""
        self.kept = sorted(topics)
        return True


class Rig:
    """A core and the broker's memory of what it says."""

    def __init__(self, shelf: Shelf | None = None, **settings: Any) -> None:
        self.shelf = shelf or Shelf()
        self.core = HomeAssistantCore(
            "lab", HomeAssistantSettings(**settings), self.shelf, frozenset(self.shelf.kept)
        )
        self.at = T
        self.published: list[Any] = []
        self.outside: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, RuleState] = {}
        for service in ("capture", "detector", "prober"):
            self.take(Presence(Topic("lab", service, "status", "main"), online=True))

    def take(self, *items: object) -> list[Any]:
        """Hand in items; returns what is said to them."""
        published = [one for item in items for one in self.core.handle(item)]
        for one in published:
            match one:
                case Foreign(topic, b""):
                    self.outside.pop(topic, None)
                case Foreign(topic, payload):
                    self.outside[topic] = json.loads(payload)
                case Publication(id_, RuleState() as state):
                    self.rules[id_] = state
                case Tombstone(id_, kind) if kind is RuleState:
                    self.rules.pop(id_, None)
        self.published += published
        return published

    def tick(self, seconds: float = 1) -> None:
        """Let time pass, a second at a time."""
        for _ in range(int(seconds)):
            self.at += timedelta(seconds=1)
            self.take(Tick(self.at, self.at.timestamp(), clock_synced=True))

    def alert(self, key: str, state: str = "open", *, retained: bool = False) -> list[Any]:
        """Hand in an alert of the rule syn-flood."""
        alert = SAMPLE.model_copy(
            update={"key": key, "state": state, "at": self.at,
                    "id": f"8f3e0b8e-3c0b-5d0a-9a55-{abs(hash(key)) % 10**12:012d}"}
        )  # fmt: skip
        return self.take(received(alert, key, retained=retained))


def shown(**settings: Any) -> Rig:
    """Return a core that has seen an interface, a device and a target, and announced them."""
    rig = Rig(**settings)
    rig.take(
        received(WIRE, "eth0"), received(example(Device), mac_id(example(Device).mac)),
        received(example(Target), "192-168-1-10"),
    )  # fmt: skip
    rig.tick(5)
    return rig


@pytest.mark.parametrize(
    "settings", [{}, {"devices": "all", "buttons": True, "page": "http://pi:8080/"}]
)
def test_every_announcement_is_as_documented(settings: dict[str, Any]) -> None:
    """Fields, device classes and their units, unique ids: a wrong one is a line in their log."""
    rig = shown(**settings)

    ids = []
    for payload in rig.outside.values():
        jsonschema.validate(payload, SCHEMA)
        for component in payload["components"].values():
            ids.append(component["unique_id"])
            unit = component.get("unit_of_measurement")
            assert unit in UNITS.get(component.get("device_class"), [unit])
    assert len(ids) == len(set(ids))
    assert len(rig.outside) == (3 if settings else 1)


def test_the_sensor_has_rates_watch_and_alerts() -> None:
    """One device with everything that is of the whole LAN."""
    components = shown().outside[SENSOR]["components"]

    assert {"eth0-bps", "eth0-syn", "eth0-lost", "watch", "rule-any", "rule-syn-flood",
            "open-alerts", "last-alert"} <= components.keys()  # fmt: skip
    assert components["eth0-syn"]["state_topic"] == "monitorpi/v1/lab/home-assistant/rates/eth0"
    assert components["watch"]["state_topic"] == "monitorpi/v1/lab/detector/watch/main"
    assert "acknowledge" not in components


def test_every_rule_of_the_detector_has_a_title() -> None:
    """And no title is for a rule that there is not."""
    known = {rule for rule in RULES if not rule.startswith("surge-")}

    assert set(RULE_TITLES) == known


def test_two_alerts_of_a_rule_of_which_one_closes_stay_on() -> None:
    """The state is of the rule, not of the alert that spoke last."""
    rig = shown()
    rig.alert("syn-flood-aa")
    rig.alert("syn-flood-bb")

    rig.alert("syn-flood-bb", "closed")

    assert (rig.rules["syn-flood"].state, rig.rules["syn-flood"].open) == ("ON", 1)
    rig.alert("syn-flood-aa", "closed")
    assert (rig.rules["syn-flood"].state, rig.rules["any"].state) == ("OFF", "OFF")


def test_an_alert_is_an_event_when_it_opens_and_when_it_closes() -> None:
    """Not at each refresh, and not when a broker shows what it kept."""
    rig = shown()

    for state in ("open", "open", "closed", "closed"):
        rig.alert("syn-flood-aa", state)
    rig.alert("syn-flood-old", retained=True)

    events = [one.message.event_type for one in rig.published
              if isinstance(one, Publication) and isinstance(one.message, AlertEvent)]  # fmt: skip
    assert events == ["opened", "closed"]
    assert rig.rules["syn-flood"].state == "OFF"
    rig.tick()
    assert rig.rules["syn-flood"].state == "ON"


def test_an_alert_that_expired_at_the_broker_does_not_stay_on() -> None:
    """The detector refreshes what is open; while it is away nothing is dropped."""
    rig = shown()
    rig.alert("syn-flood-aa")
    detector = Topic("lab", "detector", "status", "main")
    rig.take(Presence(detector, online=False))
    rig.tick(300)
    assert rig.rules["syn-flood"].state == "ON"

    rig.take(Presence(detector, online=True))
    rig.tick(119)
    assert rig.rules["syn-flood"].state == "ON"
    rig.tick(3)

    assert rig.rules["syn-flood"].state == "OFF"


def test_rates_are_one_value_per_interval() -> None:
    """Home Assistant keeps every value it is sent; a class with none is a zero."""
    rig = shown()
    rig.published.clear()
    for _ in range(20):
        rig.take(received(WIRE, "eth0"))
        rig.tick()

    rates = [one.message for one in rig.published
             if isinstance(one, Publication) and isinstance(one.message, Rates)]  # fmt: skip
    assert len(rates) == 2
    assert rates[1].frames_per_s == 1031
    assert (rates[1].classes["syn"], rates[1].classes["dns"]) == (1012, 0)
    assert rates[1].bps == 66_010 * 8


def test_home_assistants_birth_is_answered() -> None:
    """Everything is announced again, with the states of the rules."""
    rig = shown(devices="all")
    before = dict(rig.outside)
    rig.outside.clear()

    rig.take(Outside("homeassistant/status", b"offline"))
    assert rig.outside == {}
    rig.take(Outside("homeassistant/status", b"online"))

    assert rig.outside == before


def test_a_device_has_its_mac_address_as_a_connection() -> None:
    """So Home Assistant puts it together with what others know of it."""
    rig = shown(devices="all")
    device = example(Device)

    about = rig.outside[f"homeassistant/device/monitorpi-lab-{mac_id(device.mac)}/config"]

    assert about["device"]["connections"] == [["mac", device.mac]]
    assert about["device"]["via_device"] == "monitorpi-lab"
    assert about["components"]["presence"]["state_topic"].endswith(f"/device/{mac_id(device.mac)}")


@pytest.mark.parametrize(
    ("choice", "count"), [("none", 0), ("named", 1), ("all", 2), (["02:00:5e:10:00:01"], 1)]
)
def test_devices_are_shown_by_choice(choice: Any, count: int) -> None:
    """None, those with a name, all, or some."""
    assert len(shown(devices=choice).outside) == 1 + count


def test_a_device_that_is_gone_is_taken_back() -> None:
    """Nothing is left of it."""
    rig = shown(devices="all")
    mac = example(Device).mac

    rig.take(TombstoneReceived(Topic("lab", "capture", "device", mac_id(mac))))
    rig.tick()

    assert not any(mac_id(mac) in topic for topic in rig.outside)
    assert not any(mac_id(mac) in topic for topic in rig.shelf.kept)


def test_switched_off_nothing_is_left() -> None:
    """What an earlier process announced is taken back, its states too."""
    before = shown(devices="all")
    off = Rig(before.shelf, enabled=False)
    off.outside, off.rules = before.outside, before.rules

    off.tick(5)

    assert off.outside == {}
    assert off.rules == {}
    assert off.shelf.kept == []


def test_another_choice_takes_back_what_is_shown_no_more() -> None:
    """After a restart with fewer devices, too."""
    before = shown(devices="all")
    after = Rig(before.shelf)
    after.outside = before.outside

    after.take(received(WIRE, "eth0"))
    after.tick(5)

    assert list(after.outside) == [SENSOR]


def test_buttons_reach_the_detector_for_each_open_alert() -> None:
    """Home Assistant itself may write no command of the detector."""
    rig = shown(buttons=True)
    rig.alert("syn-flood-aa")
    rig.alert("syn-flood-bb")

    published = rig.take(
        CommandReceived("silence", SilenceAll(), "x"),
        CommandReceived("acknowledge", AcknowledgeAll(), "y"),
    )

    assert [(one.to, one.message.name, one.message.args["key"]) for one in published] == [
        (Service.DETECTOR, name, key)
        for name in ("silence", "acknowledge") for key in ("syn-flood-aa", "syn-flood-bb")
    ]  # fmt: skip
