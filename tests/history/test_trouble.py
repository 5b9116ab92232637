"""Disks that are full, read-only or cut off, files that are newer or damaged, clocks that jump.

Each time the service goes on, says what is wrong and what to do, and takes up its work by itself
where it can.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.disks import make_disk, mounted
from tests.history.world import NOON, World, alert, mac, window

from monitorpi_common.log import Log
from monitorpi_common.messages import CLASSES
from monitorpi_history.core import FLUSH_S
from monitorpi_history.gathering import MAX_UNKNOWN
from monitorpi_history.items import HOUR_S, Batch, Change, Series, Stretch
from monitorpi_history.sinks.archive import Archive
from monitorpi_history.sinks.schema import MIGRATIONS, open_to_write, version_of

if TYPE_CHECKING:
    from pathlib import Path


def lines(world: World, table: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for lines of JSON."""
    return [json.loads(line) for line in world.ask(table, format="jsonl", **asked).splitlines()]


def trouble(world: World) -> str | None:
    """Return the state health names; None: all is well."""
    told = world.core.detail()["trouble"]
    return told["state"] if isinstance(told, dict) else None  # type: ignore[return-value]


def covered(world: World) -> float:
    """Return how many seconds of the wire are held."""
    return sum(line["covered_s"] for line in lines(world, "wire", step=10, from_="-2d"))


def test_a_full_disk_is_said_and_taken_up_again(tmp_path: Path) -> None:
    """What was counted meanwhile is held, and written once there is room."""
    disk = make_disk(tmp_path / "disk", 8)
    with mounted(disk, tmp_path / "mnt") as folder:
        world = World(folder)
        world.live(60, devices=40)
        filler = folder / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass
        world.live(600, devices=40)
        assert trouble(world) == "full"

        filler.unlink()
        world.live(60, devices=40)
        world.idle(30)

        assert trouble(world) is None
        assert covered(world) == 720
        world.archive.close()


def test_a_disk_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    """As ext4 is after an error, and then is not any more; what is there can be asked for."""
    disk = make_disk(tmp_path / "disk", 8)
    with mounted(disk, tmp_path / "mnt") as folder:
        world = World(folder)
        world.live(60)
        world.archive.close()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        world.archive._db = None
        world.live(60)
        assert trouble(world) == "read-only"

        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        world.live(60)
        world.idle(30)

        assert trouble(world) is None
        assert covered(world) == 180
        world.archive.close()


def test_what_is_held_is_bounded(tmp_path: Path) -> None:
    """After an hour without a disk the oldest slots go, and are counted."""
    (tmp_path / "state").write_text("no folder")
    world = World(tmp_path / "state")

    world.live(3600 + 300, devices=1)

    detail = world.core.detail()
    assert (trouble(world), detail["waiting_slots"]) == ("failed", 360)
    assert 29 <= int(str(detail["lost_slots_total"])) <= 31


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The line names both forms; nothing in it is touched."""
    world = World(tmp_path)
    world.live(60)
    world.archive.close()
    with sqlite3.connect(world.file) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = world.file.read_bytes()

    world.start()
    world.live(60)

    assert trouble(world) == "newer"
    assert "form 99" in str(world.core.detail()["trouble"])
    assert world.file.read_bytes() == before


def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """Each step in its turn, and what was there stays."""
    file = tmp_path / "history.sqlite"
    db = open_to_write(file)
    db.execute("INSERT INTO word VALUES (1, 'syn')")
    db.close()
    more = (*MIGRATIONS, "ALTER TABLE word ADD COLUMN unit TEXT", "UPDATE word SET unit = 'frames'")

    db = open_to_write(file, more)

    assert version_of(db) == len(MIGRATIONS) + 2
    assert db.execute("SELECT * FROM word").fetchall() == [(1, "syn", "frames")]
    db.close()


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The file is as it was, of the version it had."""
    file = tmp_path / "history.sqlite"
    open_to_write(file).close()

    with pytest.raises(sqlite3.OperationalError):
        open_to_write(file, (*MIGRATIONS, "CREATE TABLE extra (id);\nSELECT * FROM nowhere"))

    db = open_to_write(file)
    assert version_of(db) == len(MIGRATIONS)
    assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'extra'").fetchall() == []
    db.close()


@pytest.mark.parametrize("damage", [b"", b"garbage" * 1000, bytes(8192)])
def test_a_damaged_file_is_said(tmp_path: Path, damage: bytes) -> None:
    """An empty one is begun anew; anything else is left for people to look at."""
    world = World(tmp_path)
    world.live(60)
    world.archive.close()
    for name in ("history.sqlite-wal", "history.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    world.file.write_bytes(damage)

    world.start()
    world.live(60)

    assert trouble(world) == ("damaged" if damage else None)


def test_pages_damaged_while_it_runs_are_said(tmp_path: Path) -> None:
    """A worn card gives other bytes back than it took."""
    world = World(tmp_path)
    world.live(3700, devices=3)
    world.archive.close()
    chance = random.Random(4)  # noqa: S311 - the same each time
    data = bytearray(world.file.read_bytes())
    for at in range(8192, len(data)):
        data[at] = chance.randrange(256)
    world.file.write_bytes(data)

    world.start()
    world.live(200)

    assert trouble(world) == "damaged"


def test_a_clock_set_back_loses_nothing(tmp_path: Path) -> None:
    """Both times are reported; health says that what is kept lies ahead of the clock."""
    world = World(tmp_path)
    world.live(60)
    world.idle(30)
    world.now -= timedelta(hours=5)
    world.live(60)
    world.idle(30)

    assert trouble(world) == "clock"
    world.now += timedelta(hours=6)
    world.tick()
    assert covered(world) == 120
    assert trouble(world) is None


def test_a_clock_that_was_in_2038_once_is_told_for_a_day(tmp_path: Path) -> None:
    """All goes well since; the watch over the watch, which is quiet meanwhile, speaks again."""
    world = World(tmp_path)
    world.now += timedelta(days=4000)
    world.live(60)
    world.idle(30)
    world.now -= timedelta(days=4000)
    world.live(60)
    world.idle(30)
    assert trouble(world) == "clock"

    world.pass_time(86_300)
    world.tick()
    assert trouble(world) == "clock"
    world.pass_time(200)
    world.tick()

    assert trouble(world) is None


def test_a_clock_that_is_far_ahead_or_not_set(tmp_path: Path) -> None:
    """Windows stamped as no window can be are counted; those of a clock not set are marked."""
    world = World(tmp_path)
    world.tick()
    for seq, at in enumerate((NOON + timedelta(days=400), NOON - timedelta(days=20000))):
        world.hand(window(at, seq))
    world.hand(window(NOON, 9, clock_synced=False))
    world.idle(30)

    (line,) = lines(world, "wire", step=10)

    assert world.core.detail()["untimely_total"] == 2
    assert line["clock_unset"] is True


def test_nothing_true_leaves_for_a_clock_that_is_not_set(tmp_path: Path) -> None:
    """After a power cut the clock begins in the past: what seems to lie ahead is what is true."""
    world = World(tmp_path, budget_mb=20)
    world.live(7300, devices=2)
    world.idle(200)
    held = covered(world)
    world.archive._budget = 12_000_001
    world.now -= timedelta(days=3650)
    world.is_set = False
    world.idle(2)
    world.archive._budget = 20_000_000
    world.now += timedelta(days=3650)

    assert held - 3700 <= covered(world)


def test_whoever_invents_mac_addresses_is_summed(tmp_path: Path) -> None:
    """Series are bounded in each hour; what is not kept apart is counted as omitted."""
    world = World(tmp_path)
    for burst in range(12):
        world.tick()
        rows = window(world.now, burst, devices=200).devices
        forged = [
            row.model_copy(update={"mac": mac(burst * 200 + n)}) for n, row in enumerate(rows)
        ]
        world.hand(
            window(world.now, burst, devices=0, devices_=None).model_copy(
                update={"devices": forged}
            )
        )
        world.pass_time(1)
    world.idle(30)

    found = lines(world, "traffic", step=60)

    macs = {line["mac"] for line in found}
    assert len(macs) == MAX_UNKNOWN + 1
    assert "omitted" in macs
    sent = sum(line.get("tx_packets", 0) for line in found)
    assert sent == 12 * sum(n + 2 for n in range(200))


# --- the power goes -------------------------------------------------------------------------------


def cut(tmp_path: Path, image: Path, world: World) -> None:
    """Take the power, start anew from what the disk holds, and compare."""
    copy = tmp_path / "copy"
    copy.write_bytes(image.read_bytes())
    with mounted(copy, tmp_path / "after") as folder:
        again = World(folder, now=world.now)
        db = again.archive._db
        assert db is not None
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        held = covered(again)
        again.archive.close()

    assert world.seq - FLUSH_S - 1 <= held <= world.seq


def cut_often(tmp_path: Path, times: int) -> None:
    """Live, and be cut off at moments of chance."""
    image = make_disk(tmp_path / "disk", 64)
    chance = random.Random(times)  # noqa: S311 - the moments are to be the same each time
    with mounted(image, tmp_path / "before") as folder:
        world = World(folder)
        for _ in range(times):
            world.live(chance.randrange(20, 1500), devices=chance.choice([1, 5, 20]))
            cut(tmp_path, image, world)
        world.archive.close()


def test_a_power_cut_costs_half_a_minute(tmp_path: Path) -> None:
    """Whenever it goes, three times: the file is sound, and all but the last seconds are there."""
    cut_often(tmp_path, 3)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_thirty_power_cuts_cost_half_a_minute_each(tmp_path: Path) -> None:
    """The same, thirty times, across hours that are being folded."""
    cut_often(tmp_path, 30)


def busy_hour(chance: random.Random, hour: int) -> Stretch:
    """Return an hour of sixty devices whose counts have nothing in common."""
    series = {
        Series("device", "eth0", mac(n)): {
            f"tx_{name}": [chance.randrange(60_000) for _ in range(360)] for name in CLASSES
        }
        for n in range(60)
    }
    return Stretch(hour, 0, 360, series)


def test_a_lower_budget_makes_the_file_smaller(tmp_path: Path) -> None:
    """The oldest leaves, and the space is given back to the disk."""
    world = World(tmp_path, budget_mb=500)
    begin = int(NOON.timestamp()) // HOUR_S
    for hour in range(begin, begin + 12):
        world.archive.save(Batch([busy_hour(world.chance, hour)]))
        while world.archive.work((hour + 1.5) * HOUR_S, is_set=True):
            pass
    world.now += timedelta(hours=12)
    world.archive.close()
    before = world.file.stat().st_size

    world.archive = Archive(world.file, 12_000_000 + before // 3, None, Log("history", "error"))
    world.archive.open()
    for _ in range(200):
        world.archive.work(world.now.timestamp() + 7200, is_set=True)
    world.archive.close()

    assert world.file.stat().st_size < before * 0.7


def test_nothing_is_kept_longer_than_allowed(tmp_path: Path) -> None:
    """Whatever room there is; a block goes once all of it is too old."""
    world = World(tmp_path, keep_days=1)
    old = alert(NOON, state="closed", closed_at=NOON, close_reason="quiet")
    world.archive.save(Batch(alerts=[old], changes=[Change(0, mac(1), "new")]))
    begin = int(NOON.timestamp()) // HOUR_S
    wire: dict[Series, dict[str, list[int]]] = {Series("wire", "eth0"): {"packets": [7] * 360}}
    for hour in range(begin, begin + 96):
        world.archive.save(Batch([Stretch(hour, 0, 360, wire)]))
        while world.archive.work((hour + 1.5) * HOUR_S, is_set=True):
            pass
    world.archive.work((begin + 96) * HOUR_S, is_set=True)

    tiers = world.archive.state((begin + 96) * HOUR_S)["tiers"]

    world.now += timedelta(hours=96)
    assert lines(world, "alerts", from_="-1y") == []
    assert lines(world, "changes", from_="-90y") == []
    assert isinstance(tiers, dict)
    reach_h = {step: one["reaches_s"] / HOUR_S for step, one in tiers.items()}  # type: ignore[index,call-overload,operator]
    assert 24 <= reach_h["10"] <= 26
    assert 24 <= reach_h["60"] <= 26
    assert 24 <= reach_h["3600"] <= 49
