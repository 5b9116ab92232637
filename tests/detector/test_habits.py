"""What is always over its limit becomes usual: when, at which level, and for how long."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from monitorpi_detector.alerts.usual import MARGIN, MAX_HABITS, Habit, Habits
from monitorpi_detector.rule import Finding

DAY = 86_400.0
FINDING = Finding(subject="x", value=600.0, threshold=100.0, text="x")


@pytest.mark.parametrize(
    ("gap_s", "span_s", "weight_s"),
    [(10.0, 1.0, 10.0), (120.0, 1.0, 120.0), (120.1, 1.0, 1.0), (120.1, 300.0, 120.0),
     (0.0, 7.0, 7.0), (0.0, 300.0, 120.0), (-5.0, 7.0, 7.0)],
)  # fmt: skip
def test_a_value_weighs_as_long_as_since_the_one_before(
    gap_s: float, span_s: float, weight_s: float
) -> None:
    """After a pause it is one window or round, of two minutes at most."""
    habit = Habit(at_s=1000.0)

    habit.add(50.0, span_s, 1000.0 + gap_s)

    assert habit.open_s == pytest.approx(weight_s)
    assert sum(habit.seen.values()) == pytest.approx(weight_s)
    assert (habit.at_s, habit.reached_s) == (1000.0 + gap_s, 1000.0 + gap_s)


def test_what_was_long_ago_fades() -> None:
    """By the day; less than a millisecond is nothing."""
    habit = Habit(at_s=0.0, open_s=100.0, seen={1: 100.0, 2: 0.0028, 3: 0.0027})

    habit.add(1e9, 0.0, DAY)

    assert habit.open_s == pytest.approx(100 / math.e)
    assert habit.seen[1] == pytest.approx(100 / math.e)
    assert (2 in habit.seen, 3 in habit.seen) == (True, False)


@pytest.mark.parametrize(
    ("value", "name"), [(1.0, 0), (1.1, 1), (1.11, 2), (1.21, 2), (0.0, -144), (-3.0, -144)]
)
def test_values_are_counted_in_classes_of_a_tenth(value: float, name: int) -> None:
    """A class ends with its highest value; nothing is a millionth."""
    habit = Habit()

    habit.add(value, 5.0, 0.0)
    habit.add(value, 5.0, 0.0)

    assert habit.seen == {name: 10.0}


@pytest.mark.parametrize(
    ("seen", "before", "level"),
    [
        ({10: 90.0, 20: 10.0}, None, 1.1**10),
        ({10: 89.0, 20: 11.0}, None, 1.1**20),
        ({20: 10.0, 10: 90.0}, None, 1.1**10),
        ({10: 50.0, 15: 40.0, 20: 10.0}, None, 1.1**15),
        ({10: 100.0}, 1.0, 1.1**10),
        ({10: 100.0}, 9.0, 9.0),
        ({-5: 100.0}, None, 1.1**-5),
    ],
)
def test_a_level_covers_nine_tenths_of_the_time(
    seen: dict[int, float], before: float | None, level: float
) -> None:
    """It is never lowered; what was seen is counted anew then."""
    habit = Habit(before, open_s=7.0, seen=dict(seen))

    habit.learn()

    assert habit.level == pytest.approx(level)
    assert (habit.open_s, habit.seen) == (0.0, {})


def test_what_lasts_as_long_as_it_must_becomes_usual() -> None:
    """Then its level is returned once, and the time begins anew."""
    habits = Habits()
    assert habits.level("k") is None
    assert habits.limit("k") is None

    assert habits.add("k", 100.0, 10.0, 0.0, 30.0) is None
    assert habits.add("k", 100.0, 10.0, 19.9, 30.0) is None
    assert habits.saved() == {}
    level = habits.add("k", 100.0, 10.0, 20.1, 30.0)
    assert level is not None
    assert 100.0 <= level <= 110.0
    assert (habits.level("k"), habits.limit("k")) == (level, MARGIN * level)
    assert habits.add("k", 100.0, 10.0, 30.0, 30.0) is None
    assert Habits().add("k", 100.0, 10.0, 0.0, 10.0) is not None


def usual(level: float, reached_s: float = 0.0) -> Habits:
    """Return a table in which a level is usual."""
    habits = Habits()
    habits.restore({"k": (level, reached_s)})
    return habits


@pytest.mark.parametrize(
    ("level", "threshold", "baseline"), [(200.0, 300.0, 200.0), (67.0, 100.5, 67.0),
                                         (66.0, 100.0, None), (100 / 1.5, 100.0, None)],
)  # fmt: skip
def test_a_limit_is_what_is_usual_and_half_of_it(
    level: float, threshold: float, baseline: float | None
) -> None:
    """Where that is more than the limit there is."""
    found = usual(level).held_against("k", FINDING, 10.0)

    assert found == replace(FINDING, threshold=threshold, baseline=baseline)
    assert usual(level).held_against("other", FINDING, 10.0) is FINDING


@pytest.mark.parametrize(("value", "is_reached"), [(100.0, True), (99.9, False)])
def test_a_level_lasts_a_week_from_when_the_limit_was_reached(
    value: float, is_reached: bool
) -> None:
    """Not from when it was learned; after that it is news."""
    habits = usual(200.0)
    finding = replace(FINDING, value=value)

    assert habits.held_against("k", finding, 7 * DAY).threshold == 300.0
    later = habits.held_against("k", finding, 7 * DAY + 1)

    assert (later.threshold == 300.0) is is_reached
    assert (habits.level("k") is not None) is is_reached


def test_levels_are_kept_over_a_restart() -> None:
    """With when each was reached last; what is not usual yet is not. Health shows the newest."""
    habits = usual(123.45678, 77.77)
    habits.add("young", 5.0, 1.0, 0.0, 3600.0)
    assert habits.saved() == {"k": (123.4568, 77.8)}
    again = Habits()
    again.restore(habits.saved())
    assert again.saved() == habits.saved()
    assert again.add("k", 1.0, 5.0, 97.8, 1e9) is None
    assert again._habits.get("k").open_s == pytest.approx(20.0)  # type: ignore[union-attr]

    many = Habits()
    many.restore({str(n): (float(n + 1), 0.0) for n in range(70)})
    assert list(many.levels()) == [str(n) for n in range(6, 70)]
    assert many.levels(2) == {"68": 69.0, "69": 70.0}
    assert len(many) == 70


def test_where_there_is_no_room_nothing_becomes_usual() -> None:
    """All places are those of subjects that last."""
    habits = Habits()
    for second in (0.0, 60.0):
        for n in range(MAX_HABITS):
            habits.add(f"k{n}", 5.0, 1.0, second, 1e9)
    full = len(habits)

    assert habits.add("new", 5.0, 1.0, 61.0, 0.5) is not None
    assert len(habits) == full == MAX_HABITS
