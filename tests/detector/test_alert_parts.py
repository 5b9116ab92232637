"""The parts of the table of alerts by hand: what raises, what is kept, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.detector.windows import ATTACKER, ROUTER, VICTIM, at

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert
from monitorpi_detector.alerts import closed, overflow, raising, silences
from monitorpi_detector.alerts.closed import ClosedAlerts
from monitorpi_detector.alerts.evidence import Observed
from monitorpi_detector.alerts.links import OpenAlert, cause_of, effects_of, is_cause
from monitorpi_detector.alerts.overflow import Overflow
from monitorpi_detector.alerts.raising import Trigger, Triggers
from monitorpi_detector.alerts.silences import Silences
from monitorpi_detector.alerts.stories import NIGHT_S, Stories
from monitorpi_detector.rule import Finding, Limits

LIMITS = Limits(floor=100.0, raise_m=2, raise_n=3, raise_at_once=3.0)


def finding(value: float, **more: Any) -> Finding:
    """Return a finding against a threshold of 100."""
    return Finding(subject="x", value=value, threshold=100.0, text="x", **more)


# --- what raises ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "more", "raises"),
    [
        ([299.9], {}, "n"),
        ([300.0], {}, "y"),
        ([99.9, 99.9], {}, "nn"),
        ([100, 100], {}, "ny"),
        ([100, 0, 100], {}, "nny"),
        ([100, 0, 0, 100], {}, "nnnn"),
        ([300.0], {"late": 0.1}, "n"),
        ([350.0], {"late": 50.0}, "y"),
        ([100.0], {"decisive": True}, "y"),
        ([99.9], {"decisive": True}, "n"),
        ([900, 900, 900], {"must_last": True}, "nny"),
        ([900, 900, 0, 900], {"must_last": True}, "nnny"),
        ([900, 900, 0, 0, 900], {"must_last": True}, "nnnnn"),
        ([75.0] * 12, {"cumulates": True}, "n" * 11 + "y"),
        ([75.0] * 12, {}, "n" * 12),
        ([50.0] * 99, {"cumulates": True}, "n" * 99),
    ],
)
def test_when_findings_become_an_alert(
    values: list[float], more: dict[str, Any], raises: str
) -> None:
    """One strong window, two of three, a sum over time, or three of four of what must last."""
    one, shown = Trigger(), ""
    for second, value in enumerate(values, 1000):
        shown += "y" if one.take(finding(value, **more), LIMITS, float(second), 1.0) else "n"

    assert shown == raises


def test_a_burst_that_the_next_window_may_explain_adds_little() -> None:
    """It counts as what is forgiven; from the second on it raises by m of n."""
    one, sure = Trigger(), Trigger()

    assert not one.take(finding(350.0, late=100.0, cumulates=True), LIMITS, 1000.0, 1.0)
    assert sure.take(finding(350.0, cumulates=True), LIMITS, 1000.0, 1.0)

    assert (one.cusum, sure.cusum) == (0.0, 300.0)
    assert one.holds
    assert not Trigger().holds
    assert Trigger(cusum=0.1).holds


@pytest.mark.parametrize(
    ("times", "raises"),
    [([1000.0, 1002.4], True), ([1000.0, 1002.5], False), ([1000.0, 1002.6], False)],
)
def test_windows_count_by_when_they_ended(times: list[float], raises: bool) -> None:
    """A pause between them is silence; half a window of slack is none."""
    one = Trigger()

    shown = [one.take(finding(100.0), LIMITS, now, 1.0) for now in times]

    assert shown == [False, raises]


def test_silence_between_windows_is_forgiven() -> None:
    """By half of the threshold each second, down to nothing; windows that overlap count whole."""
    one = Trigger()
    for now, cusum in ((1000.0, 100.0), (1001.0, 200.0), (1003.0, 250.0), (1003.1, 350.0),
                       (1020.0, 0.0)):  # fmt: skip
        one.take(finding(150.0, cumulates=True), LIMITS, now, 1.0)
        assert one.cusum == pytest.approx(cusum)


def test_triggers_are_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest untouched leaves; after a minute all do, where there are more than a handful."""
    monkeypatch.setattr(raising, "MAX_TRIGGERS", 70)
    table = Triggers()
    for n in range(71):
        table.take((f"k{n}", None), finding(100.0), LIMITS, 1000.0 + n / 100, 1.0)
    table.take(("k1", None), finding(100.0), LIMITS, 1000.8, 1.0)
    assert (len(table), ("k0", None) in table._triggers) == (70, False)
    table.take(("none", None), finding(10.0), LIMITS, 1001.0, 1.0)
    assert len(table) == 70

    table.expire(1060.0)
    assert len(table) == 70
    table.expire(1060.105)
    assert len(table) == 61
    table.forget("k70")
    assert ("k70", None) not in table._triggers
    table.expire(1e6)
    assert len(table) == 60
    table.clear()
    assert len(table) == 0
    assert raising.MAX_TRIGGERS == 70


def test_a_handful_is_not_looked_through() -> None:
    """Up to 64."""
    table = Triggers()
    for n in range(64):
        table.take((f"k{n}", None), finding(100.0), LIMITS, 1000.0, 1.0)
    table.expire(1e6)
    assert len(table) == 64
    table.take(("more", None), finding(100.0), LIMITS, 1000.0, 1.0)
    table.expire(1e6)
    assert len(table) == 0
    assert raising.MAX_TRIGGERS == 8192


# --- what people and time shut --------------------------------------------------------------------


def test_a_silence_ends_at_its_time() -> None:
    """Then it is forgotten; it moves with a clock that was set."""
    one = Silences()
    one.add("k", at(60))

    assert one.holds("k", at(59.999))
    assert not one.holds("other", at(0))
    assert not one.holds("k", at(60))
    assert one.until == {}
    one.restore({"k": at(60)})
    one.step_clock(timedelta(hours=1))
    assert one.until == {"k": at(3660)}


def test_silences_are_bounded() -> None:
    """The one that ends first leaves."""
    one = Silences()
    for n in range(silences.MAX_SILENCES):
        one.add(str(n), at(1000 - n))
    assert len(one.until) == 256

    one.add("new", at(5000))

    assert len(one.until) == 256
    assert "255" not in one.until
    assert "0" in one.until


def seen(second: float = 0.0, **more: Any) -> Observed:
    """Return where and when a finding was made."""
    values = {"rule": "syn-flood", "kind": "flood", "span_s": 1.0} | more
    return Observed(at=at(second), **values)  # type: ignore[arg-type]


def test_what_found_no_place_is_counted_once_a_window() -> None:
    """Subjects of the quiet time, each once."""
    one = Overflow()
    first = one.count(finding(1.0), 15.0, seen(0))
    assert first is not None
    assert (first.subject, first.value, first.threshold) == ("others", 1.0, 1.0)
    assert (first.severity, first.decisive, first.unit) == ("critical", True, "subjects")
    assert first.text.startswith("syn-flood: 1 more beside the 32 ")

    assert one.count(replace(finding(1.0), subject="y"), 15.0, seen(0)) is None
    again = one.count(replace(finding(1.0), subject="z"), 15.0, seen(14.9))
    assert again is not None
    assert again.value == 3.0
    later = one.count(replace(finding(1.0), subject="z"), 15.0, seen(15.0))
    assert later is not None
    assert later.value == 1.0
    assert one.count(finding(1.0), 15.0, seen(3.0)) is None


def test_subjects_without_a_place_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there already is still counted as there."""
    assert overflow.MAX_SUBJECTS == 8192
    monkeypatch.setattr(overflow, "MAX_SUBJECTS", 2)
    one = Overflow()
    for second, name in enumerate("abca"):
        one.count(replace(finding(1.0), subject=name), 15.0, seen(second))

    assert one.subjects == {"a": at(3), "b": at(1)}


def test_a_story_is_told_so_often_a_night() -> None:
    """Of twelve hours watched; what is held back is counted."""
    one = Stories()
    assert one.of("s", 0.0) == []
    for now_s in (0.0, 100.0):
        assert not one.is_full("s", 2, now_s)
        one.count("s", now_s)

    assert one.is_full("s", 2, 100.0)
    assert one.is_full("s", 2, NIGHT_S - 0.1)
    assert one.held_back_total == 2
    assert not one.is_full("s", 2, NIGHT_S)
    assert one.of("s", NIGHT_S) == [100.0]
    assert (one.of("s", -1.0), one.of("s", 0.5)) == ([], [0.0])
    assert not one.is_full("other", 1, 100.0)
    assert NIGHT_S == 12 * 3600


def test_stories_are_kept_over_a_restart() -> None:
    """The last eight of each that are of the night."""
    one = Stories()
    for n in range(10):
        one.count("s", n + 0.04)
    one.count("old", 0.0)

    assert one.saved(NIGHT_S) == {"s": [float(n) for n in range(2, 10)]}
    again = Stories()
    again.restore({"s": [float(n) for n in range(9)]})
    assert again.of("s", 9.0) == [float(n) for n in range(1, 9)]


# --- closed ---------------------------------------------------------------------------------------


def alert(key: str = "syn-flood-x", **more: Any) -> Alert:
    """Return an alert."""
    values = {"key": key, "closed_at": at(100), "close_reason": "quiet", "caused_by": None} | more
    return example(Alert).model_copy(update=values)


@pytest.mark.parametrize(
    ("second", "more", "goes_on"),
    [(100, {}, True), (115, {}, True), (115.1, {}, False), (99.9, {}, False),
     (110, {"close_reason": "usual"}, False), (110, {"close_reason": "silenced"}, True),
     (110, {"closed_at": None}, False)],
)  # fmt: skip
def test_an_alert_goes_on_within_its_quiet_time(
    second: float, more: dict[str, Any], goes_on: bool
) -> None:
    """Not one that is usual by now."""
    table, one = ClosedAlerts(), alert(**more)
    assert list(table.add(one, 15.0)) == []

    assert (table.reopens(one.key, at(second)) is one) is goes_on
    assert table.reopens("other", at(second)) is None


def test_closed_alerts_leave_with_the_oldest() -> None:
    """One that closes again is the newest; one that is open again is none."""
    table = ClosedAlerts()
    for n in range(closed.MAX_CLOSED):
        assert list(table.add(alert(str(n)), 15.0)) == []
    assert list(table.add(alert("0"), 15.0)) == []
    assert len(table) == 512

    assert list(table.add(alert("new"), 15.0)) == ["1"]
    assert ("0" in table, "1" in table) == (True, False)
    table.remove("0")
    table.remove("nobody")
    assert len(table) == 511


# --- causes ---------------------------------------------------------------------------------------


def entry(rule: str, kind: str, *involved: str, second: float = 0.0, **more: Any) -> OpenAlert:
    """Return an open alert."""
    one = alert(rule, rule=rule, opened_at=at(second), at=at(second), closed_at=None)
    values: dict[str, Any] = {
        "last_active": at(second), "published": at(second), "valued": at(second),
        "involved": frozenset(involved), "sources": frozenset(involved), "quiet_s": 15.0,
        "lives_by_windows": True, "interfaces": {"eth0"},
    } | more  # fmt: skip
    return OpenAlert(one, kind, **values)


@pytest.mark.parametrize(
    ("cause", "effect", "second", "is_effect"),
    [
        (entry("syn-flood", "flood", VICTIM), entry("high-loss", "effect", VICTIM), 10.0, True),
        (entry("syn-flood", "flood", VICTIM), entry("high-loss", "effect", VICTIM), 10.1, False),
        (entry("syn-flood", "flood", VICTIM), entry("high-loss", "effect", ROUTER), 0.0, False),
        (entry("syn-flood", "flood", VICTIM), entry("icmp-flood", "flood", VICTIM), 0.0, False),
        (entry("group-down", "outage", VICTIM), entry("high-loss", "effect", VICTIM), 120.0, True),
        (entry("group-down", "outage", VICTIM), entry("high-loss", "effect", VICTIM), 120.1, False),
        (entry("group-degraded", "effect", VICTIM), entry("high-loss", "effect", VICTIM), 120.0,
         True),
        (entry("group-degraded", "effect", VICTIM), entry("uplink-degraded", "effect", VICTIM), 0.0,
         False),
        (entry("cut-off", "outage"), entry("group-down", "outage", VICTIM), 120.0, True),
        (entry("cut-off", "outage"), entry("group-down", "outage", VICTIM), 120.1, False),
        (entry("cut-off", "outage", VICTIM), entry("high-loss", "effect", VICTIM), 120.0, True),
        (entry("loop", "flood"), entry("arp-storm", "flood"), 10.0, True),
        (entry("loop", "flood"), entry("arp-storm", "flood", interfaces={"eth1"}), 10.0, False),
        (entry("loop", "flood"), entry("syn-flood", "flood"), 10.0, False),
        (entry("loop", "flood", VICTIM), entry("high-loss", "effect", VICTIM), 10.0, False),
    ],
)  # fmt: skip
def test_what_was_told_a_moment_before_its_cause(
    cause: OpenAlert, effect: OpenAlert, second: float, is_effect: bool
) -> None:
    """Ten seconds for floods, two minutes for outages; one has but one cause."""
    assert list(effects_of(cause, [effect], at(second))) == ([effect] if is_effect else [])
    effect.alert = effect.alert.model_copy(update={"caused_by": "other"})
    assert list(effects_of(cause, [effect], at(second))) == []
    effect.alert = effect.alert.model_copy(update={"caused_by": None})


@pytest.mark.parametrize(
    ("entries", "told", "cause"),
    [
        ([entry("syn-flood", "flood", VICTIM)], seen(rule="high-loss", kind="effect"), "syn-flood"),
        ([entry("syn-flood", "flood", ROUTER)], seen(rule="high-loss", kind="effect"), None),
        ([entry("new-device", "notice", VICTIM)], seen(rule="high-loss", kind="effect"), None),
        ([entry("syn-flood", "flood", VICTIM)], seen(rule="icmp-flood"), None),
        ([entry("group-degraded", "effect", VICTIM)],
         seen(1.4, rule="high-loss", kind="effect"), "group-degraded"),
        ([entry("group-degraded", "effect", VICTIM)],
         seen(1.5, rule="high-loss", kind="effect"), None),
        ([entry("group-degraded", "effect", VICTIM)],
         seen(14.0, rule="high-loss", kind="effect", span_s=10.0), "group-degraded"),
        ([entry("group-degraded", "effect", VICTIM)],
         seen(rule="uplink-degraded", kind="effect"), None),
        ([entry("cut-off", "outage")], seen(rule="uplink-down", kind="outage"), "cut-off"),
        ([entry("syn-flood", "flood", VICTIM)], seen(rule="uplink-down", kind="outage"), None),
        ([entry("loop", "flood")], seen(rule="arp-storm", interface="eth0", ports=("eth0",)),
         "loop"),
        ([entry("loop", "flood")], seen(rule="arp-storm", interface="eth1", ports=("eth1",)), None),
        ([entry("loop", "flood")], seen(rule="arp-storm"), "loop"),
        ([entry("loop", "flood")], seen(rule="syn-flood", interface="eth0", ports=("eth0",)), None),
    ],
)  # fmt: skip
def test_which_open_alert_is_the_cause(
    entries: list[OpenAlert], told: Observed, cause: str | None
) -> None:
    """A flood or outage of the same device, a loop of the same wire, the whole of a part."""
    assert cause_of(iter(entries), frozenset({VICTIM, ATTACKER}), told) == cause


@pytest.mark.parametrize(
    ("rule", "kind", "causes"),
    [("syn-flood", "flood", True), ("group-down", "outage", True), ("high-loss", "effect", False),
     ("new-device", "notice", False), ("group-degraded", "effect", True),
     ("uplink-degraded", "effect", True)],
)  # fmt: skip
def test_what_can_be_a_cause(rule: str, kind: str, causes: bool) -> None:
    """Floods, outages, and what several have in common."""
    assert is_cause(entry(rule, kind)) is causes


def test_an_open_alert_moves_with_a_clock_that_was_set() -> None:
    """What another clock had stamped, ahead of all that was seen, stays."""
    one = entry("syn-flood", "flood", second=50.0)
    one.last_active = at(60)
    one.alert = one.alert.model_copy(update={"opened_at": at(60), "at": at(60.1)})

    one.step_clock(timedelta(hours=-1))

    assert (one.last_active, one.published, one.valued) == (at(-3540), at(-3550), at(-3550))
    assert (one.alert.opened_at, one.alert.at) == (at(-3540), at(60.1))


def test_an_alert_of_the_process_before_goes_on_now() -> None:
    """Once; what it published ahead of now is published again."""
    one = entry("syn-flood", "flood", second=500.0, restored=True)
    one.valued = at(50)

    one.resume(at(100))
    assert (one.last_active, one.published, one.valued) == (at(100), at(100), at(50))
    one.resume(at(200))
    assert (one.last_active, one.restored) == (at(100), False)
