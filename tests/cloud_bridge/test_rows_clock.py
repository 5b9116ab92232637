"""Rows while the clock is not set, is set, and is set back: what was counted stands in one row."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cloud_bridge.test_rows import TOPIC, entry, folded, window

from monitorpi_cloud_bridge import rows as module
from monitorpi_cloud_bridge.rows import NO_ROOM_S, SKEW_S, RowBuilder

NUMBERS = st.integers(-1000, 1000).map(float)
VALUE = {"topic": "capture/value/+", "path": "value", "channel": "traffic"}
FOLDS = {"last": 1, "sum": 2, "min": 3, "max": 4, "mean": 5}


def builder_of_all(interval_s: int = 20) -> RowBuilder:
    """Build rows with each way to fold one value."""
    entries = [entry(**VALUE, aggregate=how, field=field) for how, field in FOLDS.items()]
    return RowBuilder(entries, interval_s)


def say(builder: RowBuilder, at_s: float, value: float, *, synced: bool = True) -> None:
    """Take one value."""
    builder.add("capture/value/eth0", at_s, {"value": value}, synced=synced)


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.lists(NUMBERS, min_size=1, max_size=6))
def test_what_was_held_joins_as_if_it_had_come_in_time(
    held: list[float], later: list[float]
) -> None:
    """Least, most, sum, mean and last are those of all values."""
    builder = builder_of_all()
    for value in held:
        say(builder, 5.0, value, synced=False)
    assert builder.holds
    builder.release(1000.0)
    for value in later:
        say(builder, 1006.0, value)
    assert not builder.holds

    (row,) = builder.finished(math.inf)

    everything = held + later
    assert row.second == 1020
    assert row.values == pytest.approx({
        1: everything[-1], 2: sum(everything), 3: min(everything), 4: max(everything),
        5: sum(everything) / len(everything),
    })  # fmt: skip


def test_what_is_held_moves_with_the_clock_until_it_is_trusted() -> None:
    """Set once by hand and once by the network: the second of the truth."""
    builder = builder_of_all()
    say(builder, 5.0, 1.0, synced=False)
    say(builder, 25.0, 2.0, synced=False)
    assert builder.finished(math.inf) == []

    builder.shift(100.0)
    builder.release(1000.0)

    assert [(row.second, row.values[2]) for row in builder.finished(math.inf)] == [
        (1120, 1.0), (1140, 2.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("interval_s", "back_s", "is_back"),
    [(20, 10, False), (20, 11, True), (1, NO_ROOM_S, False), (1, NO_ROOM_S + 1, True)],
)
def test_a_clock_that_is_set_back_far_begins_rows_anew(
    interval_s: int, back_s: int, is_back: bool
) -> None:
    """A step of less than half an interval is waited out."""
    builder = builder_of_all(interval_s)
    say(builder, 10_000.0, 1.0)
    builder.finished(10_000.0)
    now_s = 10_000.0 - back_s

    assert builder.come_back(now_s) == is_back

    say(builder, now_s, 2.0)
    (row,) = builder.finished(math.inf)
    expected = math.ceil(now_s / interval_s) * interval_s if is_back else 10_000 + interval_s
    assert (row.second, row.values[2]) == (expected, 2.0)


@pytest.mark.parametrize("ahead_s", [SKEW_S, SKEW_S + 100])
def test_what_is_stamped_too_far_ahead_counts_now(ahead_s: float) -> None:
    """One sensor's clock was wrong for a while."""
    builder = builder_of_all()
    say(builder, 1000.0 + ahead_s, 3.0)
    say(builder, 1000.0, 4.0)

    builder.come_back(1000.0)

    rows = {row.second: row.values[2] for row in builder.finished(math.inf)}
    assert rows == ({1000: 4.0, 1000 + math.ceil(SKEW_S / 20) * 20: 3.0} if ahead_s == SKEW_S
                    else {1000: 7.0})  # fmt: skip


def test_open_intervals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest takes what has no room: nothing counted is lost."""
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    builder = builder_of_all()
    for at_s in (20.0, 40.0, 60.0, 40.0):
        say(builder, at_s, 1.0)

    assert {row.second: row.values[2] for row in builder.finished(math.inf)} == {20: 1, 40: 3}


@pytest.mark.parametrize("synced", [True, False])
def test_a_day_of_intervals_can_be_open(synced: bool) -> None:
    """Of 20 s; the next one counts for the newest, held or not."""
    builder = builder_of_all()
    builder.closed = 20
    for second in range(40, 40 + 20 * 4321, 20):
        builder.add("capture/value/eth0", float(second), {"value": 1.0}, synced=synced)
    builder.release(0.0)

    rows = [row.values[2] for row in builder.finished(math.inf)]
    assert rows == [1.0] * 4319 + [2.0]


def test_sources_of_totals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever invents interfaces counts for nothing; who is known goes on."""
    monkeypatch.setattr(module, "_MAX_SOURCES", 1)
    builder = RowBuilder([entry()], 20)
    builder.add(TOPIC, 1.0, window(10, 10))
    builder.add("capture/traffic/eth9", 1.0, window(500, 100))
    builder.add(TOPIC, 2.0, window(15, 5))

    assert folded(builder) == {20: 15}


@pytest.mark.parametrize(
    ("topic", "is_wanted"), [("capture/value/eth0", True), ("capture/traffic/eth0", False)]
)
def test_only_what_a_field_comes_from_is_wanted(topic: str, is_wanted: bool) -> None:
    """And nothing else makes a row."""
    builder = builder_of_all()
    payload: dict[str, Any] = {"value": 1.0}
    builder.add(topic, 1.0, payload)

    assert builder.wants(topic) == is_wanted
    assert bool(builder.finished(math.inf)) == is_wanted


@pytest.mark.parametrize(
    ("interval_s", "second", "now_s", "stays"),
    [(20, 1040, 1000.0, True), (20, 1060, 1000.0, False), (1, 4611, 1000.0, True),
     (1, 4612, 1000.0, False)],
)  # fmt: skip
def test_what_is_stamped_a_little_ahead_waits_for_its_row(
    interval_s: int, second: int, now_s: float, stays: bool
) -> None:
    """Half an interval, an interval and what clocks differ by; of one second much more."""
    builder = builder_of_all(interval_s)
    say(builder, second, 3.0)

    assert not builder.come_back(now_s)

    assert list(builder._samples) == [
        second if stays else math.ceil(now_s / interval_s) * interval_s
    ]


@pytest.mark.parametrize(
    ("closed", "now_s", "is_back"), [(1010, 1000.0, False), (1020, 1000.0, True)]
)
def test_a_step_back_of_less_than_half_an_interval_is_waited_out(
    closed: int, now_s: float, *, is_back: bool
) -> None:
    """A longer one is gone back to at once."""
    builder = builder_of_all()
    builder.closed = closed

    assert builder.come_back(now_s) is is_back

    assert builder.closed == (980 if is_back else closed)
