"""What becomes of rows when the disk is full or the outbox damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.cloudworld import DESTINATION, START, World
from tests.disks import leave_no_room, small_memory

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks import outbox as outbox_module
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.guarded import GuardedRowOutbox
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.web import client
from monitorpi_common.database import PAGE_BYTES
from monitorpi_common.log import Log
from monitorpi_thingspeak_double import Switches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """On a file system without room writes fail cleanly, and go on when there is room again."""
    with small_memory(tmp_path / "small", 256) as disk:
        box = RowOutbox(disk / "outbox.sqlite")
        written = 0
        filler = disk / "filler"
        filler.write_bytes(b"x" * 120_000)
        with pytest.raises(sqlite3.Error):  # noqa: PT012 - the loop runs until the disk is full
            for n in range(100_000):
                box.add([OutboxRow(DESTINATION, n, {"field1": "1" * 50})], {})
                written += 1
        filler.unlink()
        box.add([OutboxRow(DESTINATION, 200_000, {"field1": "1"})], {})

        assert box.counts(DESTINATION)["waiting"] == written + 1
        box.close()
        check = sqlite3.connect(disk / "outbox.sqlite")
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        check.close()


def test_a_second_bridge_stands_by(tmp_path: Path) -> None:
    """Only one process holds the outbox; the next gets it when the first is gone."""
    first = RowOutbox(tmp_path / "outbox.sqlite")
    with pytest.raises(BlockingIOError):
        RowOutbox(tmp_path / "outbox.sqlite")
    first.close()

    RowOutbox(tmp_path / "outbox.sqlite").close()


def test_a_steady_hour_hardly_writes_the_card(world: Callable[..., World]) -> None:
    """Fewer than two fsyncs a minute: the log of the database is synced at checkpoints only."""
    one = world()
    for n in range(180):
        one.add(START + 20 * n)
        one.step(20)
        one.step(0)
    with one.outbox._database.reading() as database:
        mode = database.execute("PRAGMA journal_mode").fetchone()[0]
        checkpoint = database.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    log = (one.folder / "outbox.sqlite-wal").stat().st_size
    pages = log // PAGE_BYTES

    assert mode == "wal"
    assert one.outbox._database._db.execute("PRAGMA synchronous").fetchone()[0] == 1
    assert pages <= 2 * checkpoint
    assert pages / checkpoint + 3 < 60 * 2


@pytest.mark.parametrize("dup_bulk", ["drop_row", "reject_409", "lost_after_202"])
@pytest.mark.parametrize(("hours", "kept"), [((1, 0), 50), ((2, 1, 0), 400)])
def test_rows_of_a_clock_that_was_set_back_take_nobodys_second(
    world: Callable[..., World],
    monkeypatch: pytest.MonkeyPatch,
    dup_bulk: str,
    hours: tuple[int, ...],
    kept: int,
) -> None:
    """Every row arrives, whatever the channel does with equal times.

    Also where the outbox has forgotten the seconds of the clock that was ahead, and where a clock
    is set back twice.
    """
    monkeypatch.setattr(outbox_module, "KEEP_STORED", kept)
    one = world(switches=Switches(dup_bulk=dup_bulk))
    written = 0
    for begun in (START + 3600 * hour for hour in hours):
        for second in range(begun, begun + 5400, 20):
            written += 1
            row = OutboxRow(DESTINATION, second, {"field1": str(written)})
            one.outbox.add([row], {}, 20)
            if written % 48 == 0:
                one.step()
        one.run_until_stored()

    stored = one.stored()
    assert len(stored) == len(set(stored)) == written
    assert {row["field1"] for row in one.channel.rows} == set(map(str, range(1, written + 1)))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return an outbox of a thousand rows of which a dying card has lost all but the first page."""
    file = tmp_path / "damaged" / "outbox.sqlite"
    file.parent.mkdir()
    box = RowOutbox(file)
    box.add([OutboxRow(DESTINATION, START + n, {"field1": "1"}) for n in range(1000)], {})
    box.close()
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.truncate(PAGE_BYTES)
        stream.truncate(size)
    return file


def test_a_damaged_outbox_ends_the_process_with_one_line(damaged: Path) -> None:
    """It can be opened, and is found out at the first look: exit code 3, and what to do."""
    environment = {
        "MONITORPI_SITE": "lab",
        "MONITORPI_STATE_DIR": str(damaged.parent),
        "MONITORPI_CLOUD_BRIDGE__URL": "http://127.0.0.1:1",
        "MONITORPI_CLOUD_BRIDGE__CHANNELS__TRAFFIC": "1",
        "MONITORPI_CLOUD_BRIDGE__WRITE_KEYS__TRAFFIC": "K",
    }
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_cloud_bridge", "--bus", "-"],
        input="", capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip

    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"monitorpi-cloud-bridge: cannot open the outbox {damaged} (database")
    assert line.endswith("or move the file away if it is damaged")


def test_an_outbox_that_is_damaged_meanwhile_is_no_crash(
    world: Callable[..., World], damaged: Path
) -> None:
    """Health goes on telling, without the numbers of rows, and what was sent stays told."""
    one = world()
    one.uploader.outbox = box = RowOutbox(damaged)

    one.uploader.step()

    assert one.uploader.state() == {
        "last_answer": "none yet",
        "stopped": False,
        "stored_total": 0,
        "set_aside_total": 0,
        "thinned_total": 0,
        "dropped_total": 0,
    }
    box.close()


def test_time_is_real_where_nobody_says_otherwise(tmp_path: Path) -> None:
    """Without a clock of a test the uploader uses the machine's."""
    box = RowOutbox(tmp_path / "outbox.sqlite")
    sink = Influx("http://127.0.0.1:9", "v2", {}, None, {}, {}, 10.0, client())
    destination = UploadDestination("influx/traffic", sink)
    uploader = Uploader(box, destination, YearlyQuota(0), Log("test-cloud"))

    assert abs(uploader.clock() - time.monotonic()) < 5
    sink.close()
    box.close()


@pytest.mark.parametrize("damage", [b"{", b"\xff", b"", b"7", b'{"field1": 7, "field2": null}'])
def test_a_row_damaged_within_keeps_no_other_from_being_sent(damage: bytes, tmp_path: Path) -> None:
    """It is read as a row without fields, which the cloud refuses and which is set aside then."""
    file = tmp_path / "outbox.sqlite"
    box = RowOutbox(file)
    box.add([OutboxRow(DESTINATION, n, {"field1": "1"}) for n in (1, 2)], {})
    box.close()
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE row SET fields = CAST(? AS TEXT) WHERE second = 1", (damage,))
        db.commit()
    box = RowOutbox(file)

    rows = box.take(DESTINATION, 10)

    assert [(row.second, dict(row.fields)) for row in rows] == [(1, {}), (2, {"field1": "1"})]
    box.close()


def test_what_was_acknowledged_on_a_full_disk_is_not_sent_again(tmp_path: Path) -> None:
    """Neither lost nor doubled, though nothing can be written; then all goes on by itself."""
    with small_memory(tmp_path / "small", 256) as disk:
        world = World(disk)
        for number in range(3):
            world.add(START + 20 * number)
        world.step()
        world.step()
        assert world.outbox.counts(DESTINATION)["stored"] == 3
        filler = leave_no_room(disk, lambda number: world.add(START + 100 + number))
        waiting = world.outbox.counts(DESTINATION)["waiting"]
        for _ in range(20):
            world.step()
        with pytest.raises(sqlite3.Error):
            world.outbox.drop_oldest(DESTINATION)
        assert len(world.stored()) == 3

        filler.unlink()
        world.run_until_stored()

        times = world.stored()
        assert len(times) == len(set(times)) == 3 + waiting
        assert world.outbox.counts(DESTINATION)["stored"] == 3 + waiting
        world.close()


def test_what_a_full_disk_wants_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Room: neither is the file to be moved away, nor do rows make room."""
    with small_memory(tmp_path / "small", 256) as disk:
        box = RowOutbox(disk / "outbox.sqlite")
        guarded = GuardedRowOutbox(box, 20, Log("cloud-bridge"))
        leave_no_room(disk, lambda number: box.remember({"filled": number}))

        assert not guarded.add([OutboxRow(DESTINATION, START, {"field1": "1"})], {})

        box.close()
    assert "make room on the disk of the state folder" in capsys.readouterr().err
