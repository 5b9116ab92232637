"""Baselines by hand: how fast they follow, when they speak, what silence and a restart do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_detector.baseline import MAX_DEVICES, Baseline, Usual
from monitorpi_detector.bounded import Bounded

HOUR_S = 3600.0
"""The time constant: after so long of a new rate, 1 - 1/e of the way is gone."""
RIPE_S = 600.0


def taught(rate: float, seconds: int, mac: str = "a", begin_s: float = 0.0) -> Baseline:
    """Return a baseline that saw one rate of SYNs for so many windows of a second."""
    baseline = Baseline()
    for second in range(1, seconds + 1):
        baseline.learn(mac, [("syn", rate)], 1.0, begin_s + second)
    return baseline


@pytest.mark.parametrize(
    ("before", "rate", "span_s", "silent_s", "after"),
    [
        (0.0, 10.0, HOUR_S, 0.0, 10 * (1 - 1 / math.e)),
        (10.0, 10.0, 60.0, 0.0, 10.0),
        (10.0, 0.0, HOUR_S, 0.0, 10 / math.e),
        (10.0, 0.0, HOUR_S, HOUR_S, 10 / math.e**2),
        (10.0, 10.0, HOUR_S, HOUR_S, 10 / math.e**2 + 10 * (1 - 1 / math.e)),
    ],
)
def test_a_usual_rate_moves_as_its_formula_says(
    before: float, rate: float, span_s: float, silent_s: float, after: float
) -> None:
    """``v += (1 - exp(-dt / tau)) * (rate - v)``, and what lies between two windows is silence."""
    usual = Usual(before, 100.0, 5.0)

    usual.learn(rate, span_s, 5.0 + silent_s + span_s)

    assert usual.rate == pytest.approx(after)
    assert usual.watched_s == 100.0 + silent_s + span_s
    assert usual.at_s == 5.0 + silent_s + span_s


def test_a_window_that_overlaps_the_last_is_no_negative_silence() -> None:
    """The clock of a window may lie a little back."""
    usual = Usual(10.0, 0.0, 5.0)

    usual.learn(10.0, 1.0, 5.5)

    assert usual.rate == pytest.approx(10.0)
    assert usual.watched_s == 1.0


def test_seconds_watched_end_at_a_month() -> None:
    """A file of state never holds a number without end."""
    usual = Usual(1.0, 30 * 86400.0 - 1, 0.0)

    usual.learn(1.0, 10.0, 10.0)

    assert usual.watched_s == 30 * 86400.0


def test_it_speaks_after_ten_minutes_and_not_a_second_before() -> None:
    """Until then the rule's floor stands alone."""
    baseline = taught(8.0, 599)
    assert baseline.of("a", "syn", 599.0) is None

    baseline.learn("a", [("syn", 8.0)], 1.0, 600.0)

    assert baseline.of("a", "syn", 600.0) == pytest.approx(8 * (1 - math.exp(-600 / HOUR_S)))
    assert baseline.of("a", "arp", 600.0) is None


@given(rates=st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_what_is_usual_lies_between_nothing_and_the_highest_seen(rates: list[float]) -> None:
    """Whatever comes: nobody is lifted above what was really there."""
    usual = Usual(0.0, 0.0, 0.0)
    for second, rate in enumerate(rates, 1):
        usual.learn(rate, 1.0, float(second))

    assert 0.0 <= usual.rate <= max(rates)


def test_a_newcomer_is_held_against_the_mean_of_those_who_have_one() -> None:
    """Of ripe ones only, worked out anew once a minute, for a wire without a MAC too."""
    baseline = Baseline()
    baseline.restore({"a": {"syn": (10.0, RIPE_S)}, "b": {"syn": (30.0, RIPE_S)}}, 100.0)
    baseline.restore({"young": {"syn": (500.0, RIPE_S - 1)}}, 100.0)

    assert baseline.of("new", "syn", 100.0) == 20.0
    assert baseline.of(None, "syn", 100.0) == 20.0
    assert baseline.of("young", "syn", 100.0) == 20.0
    assert baseline.of("a", "syn", 100.0) == 10.0

    baseline.restore({"c": {"syn": (80.0, RIPE_S)}}, 101.0)
    assert baseline.of("new", "syn", 100.5) == 20.0
    assert baseline.of("new", "syn", 159.9) == 20.0
    assert baseline.of("new", "syn", 160.0) == 40.0
    assert baseline.of("new", "syn", 159.0) == 40.0


def test_the_mean_is_worked_out_again_when_time_runs_backwards() -> None:
    """As at the first question after a start."""
    baseline = Baseline()
    baseline.restore({"a": {"syn": (10.0, RIPE_S)}}, 100.0)
    assert baseline.of("new", "syn", 100.0) == 10.0
    baseline.restore({"b": {"syn": (30.0, RIPE_S)}}, 100.0)

    assert baseline.of("new", "syn", 50.0) == 20.0


def test_time_on_hold_is_no_silence() -> None:
    """While its alert is open a device neither learns nor fades."""
    held, left = taught(8.0, 600), taught(8.0, 600)
    before = held.of("a", "syn", 600.0)
    assert before is not None

    for second in range(601, 7800):
        held.hold("a", float(second))
    for baseline in (held, left):
        baseline.learn("a", [("syn", 0.0)], 1.0, 7800.0)

    assert held.of("a", "syn", 7800.0) == pytest.approx(before, rel=0.001)
    assert left.of("a", "syn", 7800.0) == pytest.approx(before / math.e**2, rel=0.001)


def test_who_is_on_hold_is_not_pushed_out() -> None:
    """An alert that lasts an hour leaves its device known."""
    baseline = Baseline()
    baseline.restore({f"{n:012x}": {"syn": (1.0, RIPE_S)} for n in range(5000)}, 0.0)

    baseline.hold(f"{0:012x}", 3600.0)
    for number in range(6000, 12_000):
        for at_s in (3600.0, 3660.0):
            baseline.learn(f"{number:012x}", [("syn", 1.0)], 1.0, at_s)

    assert set(baseline.saved()) == {f"{0:012x}"}


def test_the_mean_is_there_from_the_first_second_after_a_start() -> None:
    """What was kept over the restart counts at once."""
    baseline = Baseline()
    baseline.restore({"a": {"syn": (10.0, RIPE_S)}}, 0.0)

    assert baseline.of("new", "syn", 1.0) == 10.0


def test_nobody_is_made_by_holding() -> None:
    """An alert about somebody of whom nothing is known teaches nothing."""
    baseline = Baseline()

    baseline.hold("a", 1.0)

    assert len(baseline) == 0


def test_a_level_weighs_as_long_as_the_pause_before_it() -> None:
    """A round each minute: the first value stands at once, five minutes are the most."""
    baseline = Baseline()
    baseline.learn_levels("x", [("rtt_ms", 10.0)], 0.0)
    baseline.learn_levels("x", [("rtt_ms", 20.0)], 60.0)
    one = 10 + 10 * (1 - math.exp(-60 / HOUR_S))
    baseline.learn_levels("x", [("rtt_ms", 20.0)], 90_000.0)
    two = one + (20 - one) * (1 - math.exp(-300 / HOUR_S))
    assert baseline.of("x", "rtt_ms", 90_000.0) is None

    baseline.learn_levels("x", [("rtt_ms", 20.0)], 90_239.0)
    assert baseline.of("x", "rtt_ms", 90_239.0) is None
    baseline.learn_levels("x", [("rtt_ms", 20.0)], 90_240.0)

    assert baseline.of("x", "rtt_ms", 90_240.0) == pytest.approx(
        two + (20 - two) * (1 - math.exp(-240 / HOUR_S))
    )
    baseline.learn_levels("x", [("rtt_ms", 99.0)], 90_000.0)
    assert baseline.of("x", "rtt_ms", 90_240.0) == pytest.approx(
        two + (20 - two) * (1 - math.exp(-240 / HOUR_S))
    )


def test_only_what_is_ripe_is_kept_over_a_restart() -> None:
    """Rounded, so that the file stays small; the time away is no silence."""
    baseline = Baseline()
    baseline.restore(
        {
            "a": {"syn": (1.234567, RIPE_S + 0.06), "arp": (5.0, RIPE_S - 0.1)},
            "b": {"syn": (9.0, RIPE_S - 0.1)},
        },
        0.0,
    )

    saved = baseline.saved()

    assert saved == {"a": {"syn": (1.2346, 600.1)}}
    again = Baseline()
    again.restore(saved, 50_000.0)
    again.learn("a", [("syn", 1.2346)], 1.0, 50_001.0)
    assert again.of("a", "syn", 50_001.0) == pytest.approx(1.2346)


def test_as_many_are_remembered_as_there_can_be_devices() -> None:
    """Whoever finds no room is not learned, and pushes nobody out."""
    baseline = Baseline()
    many = {f"{number:012x}": {"syn": (1.0, RIPE_S)} for number in range(5000)}

    baseline.restore(many, 0.0)

    assert len(baseline) == 4096 - 512
    for number in range(6000, 7000):
        baseline.learn(f"{number:012x}", [("syn", 1.0)], 1.0, 1.0)
        baseline.learn_levels(f"{number:012x}", [("syn", 1.0)], 1.0)
    assert len(baseline) == MAX_DEVICES == 4096
    assert f"{0:012x}" in baseline.saved()


def touched(table: Bounded[int], name: str, *times_s: float) -> list[bool]:
    """Put a name into a table at some times."""
    return [table.put(name, int(time_s), time_s) for time_s in times_s]


def test_whoever_is_touched_a_minute_later_is_a_resident() -> None:
    """And not a second before: then made-up names push it out."""
    for second_s, stays in ((59.0, False), (60.0, True)):
        table: Bounded[int] = Bounded(8)
        touched(table, "a", 0.0, second_s)
        for number in range(20):
            assert table.put(f"made up {number}", 0, second_s)

        assert ("a" in table) is stays
        assert len(table) == 8
        assert table.get("a") == (60 if stays else None)


def test_a_name_that_keeps_talking_stays_among_made_up_ones() -> None:
    """The young one that was touched longest ago leaves."""
    table: Bounded[int] = Bounded(3)
    for number in range(50):
        table.put("a", number, float(number))
        table.put(f"made up {number}", 0, float(number))

    assert table.get("a") == 49
    assert "made up 49" in table
    assert "made up 47" not in table


@pytest.mark.parametrize(("limit", "residents"), [(1, 1), (2, 1), (8, 7), (16, 14), (100, 88)])
def test_residents_leave_an_eighth_for_newcomers(limit: int, residents: int) -> None:
    """There is always room for somebody to be young."""
    table: Bounded[int] = Bounded(limit)

    for number in range(2 * limit):
        table.restore(str(number), number, 0.0)

    assert len(table) == residents
    assert table.put("new", 1, 1.0) is (limit > 1)
    assert table.refused == (0 if limit > 1 else 1)


def test_a_resident_gives_way_when_it_is_stale() -> None:
    """After ten minutes without a touch, the one touched longest ago first."""
    table: Bounded[int] = Bounded(1)
    table.restore("old", 1, 0.0)

    assert not table.put("new", 2, 599.9)
    assert table.refused == 1
    assert table.put("new", 2, 600.0)
    assert table.items() == [("new", 2)]
    assert table.refused == 1


def test_a_resident_that_is_touched_is_not_the_next_to_leave() -> None:
    """The order is that of the last touch."""
    table: Bounded[int] = Bounded(3)
    table.restore("a", 1, 0.0)
    table.restore("b", 2, 0.0)
    touched(table, "a", 500.0)
    assert touched(table, "c", 640.0, 700.0) == [True, True]

    assert table.items() == [("a", 500), ("c", 700)]


def test_what_is_there_is_not_restored_over() -> None:
    """What was seen since the start is newer than what was kept."""
    table: Bounded[int] = Bounded(8)
    table.put("a", 1, 1.0)

    table.restore("a", 2, 1.0)

    assert table.items() == [("a", 1)]
    assert table.values() == [1]


def test_a_name_is_forgotten_wherever_it_is() -> None:
    """Young or resident; a name that is not there is no error."""
    table: Bounded[int] = Bounded(8)
    table.put("young", 1, 1.0)
    table.restore("resident", 2, 1.0)

    for name in ("young", "resident", "nobody"):
        table.remove(name)
        assert name not in table

    assert len(table) == 0
