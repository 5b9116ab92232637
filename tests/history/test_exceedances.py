"""When a count was at a level: what is certain of seconds where ten of them are kept."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.history.world import NOON, World, burst, device, mac

from monitorpi_history import exceedances
from monitorpi_history.exceedances import Exceedance, Exceedances
from monitorpi_history.items import SLOT_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOON_S = int(NOON.timestamp())

SECONDS = 180


def _port(bursts: list[tuple[int, int, int]]) -> list[int]:
    counts = [0] * SECONDS
    for at, length, value in bursts:
        counts[at : min(at + length, SECONDS)] = [value] * (min(at + length, SECONDS) - at)
    return counts


seconds = st.lists(
    st.tuples(st.integers(0, SECONDS - 1), st.integers(1, 25), st.integers(0, 30)), max_size=6
).map(_port)
"""Counts of three minutes: quiet, with bursts and floods."""


def steps(ports: Sequence[Sequence[int]], step_s: int) -> list[tuple[int, int, int, int]]:
    """Return what is kept of seconds: of each step the most of ten, summed and of one port."""
    found = []
    for start in range(0, len(ports[0]), step_s):
        slots = range(start, start + step_s, SLOT_S)
        most = [max(sum(port[at : at + SLOT_S]) for at in slots) for port in ports]
        found.append((start, step_s, sum(most), max(most)))
    return found


def stretches(
    taken: Sequence[tuple[int, int, int, int]], level: float, quiet_s: float
) -> list[Exceedance]:
    """Return what is made of steps."""
    made = Exceedances(level, quiet_s)
    found = [one for step in taken for one in made.step("x", *step)]
    return [*found, *made.rest()]


@given(
    port=seconds, level=st.integers(1, 40), quiet_s=st.sampled_from([0, 15, 60, 200]),
    step_s=st.sampled_from([10, 60]), other=st.booleans(),
)  # fmt: skip
def test_no_second_at_the_level_is_missed_and_what_lasts_had_one(
    port: list[int], level: int, quiet_s: int, step_s: int, other: bool
) -> None:
    """On however many ports; stretches are in order and apart by more than the quiet time."""
    ports = [port, port[::-1]] if other else [port]
    found = stretches(steps(ports, step_s), level, quiet_s)

    total = [sum(each) for each in zip(*ports, strict=True)]
    for at, value in enumerate(total):
        if value >= level:
            assert any(one.start_s <= at < one.end_s for one in found)
    for one in found:
        if one.lasting:
            assert max(total[one.start_s : one.end_s]) >= level
        assert one.most >= level
    assert all(b.start_s - a.end_s > quiet_s for a, b in pairwise(found))


@given(port=seconds, level=st.integers(1, 300), more=st.integers(0, 200))
def test_a_higher_level_is_never_reached_for_longer(port: list[int], level: int, more: int) -> None:
    """Nor more surely: a preview of a higher floor raises nothing that a lower one does not."""
    taken = steps([port], 10)

    def at(one: float, *, lasting: bool) -> set[int]:
        return {
            second
            for stretch in stretches(taken, one, 0)
            if stretch.lasting or not lasting
            for second in range(stretch.start_s, stretch.end_s)
        }

    assert at(level + more, lasting=False) <= at(level, lasting=False)
    assert sum(one.lasting for one in stretches(taken, level + more, 10**6)) <= sum(
        one.lasting for one in stretches(taken, level, 10**6)
    )


@given(port=seconds, level=st.integers(1, 40), quiet_s=st.sampled_from([0, 15, 60]))
def test_what_has_ended_is_told_as_it_ends(port: list[int], level: int, quiet_s: int) -> None:
    """Asked at each step or at the end: the same stretches, in the same order."""
    taken = steps([port], 10)
    made = Exceedances(level, quiet_s)
    found: list[Exceedance] = []
    for step in taken:
        found += [*made.ended(step[0]), *made.step("x", *step)]

    assert [*found, *made.rest()] == stretches(taken, level, quiet_s)


def test_subjects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for longest is told of first; nothing is lost."""
    monkeypatch.setattr(exceedances, "MAX_OPEN", 2)
    made = Exceedances(1, 0)

    found = [one.subject for who in "abc" for one in made.step(who, 0, 10, 5, 5)]

    assert found == ["a"]
    assert [one.subject for one in made.rest()] == ["b", "c"]


# --- asked for ------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A flood that lasts, a burst of one second, and a second port that shows half of each."""
    world = World(tmp_path)
    world.hand(device(1, hostname="camera"), "x")
    burst(world, [1] * 60 + [200] * 30 + [1] * 90 + [0, 0, 150] + [0] * 57)
    return world


def asked(world: World, **more: Any) -> list[dict[str, Any]]:
    """Ask when device 1 sent so many SYNs."""
    words = {"column": "tx_syn", "level": 100, "from_": "-2h"} | more
    found: dict[str, Any] = json.loads(world.ask("exceedances", **words))
    return list(found["exceedances"])


@pytest.mark.parametrize("idle_s", [40, 4000])
def test_a_flood_lasts_and_a_burst_is_possible(world: World, idle_s: int) -> None:
    """Packed or not yet: when, how surely, and between which bounds."""
    world.idle(idle_s)

    found = asked(world, from_="-6h")

    assert [(one["from"][11:19], one["to"][11:19], one["lasting"]) for one in found] == [
        ("12:01:00", "12:02:00", True), ("12:03:00", "12:04:00", False),
    ]  # fmt: skip
    assert [(one["mean_per_s"], one["most_per_s"]) for one in found] == [(200, 2000), (15, 150)]
    assert {(one["subject"], one["name"], one["precision_s"]) for one in found} == {
        (mac(1), "camera", 60)
    }


def test_only_what_reaches_the_level_in_the_span_is_told(world: World) -> None:
    """By level, time, device, direction and number."""
    world.idle(40)

    assert [one["lasting"] for one in asked(world, level=151)] == [True]
    assert asked(world, level=2001) == []
    assert len(asked(world, from_=NOON_S + 125)) == 1
    assert len(asked(world, to=NOON_S + 125)) == 1
    assert asked(world, mac=mac(0)) == asked(world, column="rx_syn") == []
    assert asked(world, column="tx_nothing") == []
    assert len(asked(world, limit=1)) == 1
    assert len(asked(world, quiet_s=100)) == 1
    (wire, _) = asked(world, column="syn")
    assert (wire["subject"], wire["lasting"]) == ("eth0", True)


def test_halves_on_two_ports_are_one(tmp_path: Path) -> None:
    """60/s on each of two ports may be 120/s: possible, and certain of neither."""
    world = World(tmp_path)
    for interface in ("eth0", "eth1"):
        world.now = NOON
        world.seq = 0
        burst(world, [60] * 20, interface=interface)
    world.idle(40)

    (one,) = asked(world, level=1100)

    assert (one["mean_per_s"], one["lasting"]) == (120, False)


def test_where_minutes_have_gone_an_hour_is_what_is_known(world: World) -> None:
    """Said with its precision."""
    world.idle(7300)
    world.archive.close()

    with sqlite3.connect(world.file) as db:
        db.execute("DELETE FROM minute")
        db.execute("DELETE FROM snapshot")

    (one,) = asked(world, from_="-6h")

    assert (one["precision_s"], one["lasting"]) == (3600, True)
    assert one["from"] == "2026-03-01T12:00:00.000Z"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("table", ["exceedances", "traffic", "wire"])
def test_thousands_of_empty_years_are_not_walked_through(world: World, table: str) -> None:
    """From 1970 to 9999, by ten seconds: what there is, at once."""
    world.idle(40)
    words = {"column": "tx_syn", "level": 100} if table == "exceedances" else {"step": 10}

    text = world.ask(table, from_=0, to=253_402_300_000, format="jsonl", **words)

    assert len(text.splitlines()) >= 2
    assert world.ask(table, from_=0, to=9000, format="jsonl", **words) == b""


def test_it_is_written_as_the_others_are(world: World) -> None:
    """CSV with a head, lines of JSON; and what makes no sense is refused."""
    world.idle(40)
    asks: dict[str, Any] = {"column": "tx_syn", "level": 100, "from_": "-2h"}
    rows = list(
        csv.DictReader(io.StringIO(world.ask("exceedances", format="csv", **asks).decode()))
    )
    lines = world.ask("exceedances", format="jsonl", **asks).splitlines()

    assert [row["lasting"] for row in rows] == ["true", "false"]
    assert [json.loads(line)["subject"] for line in lines] == [mac(1)] * 2
    for wrong in ({"level": 0}, {"column": "a b"}, {"column": None}, {"quiet_s": -1}):
        with pytest.raises(ValidationError):
            asked(world, **wrong)
