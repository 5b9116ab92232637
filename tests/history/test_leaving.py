"""What leaves, and when: too old, too much, or written by a clock that ran ahead."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.history.hours import BEGIN, lines, save
from tests.history.world import NOON, World, alert, mac

from monitorpi_history import codec
from monitorpi_history.items import DAY_S, HOUR_S, Batch, Change, Series, Stretch

if TYPE_CHECKING:
    from pathlib import Path

START_S = BEGIN * HOUR_S


def count(world: World, table: str) -> int:
    """Return how many rows a table has."""
    with closing(sqlite3.connect(world.file)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - of this test


def hours(world: World) -> list[int]:
    """Return the hours that are held by ten seconds, from the first that was written."""
    with closing(sqlite3.connect(world.file)) as db:
        return [(id_ >> 24) - BEGIN for (id_,) in db.execute("SELECT id FROM snapshot ORDER BY id")]


def work(world: World, now_s: float, *, is_set: bool = True) -> None:
    """Fold what is over, and make room."""
    for _ in range(20):
        world.archive.work(now_s, is_set=is_set)


@pytest.mark.parametrize(
    ("keep_days", "age_s", "is_set", "is_kept"),
    [
        (2, 2 * DAY_S, True, True), (2, 2 * DAY_S + 1, True, False),
        (2, 2 * DAY_S + 1, False, True), (3, 2 * DAY_S + 1, True, True),
        (None, 400 * DAY_S, True, True),
    ],
)  # fmt: skip
def test_what_ended_longer_ago_than_is_kept_is_forgotten(
    tmp_path: Path, keep_days: int | None, age_s: float, is_set: bool, is_kept: bool
) -> None:
    """Alerts and changes, when the next hour is folded; by a clock that can be trusted."""
    world = World(tmp_path, keep_days=keep_days)
    old = alert(NOON, state="closed", closed_at=NOON, close_reason="quiet")
    world.archive.save(Batch(alerts=[old], changes=[Change(1000 * START_S, mac(1), "new")]))
    save(world, BEGIN + 40)

    work(world, START_S + age_s, is_set=is_set)

    assert (count(world, "alert"), count(world, "change")) == (is_kept, is_kept)
    world.archive.close()


@pytest.mark.parametrize(
    ("keep_days", "age_s", "is_set", "is_kept"),
    [
        (2, 2 * DAY_S + HOUR_S, True, True), (2, 2 * DAY_S + HOUR_S + 1, True, False),
        (2, 2 * DAY_S + HOUR_S + 1, False, True), (None, 400 * DAY_S, True, True),
    ],
)  # fmt: skip
def test_an_hour_leaves_once_all_of_it_is_older_than_is_kept(
    tmp_path: Path, keep_days: int | None, age_s: float, is_set: bool, is_kept: bool
) -> None:
    """By ten seconds and by the minute; the day that it is of stays."""
    world = World(tmp_path, keep_days=keep_days)
    save(world, BEGIN)

    work(world, START_S + age_s, is_set=is_set)

    assert (count(world, "snapshot"), count(world, "minute")) == (is_kept, is_kept)
    assert count(world, "hour") == 1
    world.archive.close()


@pytest.mark.parametrize(
    ("now_s", "is_set", "left"),
    [
        (START_S + 5 * HOUR_S, True, [3, 4, 5]),
        (1e6, False, [3, 4, 5]),
        (1e6, True, [0, 1]),
        (START_S + 3 * HOUR_S, True, [1, 2, 3, 4]),
    ],
)
def test_where_there_is_no_room_the_oldest_leaves(
    tmp_path: Path, now_s: float, is_set: bool, left: list[int]
) -> None:
    """Two hours stay beside the newest; what lies ahead leaves before, by a clock that is set."""
    world = World(tmp_path)
    for hour in range(BEGIN, BEGIN + 6):
        save(world, hour)
    world.archive._budget = 12_000_001
    world.archive._unpacked.clear()

    world.archive.work(now_s, is_set=is_set)

    assert hours(world) == left
    assert (world.archive.warning(1e6) is not None) is bool(left)
    world.archive.close()


def test_columns_are_the_same_on_processors_of_the_other_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each turns what it writes and what it reads."""
    monkeypatch.setattr(codec, "_IS_BIG", True)
    columns = {1: [1, 300, 70_000], 2: [2**40, 0, 1]}

    found = codec.decode_block(codec.encode_block(columns), 3)

    assert {number: list(values) for number, values in found.items()} == columns


def test_hours_that_a_process_before_us_has_not_folded_are_folded_once(tmp_path: Path) -> None:
    """Each of them, also where it has one snapshot; then nothing is left to do."""
    world = World(tmp_path)
    for hour in (0, 1, 2, 5):
        save(world, BEGIN + hour)
    world.archive.close()
    world.start()

    work(world, START_S + 7 * HOUR_S)

    assert count(world, "minute") == 4
    assert world.archive._unpacked == set()
    world.archive.close()


def test_whoever_was_there_later_keeps_a_number_and_others_leave_with_their_day(
    tmp_path: Path,
) -> None:
    """Of a flood of invented addresses nothing is left; who comes back is known, folded or not."""
    world = World(tmp_path, keep_days=1)
    save(world, BEGIN, *(Series("device", "eth0", mac(n)) for n in range(3)))
    work(world, START_S + 2 * HOUR_S)
    save(world, BEGIN + 40, Series("device", "eth0", mac(2)))

    work(world, START_S + 40.5 * HOUR_S)

    assert (count(world, "hour"), count(world, "series")) == (0, 2)
    span = {"from_": START_S + 40 * HOUR_S, "to": START_S + 41 * HOUR_S, "step": 3600}
    assert [one["tx_packets"] for one in lines(world, "traffic", mac=mac(2), **span)] == [42]
    work(world, START_S + 80 * HOUR_S)
    assert (count(world, "hour"), count(world, "series")) == (2, 2)
    world.archive.close()


def test_health_tells_what_is_used_without_what_is_free(tmp_path: Path) -> None:
    """And nothing of how far it will reach, while nothing is known of that."""
    world = World(tmp_path)
    state: Any = world.archive.state(START_S)
    assert {one["will_reach_s"] for one in state["tiers"].values()} == {None}
    chance = world.chance
    for hour in range(BEGIN, BEGIN + 3):
        series = Series("wire", "eth0")
        values = {str(n): [chance.randrange(2**40) for _ in range(360)] for n in range(20)}
        world.archive.save(Batch([Stretch(hour, 0, 360, {series: values})]))
    before: Any = world.archive.state(START_S)["used_bytes"]
    world.archive._budget = 12_000_001
    world.archive.work(START_S + 2.5 * HOUR_S, is_set=True)

    used: Any = world.archive.state(START_S)["used_bytes"]

    with closing(sqlite3.connect(world.file)) as db:
        pages, free, size = (db.execute(f"PRAGMA {name}").fetchone()[0]
                             for name in ("page_count", "freelist_count", "page_size"))  # fmt: skip
    assert free > 0
    assert used == (pages - free) * size < before
    world.archive.close()


def test_words_are_written_once_each(tmp_path: Path) -> None:
    """Those of a process before us are known, the new ones are added."""
    world = World(tmp_path)
    for number in range(3):
        more = {f"new_{number}": [1], "packets": [2]}
        stretch = Stretch(BEGIN + number, 0, 1, {Series("wire", "eth0"): more})
        assert world.archive.save(Batch([stretch])) is None
        world.archive.close()
        world.start()

    with closing(sqlite3.connect(world.file)) as db:
        found = [text for (text,) in db.execute("SELECT text FROM word ORDER BY id")]
    assert sorted(found) == sorted({"packets", "new_0", "new_1", "new_2"})
    world.archive.close()


def test_how_much_each_fineness_takes_outlives_a_restart(tmp_path: Path) -> None:
    """As it was when an hour was folded last."""
    world = World(tmp_path)
    save(world, BEGIN)
    work(world, START_S + 2 * HOUR_S)
    before: Any = world.archive.state(START_S + 2 * HOUR_S)["tiers"]
    world.archive.close()

    world.start()

    assert all(one["bytes"] for one in before.values())
    assert world.archive.state(START_S + 2 * HOUR_S)["tiers"] == before
    world.archive.close()
