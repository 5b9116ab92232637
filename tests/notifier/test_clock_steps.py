"""The clock is set back or ahead while alerts are on their way: nobody waits for it."""

from __future__ import annotations

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
