"""The clock is set back or ahead while alerts are on their way: nobody waits for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.drive import received
from tests.notifier.rig import WATCHING, Rig, T
from tests.notifier.test_folding import RULES, WORDING, change
from tests.notifier.test_folding import T as T_S

from monitorpi_common.service import Tick

if TYPE_CHECKING:
    from monitorpi_notifier.items import Letter

STEPS = (-3600.0, -20.0, 20.0, 3600.0)


class SteppedRig(Rig):
    """A rig whose wall clock can be set; the other one goes on."""

    step_s = 0.0

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        for _ in range(int(seconds)):
            self.at += timedelta(seconds=1)
            boot_s = T.timestamp() + (self.at - T).total_seconds() - self.step_s
            list(self.core.handle(Tick(self.at, boot_s, clock_synced=True)))
            list(self.core.handle(received(WATCHING, "main")))

    def set_clock(self, step_s: float) -> None:
        """Set the wall clock."""
        self.step_s += step_s
        self.at += timedelta(seconds=step_s)


@pytest.mark.parametrize("step_s", STEPS)
def test_the_end_of_what_was_told_is_told(step_s: float) -> None:
    """Told before the clock was set, over afterwards: both are told, also right after the step."""
    rig = SteppedRig()
    rig.tick(1)
    rig.alert("device-down-192-0-2-1", rule="device-down")
    rig.tick(13)
    rig.set_clock(step_s)
    rig.tick(2)

    rig.alert("device-down-192-0-2-1", state="closed", rule="device-down")

    both = ["opened device-down-192-0-2-1", "closed device-down-192-0-2-1"]
    assert rig.reported() == both


def test_what_came_and_went_in_the_hold_is_not_told_after_a_step_back() -> None:
    """Nobody was told, nobody is told that it is over."""
    rig = SteppedRig()
    rig.tick(1)
    rig.alert("device-down-192-0-2-1", rule="device-down")
    rig.tick(2)
    rig.set_clock(-3600)
    rig.tick(2)

    rig.alert("device-down-192-0-2-1", state="closed", rule="device-down")

    assert rig.reported() == []


@pytest.mark.parametrize("step_s", [*STEPS, -86_400.0, 8 * 86_400.0])
def test_nothing_that_waits_is_lost_or_kept_by_a_step(step_s: float) -> None:
    """A Pi without a battery finds that it is a week later: what waits is dated by that clock."""
    rig = SteppedRig()
    rig.tick(1)
    rig.alert("device-down-192-0-2-1", rule="device-down")
    rig.tick(2)
    (before,) = rig.box.changes
    rig.set_clock(step_s)

    rig.tick(3700)  # what is old is dropped once an hour

    (after,) = rig.box.changes
    for name in ("at_s", "opened_s", "due_s"):
        assert getattr(after, name) - getattr(before, name) == pytest.approx(step_s)


@pytest.mark.parametrize("step_s", [-86_400.0, 8 * 86_400.0])
def test_the_end_of_a_night_is_a_time_of_day_on_whatever_day(step_s: float) -> None:
    """Held until one o'clock; the clock goes back by a day, or ahead by a week: until one still."""
    rig = SteppedRig(destinations={"phone": {"url": "json://x", "quiet": ["11:00-13:00"]}})
    rig.tick(1)
    rig.alert(severity="warning")
    rig.set_clock(step_s)

    rig.tick(1)

    (held,) = rig.box.changes
    assert held.due_s == (T + timedelta(hours=1, seconds=step_s)).timestamp()


def test_what_was_held_is_due_where_the_clock_leaves_the_night() -> None:
    """Three hours ahead: the quiet hours are over."""
    rig = SteppedRig(destinations={"phone": {"url": "json://x", "quiet": ["11:00-13:00"]}})
    rig.tick(1)
    rig.alert(severity="warning")
    rig.set_clock(3 * 3600)

    rig.tick(1)

    (held,) = rig.box.changes
    assert held.due_s == rig.at.timestamp()


def test_what_an_earlier_notifier_held_by_a_wrong_clock_is_held_for_one_night() -> None:
    """It was noted a day ahead; this start has the right time."""
    rig = SteppedRig(destinations={"phone": {"url": "json://x", "quiet": ["11:00-13:00"]}})
    rig.alert(severity="warning")
    (held,) = rig.box.changes
    rig.box.changes = [replace(held, due_s=held.due_s + 86_400)]

    SteppedRig(rig.box, destinations={"phone": {"url": "json://x", "quiet": ["11:00-13:00"]}})

    assert [one.due_s for one in rig.box.changes] == [held.due_s]


def test_nothing_is_old_by_a_clock_that_nobody_has_set() -> None:
    """A board whose own clock is a month ahead until the network is there."""
    rig = SteppedRig()
    rig.alert()
    (waiting,) = rig.box.changes
    rig.box.changes = [replace(waiting, due_s=waiting.due_s - 30 * 86_400)]

    list(rig.core.handle(Tick(T, T.timestamp() + 3601, clock_synced=False)))

    assert rig.reported() == ["opened syn-flood-b827eb123456"]


@pytest.mark.parametrize("step_s", [-86_400.0, -3600.0, 86_400.0, 8 * 86_400.0])
def test_the_digest_keeps_its_hour(step_s: float) -> None:
    """Once within a day after any step, at its time of day, and of no more than a day."""
    rig = SteppedRig(digest_at="18:00")
    rig.tick(60)
    rig.set_clock(step_s)

    sent = []
    for _ in range(24 * 60):
        rig.tick(60)
        if len(rig.box.changes) > len(sent):
            sent.append(rig.at)

    assert [(one.hour, one.minute) for one in sent] == [(18, 0)] or [
        (one.hour, one.minute) for one in sent
    ] == [(18, 1)]
    (since,) = rig.box.changes[0].body.splitlines()[:1]
    assert since == f"Since {T + timedelta(seconds=step_s):%a %d %b %H:%M}:"


@pytest.mark.parametrize("ahead_s", [60.0, 3600.0])
def test_a_digest_that_a_small_step_jumps_over_comes_at_once(ahead_s: float) -> None:
    """Else that day would have none."""
    rig = SteppedRig(digest_at="12:01")
    rig.tick(30)

    rig.set_clock(ahead_s)
    rig.tick(1)

    assert rig.reported() == ["digest digest"]


def posted(now_s: float, **more: object) -> Letter | None:
    """Return what goes out now of a change that was to wait twelve seconds."""
    return RULES.next([change(1, due_s=T_S + 12, **more)], [], now_s, WORDING)


def test_what_waits_a_moment_does_not_wait_for_the_clock() -> None:
    """Due in twelve seconds, and the clock goes back by an hour: it is sent."""
    assert posted(T_S) is None
    assert posted(T_S + 12) is not None
    assert posted(T_S - 3600) is not None


def test_what_is_held_for_the_night_is_held() -> None:
    """Its end is a time of day."""
    assert posted(T_S - 3600, held=True) is None
