"""When a target is up, down or flapping, and when that is reported."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drive import drive, messages, received
from tests.prober.corebench import ADDRESS, T0, Prober, latched

from monitorpi_common.messages import (
    Probe,
    Target,
)
from monitorpi_prober.reachability import Reachability, StateLimits

# --- states ---------------------------------------------------------------------------------


def test_a_target_is_up_after_one_reply_and_down_after_three_lost_rounds() -> None:
    """One reply makes it up; only the third lost round in a row makes it down."""
    prober = Prober(ADDRESS)

    states = [prober.state(1.0), *(prober.state(None) for _ in range(3)), prober.state(None, 2.0)]

    assert states == ["up", "up", "up", "down", "up"]


def test_a_target_that_comes_and_goes_flaps() -> None:
    """Four changes within the window are one state, and it ends when the target keeps still."""
    limits = StateLimits(down_after=1, flap_rounds=20)
    one = Reachability()

    for answered in (True, False, True, False, True):
        one.follow(answered=answered, at=T0, limits=limits)
    assert one.state == "flapping"

    for _ in range(20):
        one.follow(answered=True, at=T0, limits=limits)
    assert one.state == "up"


def test_a_restart_keeps_the_state_and_since_when() -> None:
    """A target that was down before the restart stays down, since the same moment."""
    before = T0 - timedelta(hours=5)
    prober = Prober(ADDRESS)
    drive(prober.core, [received(latched("down", before), "192-0-2-1", retained=True)])

    said = messages(prober.round(None))

    target = next(m for m in said if isinstance(m, Target))
    assert (target.state, target.since) == ("down", before)


def test_a_flapping_target_flaps_on_after_a_restart() -> None:
    """One good round after a restart does not clear what took an hour to see."""
    prober = Prober(ADDRESS)
    drive(prober.core, [received(latched("flapping"), "192-0-2-1", retained=True)])

    assert prober.state(1.0) == "flapping"


@given(st.lists(st.booleans(), max_size=200))
def test_the_state_changes_only_as_the_rules_say(answers: list[bool]) -> None:
    """A target is never called down within fewer than three lost rounds."""
    one, limits, silent = Reachability(), StateLimits(), 0
    for answered in answers:
        silent = 0 if answered else silent + 1
        one.follow(answered=answered, at=T0, limits=limits)

        assert one.state != "down" or silent >= 3
        assert one.state != "up" or silent < 3


def test_targets_are_told_on_change_and_once_a_minute() -> None:
    """An unchanged target is published at most once in 60 s, a changed one at once."""
    prober = Prober(ADDRESS)
    told = [
        sum(isinstance(m, Target) for m in messages(prober.round(t)))
        for t in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, None, None)
    ]

    assert told == [1, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_targets_are_told_on_after_the_clock_stepped_back() -> None:
    """An hour back is no hour of silence."""
    prober = Prober(ADDRESS)
    prober.round(1.0)
    prober.round(1.0, seconds=-3600)

    said = messages(prober.round(1.0, seconds=60))

    assert any(isinstance(message, Target) for message in said)


def test_a_round_tells_total_loss_and_nulls() -> None:
    """All lost of a target that is up is a loss of 1 with null times; the noise is its p95."""
    prober = Prober(ADDRESS)
    prober.round(1.0)

    probe = next(m for m in messages(prober.round(None, None)) if isinstance(m, Probe))

    [row] = probe.targets
    assert (row.sent, row.received, row.loss_ratio, row.rtt_avg_ms, row.mos) == (
        2,
        0,
        1.0,
        None,
        None,
    )
    assert probe.noise_floor_ms == 0.019  # of 0.01 and 0.02, interpolated and cut


@pytest.mark.parametrize("before", [(), (1.0, *[None] * 4)])
def test_who_does_not_answer_loses_nothing(before: tuple[float | None, ...]) -> None:
    """Of a target that never answered, or is down, nothing can be lost."""
    prober = Prober(ADDRESS)
    for time in before:
        prober.round(time)

    [row] = next(m for m in messages(prober.round(None)) if isinstance(m, Probe)).targets

    assert (row.sent, row.received, row.loss_ratio) == (1, 0, None)
