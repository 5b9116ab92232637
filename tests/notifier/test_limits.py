"""The notifier's core at its limits: what is bounded, what waits, and who is told of what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.drive import received
from tests.notifier.made import BERLIN
from tests.notifier.rig import Box, Rig, T

from monitorpi_common.examples import example
from monitorpi_common.messages import Device, NotifyTest, Sent, WatchReason
from monitorpi_common.service import CommandReceived, CommandRefusedError, Tick, TombstoneReceived
from monitorpi_common.topics import Topic
from monitorpi_notifier import core
from monitorpi_notifier.blindness import Blindness
from monitorpi_notifier.items import Attempt, Letter, NoticeChange
from monitorpi_notifier.planned import Plan
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_notifier.upkeep import Upkeep

DAY_S = 86_400.0


# --- what is bounded ------------------------------------------------------------------------------


def test_what_is_known_of_alerts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first to come is the first to go; one that is told of again stays."""
    assert core.MOST_KNOWN == 4096
    monkeypatch.setattr(core, "MOST_KNOWN", 3)
    rig = Rig()
    for n in range(3):
        rig.alert(f"syn-flood-{n}", severity="warning")
    rig.alert("syn-flood-0", severity="critical")
    rig.alert("syn-flood-2", severity="warning")
    assert list(rig.core._open) == ["syn-flood-0", "syn-flood-1", "syn-flood-2"]

    rig.alert("syn-flood-3")

    assert list(rig.core._open) == ["syn-flood-1", "syn-flood-2", "syn-flood-3"]
    assert list(rig.core._reported) == ["syn-flood-2", "syn-flood-0", "syn-flood-3"]


def test_a_device_that_is_taken_back_has_no_name() -> None:
    """Nor counts as known."""
    rig = Rig()
    camera = example(Device).model_copy(update={"mac": "b8:27:eb:12:34:56", "hostname": "camera"})
    list(rig.core.handle(received(camera, "b827eb123456")))
    assert rig.core.detail()["devices_known"] == 1

    list(rig.core.handle(TombstoneReceived(Topic("lab", "capture", "device", "b827eb123456"))))
    rig.alert()

    assert rig.core.detail()["devices_known"] == 0
    assert "camera" not in rig.box.changes[0].title
    assert list(rig.core.handle(object())) == []


# --- what waits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "waits_s"),
    [("device-down", 12.0), ("answers-no-pings", 12.0), ("high-loss", 12.0), ("high-delay", 12.0),
     ("high-jitter", 12.0), ("surge-dns", 12.0), ("syn-flood", 0.0), ("new-device", 0.0)],
)  # fmt: skip
def test_what_may_be_an_effect_waits_for_its_cause(rule: str, waits_s: float) -> None:
    """Twelve seconds; whatever does not wait is posted at once."""
    rig, soon = Rig(), list[bool]()
    rig.core.post_soon = lambda: soon.append(True)

    rig.alert(f"{rule}-x", rule=rule)

    (change,) = rig.box.changes
    assert change.due_s - rig.at.timestamp() == waits_s
    assert change.opened_s == change.at_s == rig.at.timestamp()
    assert soon == ([] if waits_s else [True])


@pytest.mark.parametrize(("seconds", "told"), [(11, []), (12, ["opened", "closed"])])
def test_what_came_and_went_before_anybody_was_told_is_no_news(
    seconds: float, told: list[str]
) -> None:
    """Once it was told its end is told too."""
    rig = Rig()
    rig.alert("device-down-x", rule="device-down")
    rig.tick(seconds)

    rig.alert("device-down-x", rule="device-down", state="closed")

    assert [one.what for one in rig.box.changes] == told


def test_what_gets_worse_while_it_waits_is_told_as_it_is_now() -> None:
    """At once, and once; later it is told that it got worse."""
    rig = Rig()
    rig.alert("device-down-x", rule="device-down", severity="warning")
    rig.alert("device-down-x", rule="device-down", severity="critical")
    (change,) = rig.box.changes
    assert (change.what, change.severity, change.due_s) == ("opened", "critical",
                                                            rig.at.timestamp())  # fmt: skip
    assert change.title.startswith("CRITICAL ")

    late = Rig()
    late.alert("device-down-x", rule="device-down", severity="warning")
    late.tick(12)
    late.alert("device-down-x", rule="device-down", severity="critical")
    late.alert("device-down-x", rule="device-down", severity="warning")
    assert [one.what for one in late.box.changes] == ["opened", "raised"]
    assert late.box.changes[1].title.startswith("NOW CRITICAL ")


@pytest.mark.parametrize(
    ("before_s", "told"), [(None, False), (0.0, True), (59.9, True), (60.0, False), (-100.0, True)]
)
def test_what_opened_and_closed_while_nobody_was_there_is_told(
    before_s: float | None, told: bool
) -> None:
    """Also what opened in the minute before we were last seen; not what is older."""
    box = Box()
    if before_s is not None:
        box.memory["alive_at"] = T.timestamp()
    rig = Rig(box)

    rig.alert(opened_at=T - timedelta(seconds=before_s or 0.0), state="closed")

    assert rig.reported() == (["closed syn-flood-b827eb123456"] if told else [])


def test_an_end_is_told_to_whom_it_is_to_be_told() -> None:
    """What was missed is told once all the same; an end that comes again is none."""
    quiet = {"phone": {"url": "json://x", "closes": False}, "desk": {"url": "json://y"}}
    rig = Rig(destinations=quiet)
    rig.alert()
    rig.alert(state="closed")
    rig.alert(state="closed")
    assert rig.reported("phone") == ["opened syn-flood-b827eb123456"]
    assert [one.split()[0] for one in rig.reported("desk")] == ["opened", "closed"]

    box = Box()
    box.memory["alive_at"] = T.timestamp()
    missed = Rig(box, destinations=quiet)
    missed.alert(state="closed", opened_at=T)
    assert [one.split()[0] for one in missed.reported("phone")] == ["closed"]


# --- what is said of deliveries and tests ---------------------------------------------------------


def change(number: int, **more: Any) -> NoticeChange:
    """Return a change."""
    at_s = T.timestamp()
    one = NoticeChange("phone", "opened", f"k{number}", f"id{number}", "syn-flood", "warning", at_s,
                       at_s, at_s, "T" * 300, "B", "L")  # fmt: skip
    return replace(one, **more)


def test_a_delivery_says_which_alerts_it_was() -> None:
    """Each once, as it was last, 32 at most; tests and digests are none."""
    changes = (change(0), change(0, what="closed"), *(change(n) for n in range(1, 40)),
               change(99, what="digest"), change(98, what="test"))  # fmt: skip
    rig = Rig()
    letter = Letter("phone", "T" * 300, "B", changes)

    (said,) = rig.core.handle(Attempt(letter, T.timestamp(), 0.0, is_delivered=False, tries=3,
                                      error="refused"))  # fmt: skip

    sent = said.message
    assert isinstance(sent, Sent)
    assert (said.id, sent.destination, sent.ok, sent.error) == ("phone", "phone", False, "refused")
    assert (len(sent.title), sent.changes, sent.waited_s, sent.tries) == (255, 43, 0.0, 3)
    assert [one.key for one in sent.alerts] == [f"k{n}" for n in range(32)]
    assert sent.alerts[0].what == "closed"
    plain = Letter("phone", "T", "B", (change(1, what="digest"),))
    (said,) = rig.core.handle(Attempt(plain, T.timestamp(), 1.2345, is_delivered=True, tries=1))
    assert isinstance(said.message, Sent)
    assert (said.message.alerts, said.message.waited_s) == ([], 1.234)


def test_a_test_that_cannot_be_kept_is_refused() -> None:
    """The disk is full."""
    rig = Rig()
    rig.box.is_full = True

    with pytest.raises(CommandRefusedError, match="is the disk full"):
        list(rig.core.handle(CommandReceived("test", NotifyTest(), "x")))
    rig.alert()
    assert rig.core.detail()["unwritten_total"] == 1


def test_a_digest_goes_to_whom_it_is_to_go() -> None:
    """As soon as it is there."""
    rig = Rig(digest_at="12:30", destinations={
        "phone": {"url": "json://x", "digest": False}, "desk": {"url": "json://y"}})  # fmt: skip
    soon: list[bool] = []
    rig.core.post_soon = lambda: soon.append(True)

    rig.tick(31 * 60)

    assert (rig.reported("phone"), rig.reported("desk")) == ([], ["digest digest"])
    assert soon == [True]
    assert rig.box.changes[0].severity == "info"


# --- nobody watches -------------------------------------------------------------------------------


def test_blindness_is_an_alert_after_twenty_seconds() -> None:
    """By the boot-time clock; it is dated by when it began, and ends as the same alert."""
    one = Blindness()
    reasons = [
        WatchReason(what="capture", service="capture", text="Capture is away.", remedy="start it"),
        WatchReason(what="detector", service="detector", text="The detector too."),
    ]
    assert one.judge("partly", [], T, 0.0) is None
    assert one.judge("blind", reasons, T, 100.0) is None
    later = T + timedelta(hours=5)
    assert one.judge("blind", reasons, later, 119.9) is None

    alert = one.judge("blind", reasons, later, 120.0)

    assert alert is not None
    assert (alert.opened_at, alert.at, alert.severity, alert.state) == (
        T,
        later,
        "critical",
        "open",
    )
    assert alert.summary == (
        "Nobody watches the network. Capture is away. Start it. The detector too."
    )
    assert (alert.evidence.value, alert.evidence.threshold, alert.evidence.peak) == (20, 20, 20)
    assert one.judge("blind", reasons, later, 500.0) is None
    over = one.judge("watching", [], later + timedelta(seconds=9), 501.0)
    assert over is not None
    assert (over.id, over.state, over.closed_at) == (
        alert.id,
        "closed",
        later + timedelta(seconds=9),
    )
    assert over.close_reason == "quiet"
    assert one.judge("watching", [], later, 502.0) is None


def test_a_moment_of_sight_begins_anew() -> None:
    """And a long list of reasons is cut."""
    one = Blindness()
    one.judge("blind", [], T, 0.0)
    one.judge("partly", [], T, 10.0)
    assert one.judge("blind", [], T, 15.0) is None
    assert one.judge("blind", [], T, 34.9) is None
    many = [WatchReason(what="x", service="capture", text="A reason. " * 9)] * 9

    alert = one.judge("blind", many, T, 35.0)

    assert alert is not None
    assert len(alert.summary) == 400


# --- plans ----------------------------------------------------------------------------------------


def plan(**more: Any) -> Plan:
    """Return the plan of one destination in Berlin, where it is an hour later than T."""
    maintenance = more.pop("maintenance", [])
    settings = {"destinations": {"d": {"url": "json://x", **more}}, "maintenance": maintenance}
    return Plan(NotifierSettings.model_validate(settings), BERLIN)


@pytest.mark.parametrize(
    ("more", "severity", "concerns"),
    [
        ({}, "info", False), ({}, "warning", True), ({"least": "info"}, "info", True),
        ({"least": "critical"}, "warning", False), ({"least": "critical"}, "critical", True),
        ({"rules": ["arp-*"]}, "critical", False), ({"hours": ["13:00-14:00"]}, "warning", True),
        ({"hours": ["12:00-13:00"]}, "warning", False),
        ({"maintenance": [{"when": "13:00-14:00"}]}, "critical", False),
        ({"maintenance": [{"when": "12:00-13:00"}]}, "critical", True),
        ({"maintenance": [{"when": "13:00-14:00", "rules": ["arp-*"]}]}, "critical", True),
    ],
)  # fmt: skip
def test_whom_an_alert_concerns(more: dict[str, Any], severity: str, concerns: bool) -> None:
    """As bad as it must be, of the rules, in the hours, and not while there is work on it."""
    assert plan(**more).concerns("d", "syn-flood", severity, frozenset(), T) is concerns


@pytest.mark.parametrize(
    ("more", "severity", "hours"),
    [
        ({"quiet": ["13:00-15:00"]}, "warning", 2.0),
        ({"quiet": ["13:00-15:00"]}, "critical", None),
        ({"quiet": ["13:00-15:00"], "quiet_least": "warning"}, "warning", None),
        ({"quiet": ["13:00-15:00"], "quiet_least": "warning"}, "info", 2.0),
        ({"quiet": ["12:00-13:00"]}, "warning", None), ({}, "warning", None),
    ],
)  # fmt: skip
def test_until_when_it_is_quiet(more: dict[str, Any], severity: str, hours: float | None) -> None:
    """For what is less severe than what is sent all the same."""
    one = plan(**more)

    end = None if hours is None else T.timestamp() + 3600 * hours
    assert one.quiet_until("d", severity, T) == end
    assert one.is_quiet("d", severity, T) is (hours is not None)


# --- upkeep ---------------------------------------------------------------------------------------


class Kept(Box):
    """A store that notes what is expired and remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.expired: list[float] = []
        self.alive: list[Any] = []
        self.amended = 0

    def expire(self, destinations: Any, before_s: float) -> None:
        """Note it."""
        assert list(destinations) == ["d"]
        self.expired.append(before_s)

    def remember(self, memory: Any) -> None:
        """Note it."""
        self.alive.append(memory["alive_at"])

    def amend(self, how: Any) -> bool:
        """Note it."""
        self.amended += 1
        return super().amend(how)


def test_what_waits_is_looked_after_by_the_hour_and_the_minute() -> None:
    """By the boot-time clock: a clock that nobody has set knows no age."""
    store = Kept()
    one = Upkeep(store, plan(), ["d"])
    one.close()
    assert store.alive == []

    def tick(boot_s: float, *, synced: bool = True) -> None:
        one.tick(Tick(T + timedelta(seconds=boot_s), boot_s, clock_synced=synced))

    now = T.timestamp()
    for boot_s in (100.0, 159.9, 160.0, 219.0, 3699.0):
        tick(boot_s)
    assert store.alive == [now + 100, now + 160, now + 3699]
    assert store.expired == [now + 100 - 7 * DAY_S]
    tick(3700.0, synced=False)
    assert store.expired[1:] == [0.0]
    tick(7299.9)
    assert len(store.expired) == 2
    tick(7300.0)
    assert len(store.expired) == 3
    assert store.amended == 1
    one.close()
    assert store.alive[-1] == now + 7300
