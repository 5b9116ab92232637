"""From messages to rows, and from long backlogs to short ones: the pure part of the bridge."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_cloud_bridge.mapping import MappingEntry
from monitorpi_cloud_bridge.paths import values
from monitorpi_cloud_bridge.rows import RowBuilder, Sample
from monitorpi_cloud_bridge.thinning import (
    BUCKET_S,
    FRESH_S,
    OLD_BUCKET_S,
    WEEK_S,
    Waiting,
    number,
    thin,
)

TOPIC = "capture/traffic/eth0"


def entry(**more: Any) -> MappingEntry:
    """Build a mapping entry for the SYN counter, or as told."""
    settled = {
        "topic": "capture/traffic/+", "path": "totals.syn", "channel": "traffic", "field": 7,
        "aggregate": "sum",
    }  # fmt: skip
    return MappingEntry.model_validate(settled | more)


def window(total: int, count: int, epoch: str = "e") -> dict[str, Any]:
    """Build the part of a window that rows look at."""
    return {"epoch": epoch, "counts": {"syn": count}, "totals": {"syn": total}}


def folded(builder: RowBuilder) -> dict[int, float]:
    """Return the values of all rows by their second."""
    return {row.second: row.values[7] for row in builder.finished(math.inf)}


def test_a_row_covers_what_ended_in_its_interval() -> None:
    """Windows that ended in (T - 20, T] stand in row T."""
    builder = RowBuilder([entry()], 20)

    for at, total in ((20.0, 1), (20.001, 3), (40.0, 6), (41.0, 10)):
        builder.add(TOPIC, at, window(total, 0))

    assert folded(builder) == {20: 0, 40: 5, 60: 4}


def test_the_first_window_counts_for_itself_only() -> None:
    """What the sensor counted before the bridge came is not the bridge's."""
    builder = RowBuilder([entry()], 20)

    builder.add(TOPIC, 5.0, window(1000, 7))

    assert folded(builder) == {20: 7}


@pytest.mark.parametrize(
    ("said", "counted"), [({"packets": 3, "bytes": 180}, [3, 180]), ({}, [0, 0])]
)
def test_frames_and_bytes_of_the_first_window_stand_beside_its_counts(
    said: dict[str, int], counted: list[float]
) -> None:
    """What it does not say of itself was before."""
    paths = ("totals.packets", "totals.bytes")
    builder = RowBuilder([entry(path=path, field=n) for n, path in enumerate(paths, 1)], 20)

    builder.add(TOPIC, 5.0, {"epoch": "e", "totals": {"packets": 900, "bytes": 9000}, **said})

    (row,) = builder.finished(math.inf)
    assert [row.values[1], row.values[2]] == counted


def test_a_lost_window_loses_no_count() -> None:
    """Totals carry what a lost message would have said."""
    builder = RowBuilder([entry()], 20)

    builder.add(TOPIC, 1.0, window(10, 10))
    builder.add(TOPIC, 3.0, window(60, 20))

    assert folded(builder) == {20: 60}


def test_a_new_epoch_begins_at_zero() -> None:
    """A restarted sensor's totals count from nothing."""
    builder = RowBuilder([entry()], 20)

    builder.add(TOPIC, 1.0, window(500, 5))
    builder.add(TOPIC, 2.0, window(3, 3, epoch="f"))

    assert folded(builder) == {20: 8}


def test_a_late_window_counts_for_the_next_row() -> None:
    """A row is never changed once it is finished."""
    builder = RowBuilder([entry()], 20)
    builder.add(TOPIC, 19.0, window(1, 1))
    assert [row.second for row in builder.finished(22)] == [20]

    builder.add(TOPIC, 19.5, window(5, 4))

    assert folded(builder) == {40: 4}


def test_several_interfaces_are_summed_and_a_drill_is_not() -> None:
    """The channel tells of the whole LAN, and a rehearsal is no traffic."""
    builder = RowBuilder([entry()], 20)

    for name in ("eth0", "eth1", "drill0"):
        builder.add(f"capture/traffic/{name}", 1.0, window(5, 5))

    assert folded(builder) == {20: 10}


def test_memory_goes_on_where_it_ended() -> None:
    """After a kill nothing since the last written row is lost, and nothing counted twice."""
    first = RowBuilder([entry()], 20)
    first.add(TOPIC, 1.0, window(10, 10))
    memory = first.memory()
    first.add(TOPIC, 2.0, window(11, 1))  # this process dies before it is written

    second = RowBuilder([entry()], 20)
    second.remember(memory)
    second.add(TOPIC, 3.0, window(15, 1))

    assert folded(second) == {20: 15}


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["marks", "samples", "closed"]), inner)
    ),
)


@given(JSON)
def test_memory_of_another_shape_is_forgotten(memory: Any) -> None:
    """A damaged or foreign memory starts afresh instead of crashing."""
    RowBuilder([entry()], 20).remember(memory)


@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.booleans(), st.sampled_from(["eth0", "eth1"])),
        max_size=60,
    ),
    st.integers(1, 30),
)
def test_every_frame_stands_in_exactly_one_row(steps: list[Any], interval: int) -> None:
    """Whatever is lost and however time passes, the rows add up to the totals."""
    builder = RowBuilder([entry()], interval)
    totals = {"eth0": 0, "eth1": 0}
    before: dict[str, int] = {}
    delivered: dict[str, int] = {}
    rows: list[float] = []
    for second, (count, lost, name) in enumerate(steps, start=1):
        totals[name] += count
        if not lost:
            builder.add(f"capture/traffic/{name}", float(second), window(totals[name], count))
            before.setdefault(name, totals[name] - count)
            delivered[name] = totals[name]
        if second % 7 == 0:
            rows += [row.values[7] for row in builder.finished(second - 2)]

    rows += folded(builder).values()

    assert sum(rows) == sum(delivered[name] - before[name] for name in delivered)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("last", 2), ("sum", 9), ("mean", 3), ("min", 1), ("max", 6), ("rate", 0.45)],
)
def test_aggregates(how: str, expected: float) -> None:
    """Three values of one interval become one."""
    one = entry(topic="prober/probe/+", path="noise_floor_ms", aggregate=how)
    builder = RowBuilder([one], 20)

    for at, value in enumerate((1, 6, 2)):
        builder.add("prober/probe/main", float(at + 1), {"noise_floor_ms": value})

    assert folded(builder) == {20: expected}


def test_the_values_of_several_paths_are_one_value() -> None:
    """Their sum, of whatever there is; of a single path each is a value of its own."""
    payload = {"a": 1, "l": [{"v": 2}, {"v": 4}]}
    several = entry(topic="prober/probe/+", path=["a", "l[].v", "none"], aggregate="mean")
    single = entry(topic="prober/probe/+", path="l[].v", aggregate="mean", channel="health")
    builder = RowBuilder([several, single], 20)

    builder.add("prober/probe/main", 10.0, payload)

    assert [(row.channel, row.values) for row in builder.finished(math.inf)] == [
        ("traffic", {7: 7.0}), ("health", {7: 3.0})]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", [1.0]), ("b.c", [2.0]), ("l[].v", [1.0, 3.0]), ("l[s=up].v", [1.0]),
        ("l[s=up].#", [1.0]), ("l[].#", [3.0]), ("none", []), ("a.b", []), ("l[].none", []),
        ("text", []), ("b[]", []),
    ],
)  # fmt: skip
def test_paths(path: str, expected: list[float]) -> None:
    """A path leads to every number it names; what is not there is left out."""
    payload = {
        "a": 1, "b": {"c": 2}, "text": "x",
        "l": [{"v": 1, "s": "up"}, {"v": None, "s": "down"}, {"v": 3, "s": "down"}],
    }  # fmt: skip

    assert values(payload, path) == expected


# --- thinning -----------------------------------------------------------------------------------

NOW = 10_000_000.0


def backlog(seconds: int, step: int = 20) -> list[Waiting]:
    """Build rows of the past: eight fields that all move, two of which spike at once."""
    dice = random.Random(1)  # noqa: S311 - repeatable on purpose
    start = int(NOW) - seconds
    rows = [
        Waiting(second, {f"field{n}": str(dice.randrange(10, 1000)) for n in range(1, 9)})
        for second in range(start, int(NOW), step)
    ]
    middle = rows[len(rows) // 2]
    rows[len(rows) // 2] = Waiting(
        middle.second, {**middle.fields, "field7": "99999", "field8": "88888"}
    )
    return rows


def applied(rows: list[Waiting], now: float = NOW) -> list[Waiting]:
    """Return what is left of a backlog."""
    left = {row.second: row for row in rows}
    for one in thin(rows, now):
        for second in one.removed:
            del left[second]
        assert not left.keys() & {row.second for row in one.kept}
        left |= {row.second: row for row in one.kept}
    return [left[second] for second in sorted(left)]


def test_three_days_become_five_minute_means_with_the_extremes() -> None:
    """The last hour stays whole, the rest is short, and the spike stands where it was."""
    rows = backlog(3 * 86_400)

    left = applied(rows)

    fresh = [row for row in rows if row.second >= NOW - FRESH_S]
    assert [row for row in left if row.second >= NOW - FRESH_S] == fresh
    assert len(left) <= 3 * 3 * 86_400 / BUCKET_S + (FRESH_S + OLD_BUCKET_S) / 20
    (spike,) = [row for row in left if row.fields["field7"] == "99999"]
    assert (spike.second, spike.fields["field8"]) == (rows[len(rows) // 2].second, "88888")
    assert applied(left) == left


def test_after_a_week_a_quarter_of_an_hour_is_enough() -> None:
    """Old buckets are longer."""
    left = [row for row in applied(backlog(10 * 86_400)) if row.second < NOW - WEEK_S]

    assert len(left) <= 3 * (3 * 86_400 / OLD_BUCKET_S + 1)


def test_a_bucket_that_is_not_over_yet_waits() -> None:
    """Only whole buckets are thinned: a mean is never one of means."""
    rows = backlog(2 * 86_400)
    first = applied(rows, NOW - 120)

    assert applied(first, NOW) == applied(rows, NOW)


def test_what_never_changes_needs_one_row() -> None:
    """Where no field moves the mean says everything."""
    rows = [Waiting(second, {"field1": "5"}) for second in range(0, 900, 20)]

    assert [row.fields for row in applied(rows)] == [{"field1": "5"}]


def test_texts_are_never_thinned() -> None:
    """An alert's row stays."""
    rows = backlog(86_400)
    rows[5] = Waiting(rows[5].second, {"status": "OPEN syn-flood"})

    assert rows[5] in applied(rows)


VALUES = st.dictionaries(
    st.sampled_from(["field1", "field2", "field8"]),
    st.floats(-1e6, 1e6).map(number) | st.just("7"),
    min_size=1,
)


@given(st.dictionaries(st.integers(0, 4000), VALUES, max_size=80))
def test_thinning_keeps_every_extreme_and_the_mean(fields: dict[int, dict[str, str]]) -> None:
    """In every bucket each field's lowest, highest and mean are still there, in its own time."""
    rows = [Waiting(second, fields[second]) for second in sorted(fields)]

    left = applied(rows)

    assert applied(left) == left
    for start in range(0, 4000, OLD_BUCKET_S):
        before, after = (
            [row.fields for row in some if start <= row.second < start + OLD_BUCKET_S]
            for some in (rows, left)
        )
        for name in {name for row in before for name in row}:
            was = [float(row[name]) for row in before if name in row]
            now = [float(row[name]) for row in after if name in row]
            assert (min(was), max(was)) == (min(now), max(now))
            mean = sum(was) / len(was)
            assert len(after) == len(before) or any(
                math.isclose(mean, value, rel_tol=1e-6, abs_tol=1e-5) for value in now
            )
        assert len(after) <= max(3, min(len(before), 3))


@given(st.floats(-1e9, 1e9))
def test_numbers_are_short_and_true(value: float) -> None:
    """What is written reads back within a millionth."""
    assert math.isclose(float(number(value)), value, abs_tol=1e-6, rel_tol=1e-9)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=6), st.data())
def test_intervals_joined_are_as_if_they_had_been_one(
    numbers: list[int], data: st.DataObject
) -> None:
    """Number, sum, lowest, highest and last."""
    at = data.draw(st.integers(1, len(numbers) - 1))

    def folded(some: list[int]) -> Sample:
        first = float(some[0])
        sample = Sample(1, first, first, first, first)
        for value in some[1:]:
            sample = sample.plus(float(value))
        return sample

    assert folded(numbers[:at]).joined(folded(numbers[at:])) == folded(numbers)
    assert folded(numbers) == (len(numbers), sum(numbers), min(numbers), max(numbers), numbers[-1])
