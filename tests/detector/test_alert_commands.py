"""Alerts over a restart, and what commands make of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.floods import KEY, flood, quiet
from tests.detector.windows import (
    ATTACKER,
    Detector,
    at,
    syns,
    window,
)
from tests.drive import received

from monitorpi_common.messages import (
    Acknowledge,
    SetThreshold,
    Silence,
)
from monitorpi_common.service import CommandReceived, CommandRefusedError, Tick

# --- restarts -------------------------------------------------------------------------------------


def test_a_restarted_detector_goes_on_with_an_open_alert() -> None:
    """The next process takes up what is retained as open: same id, closed when it is quiet."""
    before = Detector()
    flood(before, 0, 3)
    retained = before.alerts[-1]
    after = Detector()

    after.take(received(retained, retained.key, retained=True))
    flood(after, 10, 25)
    quiet(after, 25, 50)

    assert {retained.id} == {one.id for one in after.alerts}
    assert (after.alerts[-1].state, after.alerts[-1].close_reason) == ("closed", "quiet")


def test_a_restarted_detector_closes_what_is_over() -> None:
    """An alert left open by a process that died is closed after its quiet time."""
    before = Detector()
    flood(before, 0, 3)
    after = Detector()
    after.take(received(before.alerts[-1], KEY, retained=True))

    quiet(after, 100, 120)

    closed = [(one.state, one.close_reason) for one in after.alerts if one.state == "closed"]
    assert closed == [("closed", "quiet")]


def test_an_alert_of_a_later_clock_closes_after_its_quiet_time() -> None:
    """A Pi without a clock starts in the past: what is restored holds no longer for that."""
    before = Detector()
    flood(before, 7200, 7203)
    after = Detector()
    after.take(received(before.alerts[-1], KEY, retained=True))

    quiet(after, 0, 60)

    closed = [one for one in after.alerts if one.state == "closed"]
    assert [(one.id, one.close_reason) for one in closed] == [(before.alerts[-1].id, "quiet")]


def test_a_restored_alert_keeps_its_opening_when_the_clock_is_set() -> None:
    """What another clock had stamped does not move with this one's step."""
    before = Detector()
    flood(before, 7200, 7203)
    opened_at = before.alerts[-1].opened_at
    after = Detector()
    after.take(received(before.alerts[-1], KEY, retained=True))

    flood(after, 0, 5)
    for second in range(9000, 9005):
        after.take(window(second, syns(1000), epoch="set"))
    for second in range(9005, 9060):
        after.take(window(second, epoch="set"))

    assert {one.id for one in after.alerts} == {before.alerts[-1].id}
    assert (after.alerts[-1].state, after.alerts[-1].opened_at) == ("closed", opened_at)


def test_own_words_that_come_back_change_nothing() -> None:
    """The detector is sent its own alerts: they are no news."""
    detector = Detector()
    flood(detector, 0, 2)
    published = len(detector.alerts)

    for alert in list(detector.alerts):
        detector.take(received(alert, alert.key), received(alert, alert.key, retained=True))

    assert published == len(detector.alerts)


# --- orders ---------------------------------------------------------------------------------------


def test_a_silenced_alert_closes_and_stays_shut() -> None:
    """``silence`` closes an alert and keeps it shut for its minutes, then it may open again."""
    detector = Detector()
    flood(detector, 0, 3)

    published = detector.take(CommandReceived("silence", Silence(key=KEY, minutes=1), "1"))
    flood(detector, 3, 60)
    assert detector.open() == {}
    flood(detector, 60, 70)

    assert published[-1].close_reason == "silenced"
    assert KEY in detector.open()


@pytest.mark.parametrize("key", ["syn-flood", "synflood-04000000000a", "syn", "no-rule-at-all"])
def test_what_no_rule_could_raise_is_not_silenced(key: str) -> None:
    """A key that is written wrongly is refused: silence would be believed in."""
    detector = Detector()
    flood(detector, 0, 3)

    with pytest.raises(CommandRefusedError, match=r"is no alert's key: use rule-subject"):
        detector.take(CommandReceived("silence", Silence(key=key, minutes=1), "1"))

    assert all(not one.silences for one in detector.kept)


def test_before_anything_was_seen_there_is_nothing_to_silence() -> None:
    """It is not known what time it is."""
    with pytest.raises(CommandRefusedError, match="nothing was seen yet"):
        Detector().take(CommandReceived("silence", Silence(key=KEY, minutes=1), "1"))


def test_a_silence_begins_now_though_no_window_has_come_for_long() -> None:
    """Asked for while capture is away it lasts its minutes from the order on."""
    detector = Detector()
    detector.take(window(0), Tick(at(3600), 3600.0, clock_synced=True))

    detector.take(CommandReceived("silence", Silence(key=KEY, minutes=30), "1"))
    detector.take(*[window(second, syns(1000), epoch="e2") for second in range(3601, 3605)])

    assert detector.open() == {}


def test_an_acknowledged_alert_says_so() -> None:
    """``acknowledge`` marks an open alert; an unknown one is refused by name."""
    detector = Detector()
    flood(detector, 0, 3)

    assert detector.take(CommandReceived("acknowledge", Acknowledge(key=KEY), "1"))[-1].acknowledged
    flood(detector, 3, 20)
    assert detector.alerts[-1].acknowledged
    with pytest.raises(CommandRefusedError, match="no open alert has the key 'nothing'"):
        detector.take(CommandReceived("acknowledge", Acknowledge(key="nothing"), "2"))


def test_what_was_acknowledged_stays_so_when_it_opens_again() -> None:
    """Within the quiet time it is the same alert, which a person has seen."""
    detector = Detector()
    flood(detector, 0, 3)
    detector.take(CommandReceived("acknowledge", Acknowledge(key=KEY), "1"))
    quiet(detector, 3, 20)
    assert detector.open() == {}

    flood(detector, 20, 22)

    assert detector.open()[KEY].acknowledged


def test_a_threshold_set_at_run_time_holds() -> None:
    """``set_threshold`` changes a rule for all or for one device; what cannot be is refused."""
    detector = Detector()
    detector.take(window(0))

    detector.take(CommandReceived("set_threshold", SetThreshold(rule="syn-flood", floor=5000), "1"))
    flood(detector, 1, 5)
    assert detector.open() == {}
    order = SetThreshold(rule="syn-flood", mac=ATTACKER, floor=50)
    detector.take(CommandReceived("set_threshold", order, "2"))
    flood(detector, 5, 8)

    assert KEY in detector.open()
    with pytest.raises(CommandRefusedError, match="there is no rule 'sin-flood'"):
        detector.take(
            CommandReceived("set_threshold", SetThreshold(rule="sin-flood", floor=1), "3")
        )
    with pytest.raises(CommandRefusedError, match="raise_m 5 of raise_n 3"):
        detector.take(
            CommandReceived("set_threshold", SetThreshold(rule="syn-flood", raise_m=5), "4")
        )


def set_threshold(detector: Detector, **args: Any) -> None:
    """Change a rule."""
    detector.take(CommandReceived("set_threshold", SetThreshold(**args), "1"))


def test_what_was_set_is_taken_back() -> None:
    """For all or for one device; what is configured stands beside it, and holds again."""
    changed = {"rule": "syn-flood", "mac": ATTACKER}
    detector = Detector(
        rules={"syn-flood": {"floor": 300}}, devices={ATTACKER: {"loop": {"floor": 9}}}
    )
    detector.take(window(0))

    set_threshold(detector, **changed, floor=5000, factor=7)
    set_threshold(detector, rule="syn-flood", floor=700)
    assert detector.core.detail()["thresholds"] == {
        f"syn-flood {ATTACKER}": {"floor": 5000, "factor": 7}, "syn-flood": {"floor": 700},
    }  # fmt: skip
    set_threshold(detector, **changed, floor=900, reset=True)
    assert detector.core.detail()["thresholds"] == {
        f"syn-flood {ATTACKER}": {"floor": 900}, "syn-flood": {"floor": 700},
    }  # fmt: skip
    set_threshold(detector, **changed, reset=True)
    flood(detector, 1, 3)
    assert detector.open()[KEY].evidence.threshold == 700
    set_threshold(detector, rule="syn-flood", reset=True)
    assert detector.core.detail()["thresholds"] == {}
    floors = detector.core.detail()["configured_floors"]
    assert isinstance(floors, dict)
    wanted = {"syn-flood": 300, f"loop {ATTACKER}": 9, "icmp-flood": 50}
    assert {name: floors[name] for name in wanted} == wanted


def test_what_cannot_be_changes_nothing() -> None:
    """A refused change leaves what was set before."""
    detector = Detector()
    detector.take(window(0))
    set_threshold(detector, rule="loop", raise_m=2, raise_n=2, floor=9)

    with pytest.raises(CommandRefusedError, match="raise_m 4 of raise_n 3"):
        set_threshold(detector, rule="loop", raise_m=4, reset=True)

    kept = {"loop": {"raise_m": 2, "raise_n": 2, "floor": 9}}
    assert detector.core.detail()["thresholds"] == kept


def test_a_rule_that_is_switched_off_closes_its_alerts() -> None:
    """Switched off, a rule says nothing more and leaves nothing open."""
    detector = Detector()
    flood(detector, 0, 3)

    detector.take(
        CommandReceived("set_threshold", SetThreshold(rule="syn-flood", enabled=False), "1")
    )
    flood(detector, 3, 10)

    assert detector.open() == {}


def test_what_people_set_is_kept_once_with_the_next_tick() -> None:
    """Many commands are one write."""
    detector = Detector()
    detector.take(window(0))
    for key in ("loop-a", "loop-b"):
        detector.take(CommandReceived("silence", Silence(key=key, minutes=5), "1"))
    assert detector.kept == []

    for second in range(1, 4):
        detector.take(Tick(at(second), float(second), clock_synced=True))

    assert [list(one.silences) for one in detector.kept] == [["loop-a", "loop-b"]]
