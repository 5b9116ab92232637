"""What is written when, what leaves with what, and what a crowd of devices is answered."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.history.hours import BEGIN, lines, pack, save
from tests.history.world import NOON, World, alert, device, mac, window

from monitorpi_common.log import Log
from monitorpi_common.messages import Device, Target
from monitorpi_common.service import TombstoneReceived
from monitorpi_common.topics import Topic
from monitorpi_history import core as module
from monitorpi_history.items import HOUR_S, Series
from monitorpi_history.sinks.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Begin with nothing, at noon."""
    made = World(tmp_path)
    yield made
    made.archive.close()


# --- when it is written ---------------------------------------------------------------------------


def written(world: World) -> list[int]:
    """Return, as they come, how many alerts each batch has."""
    found: list[int] = []
    save_ = world.archive.save
    world.archive.save = lambda batch: found.append(len(batch.alerts)) or save_(batch)  # type: ignore[method-assign,func-returns-value]
    return found


def test_all_is_written_each_twenty_five_seconds(world: World) -> None:
    """By the clock that never steps; the first time at once."""
    batches = written(world)
    world.tick()
    for _ in range(100):
        world.pass_time(0.5)
        world.now -= timedelta(hours=1)
        world.tick()

    assert len(batches) == 3


@pytest.mark.parametrize(("passed_s", "again"), [(599, 0), (600, 1)])
def test_an_alert_that_goes_on_is_written_after_ten_minutes(
    world: World, passed_s: float, again: int
) -> None:
    """An SD card wears by what is written."""
    world.tick()
    world.hand(alert(NOON), "x")
    list(world.core.close())
    batches = written(world)
    world.boot_s += passed_s
    world.tick()
    world.hand(alert(NOON, at=NOON + timedelta(minutes=5)), "x")
    list(world.core.close())

    assert sum(batches) == again


@pytest.mark.parametrize(
    "more",
    [
        {"severity": "warning"},
        {"acknowledged": True},
        {"caused_by": "loop-wire-eth0"},
        {"state": "closed", "closed_at": NOON, "close_reason": "quiet"},
    ],
)
def test_an_alert_that_changes_is_written_at_once(world: World, more: dict[str, Any]) -> None:
    """And what is said of it until then is what is written."""
    world.tick()
    world.hand(alert(NOON), "x")
    list(world.core.close())
    batches = written(world)
    world.hand(alert(NOON, **more), "x")
    world.hand(alert(NOON, summary="later", **more), "x")
    list(world.core.close())

    assert batches == [1]
    assert [one["summary"] for one in lines(world, "alerts")] == ["later"]


def test_alerts_that_are_followed_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed ones make room; where all are open the next one is refused and counted."""
    monkeypatch.setattr(module, "MAX_ALERTS", 2)
    names = [f"8f3e0b8e-3c0b-5d0a-9a55-0f6f5a1f7c1{n}" for n in range(4)]
    closed = {"state": "closed", "closed_at": NOON, "close_reason": "quiet"}
    world.tick()
    world.hand(alert(NOON, id=names[0], **closed), "x")
    for name in names[1:]:
        world.hand(alert(NOON, id=name), "x")
    world.hand(alert(NOON, id=names[1], severity="warning"), "x")
    list(world.core.close())

    assert world.core.detail()["refused_total"] == 1
    assert {one["id"] for one in lines(world, "alerts", from_="-1y")} == set(names[:3])


def gone(world: World, kind: str, id_: str) -> None:
    """Let a retained message be taken back."""
    list(world.core.handle(TombstoneReceived(Topic("lab", "capture", kind, id_))))


def test_only_a_device_that_is_taken_back_is_forgotten(world: World) -> None:
    """Whatever else has a name like one; and nothing before the time is known."""
    world.hand(device(1), "020000000001")
    gone(world, Device.KIND, "020000000001")
    world.tick()
    gone(world, Target.KIND, "020000000001")
    gone(world, Device.KIND, "no-device")
    list(world.core.close())
    assert [one["what"] for one in lines(world, "changes", from_=0)] == ["new"]

    gone(world, Device.KIND, "020000000001")
    list(world.core.close())
    assert [one["what"] for one in lines(world, "changes", from_=0)] == ["forgotten", "new"]


# --- what leaves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("behind_s", "tiers"), [(119, 0), (120, 1)])
def test_an_hour_is_folded_two_minutes_after_its_end(
    world: World, behind_s: float, tiers: int
) -> None:
    """What comes late comes within a minute."""
    save(world, BEGIN)
    pack(world, (BEGIN + 1) * HOUR_S + behind_s)

    with sqlite3.connect(world.file) as db:
        assert db.execute("SELECT count(*) FROM minute").fetchone() == (tiers,)
    db.close()


def test_what_nothing_is_kept_of_any_more_has_no_number(tmp_path: Path) -> None:
    """Of a flood of invented addresses nothing is left when its hours have gone."""
    world = World(tmp_path, keep_days=1)
    save(world, BEGIN, *(Series("device", "eth0", mac(n)) for n in range(9)))
    for hour in range(BEGIN + 1, BEGIN + 60):
        save(world, hour, Series("device", "eth0", mac(100)))
        pack(world, (hour + 1.5) * HOUR_S)
    for _ in range(9):
        world.archive.work((BEGIN + 60) * HOUR_S, is_set=True)
    world.archive.close()

    with sqlite3.connect(world.file) as db:
        kept = {subject for (subject,) in db.execute("SELECT subject FROM series")}
        hours = {hour for (hour,) in db.execute("SELECT hour FROM packed")}
    db.close()
    assert kept == {"", mac(100)}
    assert len(hours) <= 27


def test_an_hour_that_is_folded_is_folded_once_whatever_was_forgotten(tmp_path: Path) -> None:
    """Begun anew, a history adds nothing to what it has."""
    world = World(tmp_path)
    save(world, BEGIN)
    for _ in range(2):
        pack(world, (BEGIN + 3) * HOUR_S)
        world.archive.close()
        world.start()

    (line,) = lines(world, "wire", step=3600, from_=BEGIN * HOUR_S, to=(BEGIN + 1) * HOUR_S)
    assert (line["packets"], line["covered_s"]) == (42, 60.0)
    world.archive.close()


@pytest.mark.parametrize(("ahead_s", "state"), [(3600, None), (3601, "clock")])
def test_what_is_kept_may_be_an_hour_ahead(world: World, ahead_s: int, state: str | None) -> None:
    """The hour that runs begins before now; beyond that a clock was wrong."""
    save(world, BEGIN)

    found = world.archive.warning(BEGIN * HOUR_S - ahead_s)

    assert (found and found.state) == state
    assert world.archive.warning(0) is None


def test_another_program_that_holds_the_file_is_told(tmp_path: Path) -> None:
    """And once it is gone all is written."""
    world = World(tmp_path)
    world.archive.close()
    other = sqlite3.connect(world.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    world.hand(window(NOON, 1))
    world.tick()
    told = world.core.detail()["trouble"]
    other.execute("ROLLBACK")
    other.close()
    world.boot_s += 25
    world.tick()

    assert isinstance(told, dict)
    assert (told["state"], told["remedy"]) == ("busy", "end the other program")
    assert world.core.detail()["trouble"] is None
    assert [line["covered_s"] for line in lines(world, "wire", step=10)] == [1.0]
    world.archive.close()


def test_health_tells_how_far_back_it_reaches_and_will(world: World) -> None:
    """Each tier by its own rate, as far as the budget allows."""
    assert world.archive.state(0)["used_bytes"]
    for hour in range(BEGIN, BEGIN + 5):
        save(world, hour, Series("device", "eth0", mac(1)), slots=360)
        pack(world, (hour + 1.5) * HOUR_S)
    now_s = (BEGIN + 5) * HOUR_S
    found = world.archive.state(now_s)
    tiers: Any = found["tiers"]

    with sqlite3.connect(world.file) as db:
        sizes = [
            db.execute(f"SELECT total(length(data)) FROM {name}").fetchone()[0]  # noqa: S608 - of this test
            for name in ("snapshot", "minute", "hour")
        ]
    db.close()
    assert (found["kept"], found["budget_bytes"]) == (True, 500_000_000)
    assert [one["bytes"] for one in tiers.values()] == sizes
    assert [one["reaches_s"] for one in tiers.values()] == [5 * HOUR_S, 5 * HOUR_S, 17 * HOUR_S]
    days = [1, 30, 730]
    need = sum(
        size / one["reaches_s"] * day * 86_400
        for size, one, day in zip(sizes, tiers.values(), days, strict=True)
    )
    share = (500_000_000 - 12_000_000 - int(str(found["used_bytes"])) + sum(sizes)) / need
    for one, day in zip(tiers.values(), days, strict=True):
        assert one["will_reach_s"] == pytest.approx(share * day * 86_400, abs=1)


def test_a_history_that_cannot_be_opened_keeps_nothing(tmp_path: Path) -> None:
    """And says so."""
    (tmp_path / "state").write_text("no folder")
    archive = Archive(tmp_path / "state" / "x", 10**9, None, Log("history", "critical"))

    assert archive.open() is not None
    assert archive.state(1.0) == {"kept": False}
    assert (archive.devices(), archive.target_states()) == ([], {})
    assert not archive.work(1.0, is_set=True)


def test_what_a_wrong_clock_wrote_ahead_leaves_first(world: World) -> None:
    """When room is needed: the oldest that is true stays."""
    save(world, BEGIN)
    save(world, BEGIN + 1000)
    world.archive._budget = 12_000_001

    world.archive.work((BEGIN + 1.5) * HOUR_S, is_set=True)

    with sqlite3.connect(world.file) as db:
        left = {id_ >> 24 for (id_,) in db.execute("SELECT id FROM snapshot")}
    db.close()
    assert left == {BEGIN}


def test_numbers_of_the_past_are_not_held(world: World) -> None:
    """Of whom an hour knows, whoever was there before: memory stays flat."""
    for hour in range(BEGIN, BEGIN + 5):
        save(world, hour, *(Series("device", "eth0", mac(20 * hour + n)) for n in range(20)))

    assert len(world.archive._numbers) == 21
