"""Event time and times of arrival: how far windows have come, and which times cannot be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import at, probe, window

from monitorpi_common.service import Tick
from monitorpi_detector.arrival import ArrivalTime
from monitorpi_detector.eventtime import EventTime

if TYPE_CHECKING:
    from monitorpi_common.messages import Traffic

HOUR = 3600.0


@pytest.mark.parametrize(
    ("second", "window_s", "watched_s"),
    [(10.0, 0.0, 10.0), (60.0, 1.0, 60.0), (100.0, 1.0, 60.0), (400.0, 300.0, 300.0),
     (200.0, 300.0, 200.0), (-5.0, 1.0, 0.0), (0.0, 1.0, 0.0)],
)  # fmt: skip
def test_a_gap_is_watched_up_to_a_minute_or_as_long_as_the_window(
    second: float, window_s: float, watched_s: float
) -> None:
    """Devices are announced once a minute; what comes late takes no time back."""
    time = EventTime()
    time.reach(at(0), 300.0)
    assert (time.since, time.now, time.watched_s) == (at(0), at(0), 0.0)

    time.reach(at(second), window_s)
    time.reach(at(second), window_s)

    assert time.watched_s == watched_s
    assert time.now == at(max(second, 0.0))
    assert time.since == at(0)


def ends(second: float) -> Traffic:
    """Return a window that ends at a second."""
    return window(0).model_copy(update={"start": at(second - 1), "end": at(second)})


def arrival(*seconds: float) -> ArrivalTime:
    """Return the times of arrival after ticks by the clock of then, a second apart."""
    time = ArrivalTime()
    for boot_s, second in enumerate(seconds):
        time.tick(Tick(at(second), float(boot_s), clock_synced=True), None)
    return time


@pytest.mark.parametrize(
    ("second", "is_kept"), [(0.0, True), (HOUR, True), (-HOUR, True), (HOUR + 1, False),
                            (-HOUR - 1, False)],
)  # fmt: skip
def test_a_window_of_another_hour_is_of_when_it_came(second: float, is_kept: bool) -> None:
    """It ends then, and lasted as long as it says."""
    time = arrival(0.0)
    one = ends(second)

    found = time.window(one)

    if is_kept:
        assert found is one
    else:
        assert (found.start, found.end, found.window_s) == (at(-1), at(0), 1.0)
        assert found.devices == one.devices
    assert ArrivalTime().window(one) is one


@pytest.mark.parametrize(
    ("start", "end", "lasted_s"),
    [
        (-8.0, 0.0, None), (-HOUR, HOUR, None), (-HOUR - 1, 0.0, HOUR), (0.0, HOUR + 1, HOUR),
        (9999.0, 9000.0, 0.0), (9000.0, 9008.0, 8.0), (9000.0, 99_000.0, HOUR),
    ],
)  # fmt: skip
def test_a_round_of_another_hour_is_of_when_it_came(
    start: float, end: float, lasted_s: float | None
) -> None:
    """An hour at most, and never less than no time."""
    time = arrival(0.0)
    one = probe(0).model_copy(update={"round_start": at(start), "round_end": at(end)})

    found = time.round(one)

    if lasted_s is None:
        assert found is one
    else:
        assert (found.round_start, found.round_end) == (at(-lasted_s), at(0))
    assert ArrivalTime().round(one) is one


@pytest.mark.parametrize(
    ("step_s", "latest_s", "moved_s"),
    [
        (-7200.0, 0.0, -7200.0),
        (7200.0, 0.0, 7200.0),
        (-7200.0, None, 0.0),
        (-1800.0, 0.0, 0.0),
        (-1801.0, 0.0, -1801.0),
        (1800.0, 0.0, 0.0),
        (1801.0, 0.0, 1801.0),
        (-7200.0, -7200.0, 0.0),
        (7200.0, 7200.0, 0.0),
        (0.0, 0.0, 0.0),
    ],
)
def test_a_step_moves_what_was_taken_before_it(
    step_s: float, latest_s: float | None, moved_s: float
) -> None:
    """Unless a window of the new clock came ahead of it; half an hour does without."""
    time = arrival(-2.0, -1.0)
    latest = None if latest_s is None else at(latest_s)

    moved = time.tick(Tick(at(step_s), 2.0, clock_synced=True), latest)

    assert moved == timedelta(seconds=moved_s)
    assert time.at == at(step_s)
    assert time.tick(Tick(at(step_s + 1), 3.0, clock_synced=True), latest) == timedelta()


def test_after_a_time_that_could_not_be_any_step_counts() -> None:
    """It may have been the clock before the step, or the one after it; once."""

    def stepped(item: Any) -> list[float]:
        time = arrival(-2.0, -1.0)
        take = time.round if hasattr(item, "round_end") else time.window
        take(item)
        first = time.tick(Tick(at(-60.0), 2.0, clock_synced=True), at(-1.0))
        second = time.tick(Tick(at(-119.0), 3.0, clock_synced=True), at(-60.0))
        return [first.total_seconds(), second.total_seconds()]

    assert stepped(ends(1)) == [0.0, 0.0]
    assert stepped(ends(7000)) == [pytest.approx(-60.0), 0.0]
    assert stepped(probe(0)) == [0.0, 0.0]
    assert stepped(probe(7000)) == [pytest.approx(-60.0), 0.0]


def test_what_comes_behind_a_step_is_of_the_clock_before_it() -> None:
    """For the tick that told of it; it is replaced, as what the new clock cannot have said."""
    time = arrival(-2.0, -1.0)
    time.tick(Tick(at(-2400.0), 2.0, clock_synced=True), at(0.0))

    behind, of_now = ends(0), ends(-2400)
    assert time.window(behind).end == at(-2400)
    assert time.window(of_now) is of_now
    time.tick(Tick(at(-2399.0), 3.0, clock_synced=True), at(-2400.0))
    assert time.window(behind) is behind
