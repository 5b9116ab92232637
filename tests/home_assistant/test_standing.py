"""What stands at Home Assistant: announced, kept, taken back."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic import ValidationError
from tests.drive import received
from tests.home_assistant.made import MAC, alert, device, wire
from tests.home_assistant.test_core import SENSOR, Rig, Shelf, T, shown
from tests.modules import is_program
from tests.noted import Noted

from monitorpi_common.examples import example
from monitorpi_common.log import Log
from monitorpi_common.messages import (
    AlertEvent,
    Device,
    Foreign,
    NotifyTest,
    Publication,
    Rates,
    RuleState,
    Service,
    SilenceAll,
    Tombstone,
)
from monitorpi_common.service import (
    CommandReceived,
    Context,
    Outside,
    Presence,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.topics import Topic, mac_id
from monitorpi_home_assistant.__main__ import assemble
from monitorpi_home_assistant.core import HomeAssistantCore
from monitorpi_home_assistant.settings import HomeAssistantSettings
from monitorpi_home_assistant.sinks.announced import Announced

if TYPE_CHECKING:
    from pathlib import Path


# --- what stands ----------------------------------------------------------------------------------


def published(rig: Rig, kind: type) -> list[Any]:
    """Return what was said of a kind, and begin anew."""
    found = [one for one in rig.published if isinstance(one, Publication)
             and isinstance(one.message, kind)]  # fmt: skip
    rig.published.clear()
    return found


def test_nothing_is_announced_before_the_broker_has_shown_what_it_keeps() -> None:
    """Three seconds after the start, and then only what changes."""
    rig = Rig()
    rig.take(received(wire(), "eth0"))
    rig.tick(3)
    assert rig.outside == {}
    rig.tick(1)
    assert list(rig.outside) == [SENSOR]
    rig.published.clear()

    rig.tick(5)
    rig.take(received(wire(), "eth0"))
    rig.tick(1)
    assert [one for one in rig.published if isinstance(one, Foreign)] == []

    rig.take(received(wire(interface="eth1"), "eth1"))
    rig.tick(1)
    assert len([one for one in rig.published if isinstance(one, Foreign)]) == 1
    assert rig.core.detail() == {"announced": 1, "births_total": 0, "open_alerts": 0}
    assert list(rig.core.close()) == []


def test_who_sees_nothing_is_announced_all_the_same() -> None:
    """At the third second: that nobody is there is shown, too."""
    core = HomeAssistantCore("lab", HomeAssistantSettings(), Shelf())

    found = [
        [one.topic for one in core.handle(Tick(T, boot_s, clock_synced=True))
         if isinstance(one, Foreign)]
        for boot_s in (0.0, 2.9, 3.0, 4.0)
    ]  # fmt: skip

    assert found == [[], [], [SENSOR], []]


def test_an_announcement_is_as_short_as_json_can_be() -> None:
    """The broker keeps it, and each page of Home Assistant that is opened asks for it."""
    rig = shown(devices="all")
    sent = [one.payload for one in rig.published if isinstance(one, Foreign)]

    assert len(sent) == len(rig.outside) > 1
    for payload in sent:
        assert payload == json.dumps(json.loads(payload), separators=(",", ":")).encode()


def test_an_alert_that_came_before_the_first_tick_is_no_older_than_it() -> None:
    """The broker's retained ones may: they stay open as long as any that is not refreshed."""
    rig = Rig()
    rig.alert("syn-flood-aa", retained=True)
    rig.tick(121)
    assert rig.rules["any"].state == "ON"

    rig.tick(1)

    assert rig.rules["any"].state == "OFF"


def test_states_of_rules_are_published_when_they_change_and_each_six_hours() -> None:
    """They expire after a day; a refresh of the same alert is no change."""
    rig = shown()
    rig.published.clear()
    rig.tick(10)
    assert published(rig, RuleState) == []
    rig.alert("syn-flood-aa")
    assert [one.id for one in published(rig, RuleState)] == ["any", "syn-flood"]
    rig.alert("syn-flood-aa")
    rig.tick(2)
    assert published(rig, RuleState) == []

    rig.alert("syn-flood-aa", "closed")
    assert len(published(rig, RuleState)) == 2

    rig.at += timedelta(seconds=6 * 3600 - 30)
    rig.tick(1)
    assert published(rig, RuleState) == []
    rig.at += timedelta(seconds=30)
    rig.tick(1)
    assert len(published(rig, RuleState)) > 10


def test_a_rule_of_a_later_detector_gets_an_entity_of_its_own() -> None:
    """Once, when its first alert opens."""
    rig = shown()
    rig.take(received(alert("x", rule="new-rule"), "x"))
    rig.tick(1)

    assert "rule-new-rule" in rig.outside[SENSOR]["components"]


def test_rates_come_by_the_interval() -> None:
    """The first after one interval; of an interface without windows there is none."""
    rig = Rig(interval_s=5)
    for _ in range(13):
        rig.take(received(wire(window_s=1.0), "eth0"))
        rig.tick()

    found = published(rig, Rates)
    assert [one.id for one in found] == ["eth0", "eth0"]
    assert [one.message.interval_s for one in found] == [6.0, 5.0]
    rig.tick(20)
    assert len(published(rig, Rates)) == 1


def test_the_instance_that_is_online_is_the_one_that_is_read() -> None:
    """One that goes changes nothing; another that comes takes its place."""
    rig = shown()
    rig.published.clear()
    for instance, online in (("main", True), ("other", False)):
        rig.take(Presence(Topic("lab", "detector", "status", instance), online=online))
    rig.tick()
    assert [one for one in rig.published if isinstance(one, Foreign)] == []

    rig.take(Presence(Topic("lab", "detector", "status", "other"), online=True))
    rig.tick()

    assert rig.outside[SENSOR]["components"]["watch"]["state_topic"].endswith("/watch/other")


def test_a_birth_is_counted_and_states_come_again() -> None:
    """Of rules that have one."""
    rig = shown()
    rig.published.clear()

    rig.take(Outside("homeassistant/status", b"online"))
    assert len(published(rig, RuleState)) == len(rig.rules) > 10
    assert rig.core.detail()["births_total"] == 1


def test_what_was_announced_is_kept_before_it_stands() -> None:
    """And written only where the topics change."""

    class Counting(Shelf):
        writes = 0

        def keep(self, topics: Any) -> bool:
            self.writes += 1
            return super().keep(topics)

    shelf = Counting()
    rig = Rig(shelf, devices="all")
    rig.take(received(wire(), "eth0"), received(device(), "x"))
    rig.tick(5)
    assert (shelf.writes, len(shelf.kept)) == (1, 2)

    rig.take(received(device(hostname="renamed"), "x"))
    rig.tick(5)
    assert shelf.writes == 1
    rig.take(TombstoneReceived(Topic("lab", "capture", "device", MAC.replace(":", ""))))
    rig.tick(1)
    assert shelf.kept == [SENSOR]


def test_switched_off_nothing_is_said_of_alerts() -> None:
    """Nor are rates published."""
    rig = Rig(enabled=False)
    rig.take(received(wire(), "eth0"))
    rig.alert("syn-flood-aa")
    rig.tick(20)

    assert rig.published == []


def test_a_button_silences_for_as_long_as_it_says() -> None:
    """At the time of the last tick, on topics of its own."""
    rig = shown(buttons=True)
    rig.alert("k" * 128)

    (one,) = rig.take(CommandReceived("silence", SilenceAll(minutes=7), "x"))

    assert (one.id, one.to) == ("home-" + "k" * 123, Service.DETECTOR)
    assert (one.message.name, one.message.args["minutes"], one.message.at) == ("silence", 7, rig.at)


def test_the_event_is_published_with_the_states() -> None:
    """An automation that starts by the event reads the state that goes with it."""
    rig = shown()

    published = rig.alert("syn-flood-aa")

    assert isinstance(published[0].message, AlertEvent)
    assert published[0].id == "alert"
    assert {one.id for one in published[1:]} == {"any", "syn-flood"}


def test_what_was_announced_is_read_back(tmp_path: Path) -> None:
    """A missing file is nothing; a damaged or endless one is a line of the log."""
    folder = tmp_path / "state" / "main"
    log = Noted()
    shelf = Announced(folder, cast("Log", log))
    assert shelf.read() == frozenset()
    assert log.warnings == []

    first, second = (f"homeassistant/device/monitorpi-lab-{one}/config" for one in "ab")
    assert shelf.keep({second, first})
    assert json.loads((folder / "announced.json").read_text()) == [first, second]
    assert shelf.read() == {first, second}
    assert shelf.keep([])
    assert shelf.keep([])
    assert list(folder.iterdir()) == []
    for text in ("[", "7", '["a"]' + " " * 1024 * 1024):
        (folder / "announced.json").write_text(text)
        assert shelf.read() == frozenset()
        assert log.warnings.pop()[0] == "what was announced cannot be read"
    text = json.dumps([first])
    (folder / "announced.json").write_text(text + " " * (1024 * 1024 - len(text)))
    assert shelf.read() == {first}


def test_a_folder_that_cannot_be_written_is_a_line(tmp_path: Path) -> None:
    """And is told to who asked."""
    (tmp_path / "file").write_text("")
    log = Noted()

    assert not Announced(tmp_path / "file", cast("Log", log)).keep(["a"])
    assert [event for event, _ in log.warnings] == ["what was announced cannot be kept"]


def test_what_is_old_is_dropped_only_while_the_detector_is_there() -> None:
    """It has to have come first; to say once more that it is there refreshes nothing."""
    rig = Rig()
    core = HomeAssistantCore("lab", HomeAssistantSettings(), rig.shelf)
    rig.core = core
    rig.tick(5)
    rig.alert("syn-flood-aa")
    rig.tick(300)
    assert rig.rules["syn-flood"].state == "ON"

    detector = Presence(Topic("lab", "detector", "status", "main"), online=True)
    rig.take(detector)
    rig.tick(100)
    rig.take(detector)
    rig.tick(30)
    assert rig.rules["syn-flood"].state == "OFF"


def test_what_is_taken_back_is_taken_back_once() -> None:
    """A device that goes takes no states of rules with it."""
    rig = shown(devices="all")
    rig.take(TombstoneReceived(Topic("lab", "capture", "device", mac_id(example(Device).mac))))
    rig.tick(3)
    assert not any(isinstance(one, Tombstone) for one in rig.published)

    off = Rig(rig.shelf, enabled=False)
    off.tick(1)
    assert off.published
    off.published.clear()
    off.tick(3)
    assert off.published == []


@pytest.mark.parametrize(
    ("devices", "kinds"),
    [("none", {"wire", "alert", "status"}),
     ("all", {"wire", "alert", "status", "device", "target"})],
)  # fmt: skip
def test_only_what_is_shown_is_read(devices: Any, kinds: set[str], tmp_path: Path) -> None:
    """Devices by the thousand are no work where none is shown."""
    settings = HomeAssistantSettings(devices=devices, prefix="ha")
    context = Context("lab", "main", "e", settings, Namespace(), tmp_path, True, True,
                      Log("home-assistant"))  # fmt: skip

    found = assemble(context)

    assert {topic.split("/")[4] for topic in found.subscriptions} == kinds
    assert list(found.outside) == ["ha/status"]


def test_the_sensor_is_announced_though_nobody_is_there_yet() -> None:
    """Home Assistant shows it as not available."""
    rig = Rig()
    rig.core = HomeAssistantCore("lab", HomeAssistantSettings(), rig.shelf)

    rig.tick(5)

    assert list(rig.outside) == [SENSOR]


def test_an_alert_that_is_taken_back_is_open_no_more() -> None:
    """As one that closed, but for the event."""
    rig = shown()
    rig.alert("syn-flood-aa")
    rig.published.clear()

    rig.take(TombstoneReceived(Topic("lab", "detector", "alert", "syn-flood-aa")))
    rig.tick(1)

    states = {one.rule: one.state for one in (said.message for said in rig.published)}  # type: ignore[union-attr]
    assert states == {"any": "OFF", "syn-flood": "OFF"}


def test_what_is_nothing_to_us_changes_nothing() -> None:
    """An item of a later version, or a command of another service."""
    rig = shown()
    rig.alert("syn-flood-aa")

    assert rig.take(object(), CommandReceived("test", NotifyTest(), "x")) == []
    assert list(rig.core.close()) == []


def test_defaults_are_those_of_the_documentation() -> None:
    """Nothing of devices, no buttons, a value each ten seconds."""
    one = HomeAssistantSettings()

    assert (one.enabled, one.devices, one.most_devices, one.buttons) == (True, "none", 256, False)
    assert (one.interval_s, one.prefix, one.page) == (10, "homeassistant", None)


@pytest.mark.parametrize(
    ("settings", "is_valid"),
    [
        ({"most_devices": 1}, True), ({"most_devices": 0}, False), ({"most_devices": 1024}, True),
        ({"most_devices": 1025}, False), ({"interval_s": 1}, True), ({"interval_s": 0}, False),
        ({"interval_s": 300}, True), ({"interval_s": 301}, False), ({"prefix": "p" * 64}, True),
        ({"prefix": "p" * 65}, False), ({"prefix": ""}, False), ({"prefix": "a/b"}, False),
        ({"devices": ["b8:27:eb:12:34:56"]}, True), ({"devices": "some"}, False),
    ],
)  # fmt: skip
def test_limits_of_the_settings(settings: dict[str, Any], is_valid: bool) -> None:
    """Both ends can be set, and nothing beyond."""
    if is_valid:
        assert HomeAssistantSettings(**settings).model_dump().items() >= settings.items()
    else:
        with pytest.raises(ValidationError):
            HomeAssistantSettings(**settings)


def test_the_package_is_a_program() -> None:
    """``python -m`` starts it, as `up` and whoever measures do."""
    assert is_program("monitorpi_home_assistant")
