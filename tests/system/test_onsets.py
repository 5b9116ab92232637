"""Floods are told of before their window ends, and nothing else is."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.system.onset_rig import (
    ORDINARY,
    PING,
    UNANSWERED,
    WALL_S,
    ScriptedLoad,
    answered,
    live,
)

if TYPE_CHECKING:
    from monitorpi_common.messages import Alert

OTHER = bytes.fromhex("04000000000c")


pytestmark = pytest.mark.parametrize("has_bell", [False, True], ids=["", "bell"])


def told_rightly(alert: Alert, rate: float) -> bool:
    """Return whether a first alert has the flood's rate, or is of a window and says its length.

    A window that happens to end first tells what it has, as ever: so many over a second.
    """
    evidence = alert.evidence
    return evidence.window_s > 0.9 or evidence.value == pytest.approx(rate, rel=0.15)


@settings(max_examples=12)
@given(phase_s=st.floats(0, 1))
@pytest.mark.parametrize(
    ("times", "within_s"), [(2.0, 1.2), (10.0, 0.32), (100.0, 0.16), (1488.0, 0.06)]
)
def test_a_syn_flood_is_told_of_wherever_in_a_window_it_begins(
    times: float, within_s: float, phase_s: float, has_bell: bool
) -> None:
    """The alert comes within a bound whatever the window, and with the true rate."""
    rate = 100 * times
    since_s = 1002 + phase_s

    story = live(
        [ORDINARY, ScriptedLoad(UNANSWERED, int(3 * rate), since_s, 3.0)], 4, has_bell=has_bell
    )

    ((at_s, key),) = story.opened()
    assert key == "syn-flood-04000000000a"
    assert at_s - since_s <= within_s
    assert told_rightly(story.alerts[0][1], rate)


@settings(max_examples=8)
@given(phase_s=st.floats(0, 1))
@pytest.mark.parametrize(
    ("times", "within_s"), [(2.0, 1.1), (10.0, 0.22), (100.0, 0.08), (1488.0, 0.06)]
)
def test_a_ping_flood_is_told_of_wherever_in_a_window_it_begins(
    times: float, within_s: float, phase_s: float, has_bell: bool
) -> None:
    """The same for echo requests, which need no time to be answered."""
    rate = 50 * times
    since_s = 1002 + phase_s

    story = live([ORDINARY, ScriptedLoad(PING, int(3 * rate), since_s, 3.0)], 4, has_bell=has_bell)

    ((at_s, key),) = story.opened()
    assert key == "icmp-flood-04000000000a"
    assert at_s - since_s <= within_s
    assert told_rightly(story.alerts[0][1], rate)


@settings(max_examples=150)
@given(
    count=st.integers(500, 5000),
    lasts_s=st.floats(0.05, 0.5),
    reply_s=st.floats(0.0002, 0.1),
    life_s=st.floats(0.001, 0.5),
    phase_s=st.floats(0, 1),
    known=st.booleans(),
)
@example(count=1000, lasts_s=0.05, reply_s=0.08, life_s=0.05, phase_s=0.85, known=True)
def test_a_burst_of_answered_connections_raises_nothing(
    *,
    count: int,
    lasts_s: float,
    reply_s: float,
    life_s: float,
    phase_s: float,
    known: bool,
    has_bell: bool,
) -> None:
    """Wherever a window, or a look at one, falls between connections, answers and ends."""
    burst = ScriptedLoad(answered(reply_s, life_s), count, 1002 + phase_s, lasts_s)

    story = live([ORDINARY, burst] if known else [burst], 4, has_bell=has_bell)

    assert story.opened() == []


@settings(max_examples=30)
@given(count=st.integers(1, 80), lasts_s=st.floats(0.05, 1.0), phase_s=st.floats(0, 1))
def test_a_burst_of_pings_below_the_level_raises_nothing(
    count: int, lasts_s: float, phase_s: float, has_bell: bool
) -> None:
    """A look takes counts for those of a second, as a window does: 80 pings at once are 80."""
    story = live([ScriptedLoad(PING, count, 1002 + phase_s, lasts_s)], 4, has_bell=has_bell)

    assert story.opened() == []


def test_windows_are_those_that_would_be_without_onsets(has_bell: bool) -> None:
    """They are a second long, follow each other, and their counts add up to all frames."""
    story = live([ORDINARY, ScriptedLoad(UNANSWERED, 5000, 1002.4, 2.0)], 8, has_bell=has_bell)

    assert story.onsets
    assert all(window.window_s == pytest.approx(1.0, abs=0.01) for window in story.windows[:-1])
    for before, after in pairwise(story.windows):
        assert before.end == after.start
    ended_s = story.windows[-1].end.timestamp() - WALL_S
    assert story.windows[-1].totals["syn"] == 5000 + ORDINARY.begun(ended_s)


def test_a_weaker_flood_beside_a_lasting_one_is_found_as_by_windows_alone(has_bell: bool) -> None:
    """Below the threshold the sum over time finds it: twelve seconds at three quarters of it."""
    strong = ScriptedLoad(UNANSWERED, 300_000, 1002.3, 30.0)
    weak = ScriptedLoad(UNANSWERED, 80 * 25, 1005.3, 25.0, source=OTHER)

    story = live([ORDINARY, strong, weak], 25, has_bell=has_bell)

    opened = {key: at_s for at_s, key in story.opened()}
    assert opened["syn-flood-04000000000a"] <= 1002.46
    assert 1013 <= opened["syn-flood-04000000000c"] <= 1018


def test_bursts_of_another_at_the_ends_of_windows_hide_no_flood(has_bell: bool) -> None:
    """What came late in a window is not held against anybody once, and is the second time."""
    flood = ScriptedLoad(UNANSWERED, 150 * 8, 1002.3, 8.0)
    decoys = [
        ScriptedLoad(answered(0.002), 1000, 1000.92 + second, 0.07, source=OTHER)
        for second in range(2, 9)
    ]

    story = live([ORDINARY, flood, *decoys], 9, has_bell=has_bell)

    opened = {key: at_s for at_s, key in story.opened()}
    assert opened["syn-flood-04000000000a"] <= 1002.3 + 2.8


def test_nobody_can_make_looks_without_end(has_bell: bool) -> None:
    """Pulses for a minute bring ten looks and one each two seconds; windows stay whole."""
    pulses = [ScriptedLoad(UNANSWERED, 800, 1002 + 1.7 * number, 0.1) for number in range(34)]

    story = live(pulses, 60, has_bell=has_bell)

    assert 10 < len(story.onsets) <= 10 + 60 / 2
    assert all(window.window_s == pytest.approx(1.0, abs=0.01) for window in story.windows[:-1])
    assert [key for _, key in story.opened()] == ["syn-flood-04000000000a"]
