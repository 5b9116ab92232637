"""What the notifier tells whom: read as a list of what happened and what was told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.drive import received

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Device, NotifyTest, Sent, Target, WatchState
from monitorpi_common.service import CommandReceived, CommandRefusedError, Presence, Tick
from monitorpi_common.topics import Topic
from monitorpi_notifier.core import AFTER_S, HOLD_S, NotifierCore
from monitorpi_notifier.digest import Digest
from monitorpi_notifier.directory import Directory
from monitorpi_notifier.items import Attempt, Letter, NoticeChange, Told
from monitorpi_notifier.planned import Plan
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_notifier.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

T = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)  # a Monday
SAMPLE = example(Alert)
WATCHING = example(WatchState).model_copy(update={"state": "watching", "reasons": []})


class Box:
    """A store in memory: what waits, and what is known to be told."""

    def __init__(self) -> None:
        self.changes: list[NoticeChange] = []
        self.told: dict[str, Told] = {}
        self.memory: dict[str, JsonValue] = {}
        self.is_full = False

    def add(self, changes: Iterable[NoticeChange], told: Iterable[Told]) -> bool:
        """Keep, unless the disk is full."""
        if not self.is_full:
            self.changes += changes
            self.told |= {one.key: one for one in told}
        return not self.is_full

    def withdraw(self, key: str, destinations: Iterable[str]) -> bool:
        """Forget what waits."""
        gone = set(destinations)
        self.changes = [
            one for one in self.changes if one.key != key or one.destination not in gone
        ]
        return True

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values."""
        self.memory |= memory


class Rig:
    """A core, its store and a clock."""

    def __init__(self, box: Box | None = None, **settings: Any) -> None:
        known: dict[str, Any] = {"destinations": {"phone": {"url": "json://localhost"}}}
        self.settings = NotifierSettings.model_validate({**known, **settings})
        self.box = box or Box()
        self.at = T
        directory = Directory()
        self.core = NotifierCore(
            self.settings, self.box, Wording(directory, UTC, None), directory,
            Plan(self.settings, UTC), Digest(directory, UTC, self.settings.digest_at),
            alive_before_s=json.loads(json.dumps(self.box.memory.get("alive_at"))),
        )  # fmt: skip
        self.core.recall(self.box.told.values())
        list(self.core.handle(Tick(self.at, self.at.timestamp(), clock_synced=True)))
        for service in ("capture", "detector", "prober"):
            topic = Topic("lab", service, "status", "main")
            list(self.core.handle(Presence(topic, online=True)))
        self.tick(0)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass; the detector says that it watches."""
        while True:
            step_s = min(seconds, 3.0)
            self.at += timedelta(seconds=step_s)
            list(self.core.handle(Tick(self.at, self.at.timestamp(), clock_synced=True)))
            list(self.core.handle(received(WATCHING, "main")))
            seconds -= step_s
            if seconds <= 0:
                return

    def alert(self, key: str = "syn-flood-b827eb123456", **more: Any) -> Alert:
        """Hand in an alert at the present time."""
        rule = more.pop("rule", "syn-flood")
        seen = self.core._open.get(key)
        opened = more.pop("opened_at", seen.alert.opened_at if seen else self.at)
        known: dict[str, Any] = {
            "key": key, "rule": rule, "subject": key.removeprefix(f"{rule}-"), "at": self.at,
            "opened_at": opened, "id": f"8f3e0b8e-3c0b-5d0a-9a55-{abs(hash(key)) % 10**12:012d}",
        }  # fmt: skip
        if more.get("state") == "closed":
            known |= {"closed_at": self.at, "close_reason": "quiet"}
        alert = Alert.model_validate({**SAMPLE.model_dump(), **known, **more})
        list(self.core.handle(received(alert, key)))
        return alert

    def told(self, destination: str = "phone") -> list[str]:
        """Return what a destination is told: ``opened syn-flood-...``."""
        mine = [one for one in self.box.changes if one.destination == destination]
        return [f"{one.what} {one.key}" for one in mine]


def down(rig: Rig, address: str, **more: Any) -> Alert:
    """Let a target go down."""
    key = f"device-down-{address.replace('.', '-')}"
    evidence = {**SAMPLE.evidence.model_dump(), "sources": [], "unit": "devices"}
    victims = more.pop("victims", [])
    return rig.alert(
        key, rule="device-down", severity=more.pop("severity", "warning"),
        evidence={**evidence, "victims": victims}, **more,
    )  # fmt: skip


def test_an_alert_is_told_when_it_opens_and_when_it_closes() -> None:
    """Once each, however often it is refreshed."""
    rig = Rig()

    for state in ("open", "open", "open", "closed", "closed"):
        rig.alert(state=state)
        rig.tick(10)

    assert rig.told() == ["opened syn-flood-b827eb123456", "closed syn-flood-b827eb123456"]


def test_a_severity_that_rises_is_told_once() -> None:
    """One that falls is not told, nor one that rises to what was told before."""
    rig = Rig()

    for severity in ("warning", "critical", "warning", "critical"):
        rig.alert(severity=severity)
        rig.tick(10)

    assert rig.told() == ["opened syn-flood-b827eb123456", "raised syn-flood-b827eb123456"]


def test_an_alert_that_opens_anew_is_told_anew() -> None:
    """The same topic, another alert; or the same one again after it had closed."""
    rig = Rig()
    rig.alert()
    rig.alert(state="closed", opened_at=T)
    rig.tick(60)

    rig.alert(opened_at=T)

    assert rig.told()[-1] == "opened syn-flood-b827eb123456"
    assert len(rig.told()) == 3


def test_a_restart_tells_nothing_twice() -> None:
    """What was told stands on disk with the change itself."""
    rig = Rig()
    rig.alert()

    again = Rig(rig.box)
    again.alert(opened_at=T)
    again.tick(5)
    again.alert(state="closed", opened_at=T)

    assert again.told() == ["opened syn-flood-b827eb123456", "closed syn-flood-b827eb123456"]


def test_what_came_and_went_without_us_is_told() -> None:
    """An alert that opened and closed while no notifier was there is told as over."""
    rig = Rig()
    rig.tick(60)

    late = Rig(rig.box)
    late.at = T + timedelta(hours=1)
    late.tick()
    late.alert(state="closed", opened_at=T + timedelta(minutes=30))

    assert late.told() == ["closed syn-flood-b827eb123456"]


def test_what_closed_before_our_first_start_is_history() -> None:
    """Retained closed alerts of the last day are nobody's news."""
    rig = Rig()

    rig.alert(state="closed", opened_at=T - timedelta(hours=3))

    assert rig.told() == []


def test_a_full_disk_delays_and_loses_nothing() -> None:
    """The next refresh of the alert tells it."""
    rig = Rig()
    rig.box.is_full = True
    rig.alert()
    rig.box.is_full = False
    rig.tick(10)

    rig.alert(opened_at=T)

    assert rig.told() == ["opened syn-flood-b827eb123456"]


# --- whom, and when -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "is_told"),
    [
        ({}, True),
        ({"least": "critical"}, True),
        ({"rules": ["*-flood"]}, True),
        ({"rules": ["!syn-*"]}, False),
        ({"rules": ["device-*", "arp-*"]}, False),
        ({"devices": ["B8-27-EB-12-34-56"]}, True),
        ({"devices": ["02:00:00:00:00:01"]}, False),
        ({"hours": ["mon-fri 07:00-18:00"]}, True),
        ({"hours": ["sat,sun 00:00-24:00"]}, False),
    ],
)
def test_a_destination_chooses_what_it_is_told(choice: dict[str, Any], is_told: bool) -> None:
    """Rules, severities, devices, hours."""
    rig = Rig(destinations={"phone": {"url": "json://localhost", **choice}})

    rig.alert(severity="critical")

    assert bool(rig.told()) is is_told


def test_below_the_least_severity_nothing_is_told_until_it_rises() -> None:
    """Then it is told as opened: the reader has not heard of it."""
    rig = Rig()
    rig.alert(severity="info")
    rig.tick(10)

    rig.alert(severity="critical")

    assert rig.told() == ["opened syn-flood-b827eb123456"]


def test_maintenance_tells_what_lasts_after_it() -> None:
    """What comes and goes meanwhile is not told."""
    rig = Rig(maintenance=[{"when": "mon 11:00-12:30", "rules": ["syn-flood"]}])
    rig.alert("syn-flood-aa", opened_at=T)
    rig.alert("syn-flood-bb", opened_at=T)
    rig.alert("icmp-flood-cc", rule="icmp-flood")
    rig.alert("syn-flood-bb", state="closed", opened_at=T)
    assert rig.told() == ["opened icmp-flood-cc"]

    rig.tick(31 * 60)
    rig.alert("syn-flood-aa", opened_at=T)

    assert rig.told() == ["opened icmp-flood-cc", "opened syn-flood-aa"]


def test_quiet_hours_hold_what_is_not_critical() -> None:
    """It waits for their end; what is critical does not."""
    rig = Rig(destinations={"phone": {"url": "json://localhost", "quiet": ["11:00-13:00"]}})

    rig.alert("syn-flood-aa", severity="warning")
    rig.alert("syn-flood-bb", severity="critical")

    due = {one.key: one.due_s - T.timestamp() for one in rig.box.changes}
    assert due == {"syn-flood-aa": 3600, "syn-flood-bb": 0}
    assert rig.box.changes[0].held


def test_an_alert_that_gets_worse_in_quiet_hours_is_told_at_once() -> None:
    """The word that waited is replaced."""
    rig = Rig(destinations={"phone": {"url": "json://localhost", "quiet": ["11:00-13:00"]}})
    rig.alert(severity="warning")
    rig.tick(60)

    rig.alert(severity="critical", opened_at=T)

    assert rig.told() == ["opened syn-flood-b827eb123456"]
    assert rig.box.changes[0].due_s == rig.at.timestamp()


# --- causes -------------------------------------------------------------------------------------


def test_a_side_effect_waits_for_its_cause_and_is_told_with_it() -> None:
    """The devices of a group that went are not a message each."""
    rig = Rig()
    down(rig, "192.168.1.20")
    rig.tick(5)
    rig.alert("group-down-192-168-1-20", rule="group-down", severity="warning")
    down(rig, "192.168.1.20", caused_by="group-down-192-168-1-20")
    down(rig, "192.168.1.21", caused_by="group-down-192-168-1-20")

    assert rig.told() == ["opened group-down-192-168-1-20"]


def test_a_side_effect_without_a_cause_is_told_after_a_moment() -> None:
    """So long as the detector takes to link it."""
    rig = Rig()

    down(rig, "192.168.1.20")

    assert [one.due_s for one in rig.box.changes] == [T.timestamp() + HOLD_S]


def test_a_device_that_is_back_before_it_was_told_is_not_told() -> None:
    """Nobody is called for what was over at once."""
    rig = Rig()
    down(rig, "192.168.1.20")
    rig.tick(5)

    down(rig, "192.168.1.20", state="closed", opened_at=T)

    assert rig.told() == []


def test_what_outlasts_its_cause_is_told_a_while_after_it() -> None:
    """A NAS that does not come back after the power failure."""
    rig = Rig()
    rig.alert("group-down-x", rule="group-down")
    down(rig, "192.168.1.20", caused_by="group-down-x")
    rig.tick(60)

    rig.alert("group-down-x", rule="group-down", state="closed", opened_at=T)

    last = rig.box.changes[-1]
    assert (last.what, last.key) == ("opened", "device-down-192-168-1-20")
    assert last.due_s == rig.at.timestamp() + AFTER_S
    down(rig, "192.168.1.20", state="closed", opened_at=T)
    assert rig.told() == ["opened group-down-x", "closed group-down-x"]


def test_what_hangs_behind_a_switch_is_told_with_it() -> None:
    """As the settings say; the message names what it carries."""
    rig = Rig(behind={"192.168.1.2": ["192.168.1.20", "192.168.1.21"]})
    for address in ("192.168.1.2", "192.168.1.20", "192.168.1.21", "192.168.1.99"):
        name = f"host-{address.rsplit('.', 1)[1]}"
        target = example(Target).model_copy(update={"address": address, "name": name, "mac": None})
        list(rig.core.handle(received(target, address.replace(".", "-"))))

    for address in ("192.168.1.2", "192.168.1.20", "192.168.1.21", "192.168.1.99"):
        down(rig, address)

    assert set(rig.told()) == {
        "opened device-down-192-168-1-2", "opened device-down-192-168-1-99"
    }  # fmt: skip
    switch = next(one for one in rig.box.changes if one.key == "device-down-192-168-1-2")
    assert "With it: host-20, host-21" in switch.body


# --- words --------------------------------------------------------------------------------------


def test_a_message_says_what_a_person_needs() -> None:
    """What, which device, whom, since when, how bad against what is usual, what to do."""
    rig = Rig(page="http://pi:8080/")
    camera = example(Device).model_copy(
        update={"mac": "b8:27:eb:12:34:56", "hostname": "camera", "vendor": "Acme",
                "ips": ["192.168.1.20"]}
    )  # fmt: skip
    list(rig.core.handle(received(camera, "b827eb123456")))
    rig.core.wording._page = "http://pi:8080/"
    evidence = {**SAMPLE.evidence.model_dump(), "baseline": 3.0}

    rig.alert(severity="critical", evidence=evidence)

    change = rig.box.changes[0]
    assert change.title == "CRITICAL SYN flood: camera"
    assert change.body == (
        "B8:27:eb:12:34:56 sends 1012 SYN/s to 192.168.1.10 port 80; 0 % are answered.\n"
        "\n"
        "Device: camera (Acme), 192.168.1.20, b8:27:eb:12:34:56\n"
        "Victim: 02:00:5e:10:00:01\n"
        "Since: Mon 30 Nov 12:00:00\n"
        "How bad: 1,012 frames/s; it is an alert from 100 frames/s, usual here is 3 frames/s\n"
        "What to do: Unplug it or shut its switch port, then look at what it runs. "
        "From beyond the router: limit it there.\n"
        "Page: http://pi:8080/"
    )


def test_the_end_says_how_long_and_how_bad_it_was() -> None:
    """Duration, peak, who, by name."""
    rig = Rig()
    rig.alert(severity="critical")
    rig.tick(252)
    rig.alert(state="closed", opened_at=T, severity="critical")

    change = rig.box.changes[-1]
    assert change.title == "OVER SYN flood: 192.168.1.20"
    assert change.body.startswith("It lasted 4 min 12 s: Mon 30 Nov 12:00:00 to")
    assert "Peak: 1,012 frames/s" in change.body


# --- the watch, tests, the digest ---------------------------------------------------------------


def test_a_blind_watch_is_told_and_its_end() -> None:
    """Nobody else could: the detector is not there."""
    rig = Rig()
    gone = Presence(Topic("lab", "detector", "status", "main"), online=False)
    list(rig.core.handle(gone))
    for _ in range(40):
        rig.tick()
    assert rig.told() == ["opened watch-blind"]
    assert "The detector is not running" in rig.box.changes[0].body

    list(rig.core.handle(Presence(gone.topic, online=True)))
    for _ in range(5):
        rig.tick()

    assert rig.told() == ["opened watch-blind", "closed watch-blind"]


def test_a_restart_of_the_detector_is_nobodys_news() -> None:
    """A few seconds blind are not told."""
    rig = Rig()
    topic = Topic("lab", "detector", "status", "main")
    list(rig.core.handle(Presence(topic, online=False)))
    for _ in range(10):
        rig.tick()
    list(rig.core.handle(Presence(topic, online=True)))
    rig.tick()

    assert rig.told() == []


def test_a_test_goes_to_whom_it_names() -> None:
    """One destination, or all; an unknown one is refused by name."""
    rig = Rig(destinations={name: {"url": "json://localhost"} for name in ("phone", "desk")})

    list(rig.core.handle(CommandReceived("test", NotifyTest(destination="desk"), "x")))
    list(rig.core.handle(CommandReceived("test", NotifyTest(), "y")))

    assert rig.told("desk") == ["test test", "test test"]
    assert rig.told("phone") == ["test test"]
    with pytest.raises(CommandRefusedError, match="'nobody'; there are: phone, desk"):
        list(rig.core.handle(CommandReceived("test", NotifyTest(destination="nobody"), "z")))


def test_a_delivery_is_published_without_its_text() -> None:
    """Which alerts, whether it was taken, how long it took."""
    rig = Rig()
    rig.alert()
    change = rig.box.changes[0]
    letter = Letter("phone", change.title, change.body, (change,))

    said = list(rig.core.handle(Attempt(letter, T.timestamp() + 1.5, is_delivered=True, tries=2)))

    sent = said[0].message
    assert isinstance(sent, Sent)
    assert (sent.ok, sent.tries, sent.waited_s, sent.what) == (True, 2, 1.5, "opened")
    assert [one.key for one in sent.alerts] == ["syn-flood-b827eb123456"]


def test_the_digest_comes_once_a_day() -> None:
    """What changed, the worst delays, the busiest, at its time."""
    rig = Rig(digest_at="12:30")
    rig.alert(opened_at=T + timedelta(seconds=1))
    device = example(Device)
    more = device.totals.tx | {"bytes": device.totals.tx.get("bytes", 0) + 2_500_000}
    busy = device.model_copy(update={"totals": device.totals.model_copy(update={"tx": more})})
    for one in (device, busy):
        list(rig.core.handle(received(one, "b827eb123456")))
    for _ in range(3):
        rig.tick(29 * 60)

    digests = [one for one in rig.box.changes if one.what == "digest"]
    assert len(digests) == 1
    assert digests[0].title == "MonitorPi, Mon 30 Nov: 1 alert"
    assert "- 1 SYN flood:" in digests[0].body
    assert "2.5 MB sent" in digests[0].body
