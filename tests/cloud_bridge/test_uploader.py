"""Outbox and uploader in simulated time, against the double's real HTTP server."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.world import DESTINATION, START, World

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks import outbox as outbox_module
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.thingspeak import stamp
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.sinks.web import client
from monitorpi_common.database import PAGE_BYTES
from monitorpi_common.log import Log
from monitorpi_thingspeak_double import Switches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


FAULTS = (
    "reset", "reset_after_commit", "stall", "429", "500", "502", "503", "truncate", "away", "tls",
    "quota",
)  # fmt: skip
"""Every fault of the double, and those that are no answer to a call."""


def strike(world: World, fault: str, dice: random.Random) -> None:
    """Let the next steps meet a fault."""
    match fault:
        case "away":
            with world.double.away():
                world.step()
                world.step()
        case "tls":
            world.double.failing_handshakes = dice.randrange(1, 4)
        case "quota":
            world.switches.quota_spent = True
            world.step()
            world.step()
            world.switches.quota_spent = False
            world.now += 3600
        case _:
            world.double.fail_next(dice.choice(["bulk", "feeds"]), fault)  # type: ignore[arg-type] # from the list


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("duplicates", "too_many"), [("drop_row", 413), ("reject_409", 400), ("lost_after_202", 429)]
)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_two_thousand_rows_arrive_exactly_once(
    world: Callable[..., World],
    certificate: tuple[str, str],
    duplicates: Any,
    too_many: Any,
    seed: int,
) -> None:
    """Under every switch, every fault and fifty deaths each row is stored once, none is lost."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    switches = Switches(
        dup_bulk=duplicates, too_many=too_many, bulk_rows=20, commit_delay_s=3.0, cache_s=300
    )
    one = world(
        switches=switches, rows_per_call=24, certificate=certificate,
        thin_above=10_000,  # every single row is looked for
    )  # fmt: skip
    seconds = [START + 20 * n for n in range(2000)]
    struck = Counter[str]()
    died = Counter[str]()
    written = 0
    while written < len(seconds):
        for second in seconds[written : written + dice.randrange(9)]:
            one.add(second)
            written += 1
        if dice.random() < 0.3:
            fault = FAULTS[struck.total() % len(FAULTS)]
            strike(one, fault, dice)
            struck[fault] += 1
        if dice.random() < 0.4:
            one.die_at = ["before", "after", "reading"][died.total() % 3]
            moment, before = one.die_at, one.uploader
            one.step()
            died[moment] += one.uploader is not before
        one.step(dice.choice([16, 17, 40, 300]))
        if dice.random() < 0.2:
            one.double.faults.clear()
    one.double.faults.clear()
    one.run_until_stored()

    stored = one.stored()
    assert died.total() >= 50
    assert min(died[moment] for moment in ("before", "after", "reading")) >= 10
    assert min(struck[fault] for fault in FAULTS) >= 5
    assert len(stored) == len(set(stored)) == 2000
    feeds = one.double.cloud.feeds(one.channel.id, one.channel.read_key, {"results": "8000"}).body
    assert [row["created_at"] for row in feeds["feeds"]] == [stamp(second) for second in seconds]
    assert [row["field1"] for row in feeds["feeds"]] == [str(second % 97) for second in seconds]


def test_a_stale_copy_of_a_long_answer_misleads_nobody(world: Callable[..., World]) -> None:
    """The service repeats long answers for minutes: each look asks in other words."""
    one = world(switches=Switches(commit_delay_s=40.0, cache_s=300))
    for n in range(300):
        one.add(START + n)
    one.step()
    one.step()
    one.add(START + 400)
    one.run_until_stored(20)

    assert len(one.stored()) == len(set(one.stored())) == 301


def test_an_old_row_is_found_behind_more_rows_than_one_answer_shows(
    world: Callable[..., World],
) -> None:
    """An alert from days ago beside a live row: the look is divided until nothing hides."""
    one = world(switches=Switches(dup_bulk="reject_409", bulk_interval_s=0))
    cloud, channel = one.double.cloud, one.channel
    for _ in range(10):
        one.now += 2000
        cloud.bulk_update(channel.id, channel.write_key, [{"delta_t": 2, "field1": "1"}] * 960)
    one.outbox.add_urgent([OutboxRow(DESTINATION, START - 9999, {"status": "OPEN old"})], 20, {})
    one.add(int(one.now) + 1)
    one.run_until_stored(10)

    assert sum("bulk" in entry.path for entry in one.double.log) == 1
    assert len(one.stored()) == len(set(one.stored())) == 9602


def test_what_a_lost_answer_stored_is_paid_for(world: Callable[..., World]) -> None:
    """Rows whose answer was lost count for the quota of the year; refused ones do not."""
    one = world()
    one.boot(quota=1000)
    for n in range(10):
        one.add(START + n)
    one.die_at = "after"
    one.step()
    one.boot(quota=1000)
    one.double.fail_next("bulk", "429")
    one.add(START + 20)
    one.run_until_stored()

    assert one.outbox.recall("quota") == {"year": 2027, "used": 11}


def test_a_channel_that_may_not_be_read_stops_loudly(
    world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    """Without a key that reads, nothing can be proven stored: it stops, and the log has why."""
    one = world(switches=Switches(read_key_only=True))
    one.add(START)
    for _ in range(5):
        one.step()

    destination = one.uploader.destination
    assert destination.stopped
    assert destination.last_answer == "reading back refused: HTTP 400"
    assert "is its read key configured?" in caplog.text
    assert sum("feeds" in entry.path for entry in one.double.log) == 1
    assert one.outbox.counts(DESTINATION)["in_flight"] == 1


def test_a_stopped_channel_does_not_fill_the_disk(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is ever sent, the oldest rows go beyond a number; they are counted."""
    monkeypatch.setattr(outbox_module, "MAX_ROWS", 100)
    one = world()
    one.uploader.destination.next_call_s = 1e12
    for n in range(250):
        one.add(START + n)
    one.step(3601)

    assert one.outbox.counts(DESTINATION)["waiting"] == 100
    assert one.outbox.oldest_unsent(DESTINATION) == START + 150
    assert one.uploader.destination.dropped_total == 150


def test_rows_arrive_in_order_of_time_when_nothing_fails(world: Callable[..., World]) -> None:
    """Without faults the cloud gets rows as they were made."""
    one = world()
    for n in range(100):
        one.add(START + 20 * n)
        one.step(20)
    one.run_until_stored()

    assert one.stored() == sorted(one.stored())


def test_the_service_is_never_called_too_early(world: Callable[..., World]) -> None:
    """Looked at ten times a second, the uploader keeps 16 s between calls and is never refused."""
    one = world()
    for n in range(50):
        one.add(START + n)
    for n in range(2000):
        if n % 50 == 0:
            one.add(START + 1000 + n)
        one.step(0.1)

    answers = [entry.status for entry in one.double.log if "bulk" in entry.path]
    assert set(answers) == {202}
    assert len(answers) <= 2000 * 0.1 / 16 + 1


def answers(world: World, status: int) -> list[float]:
    """Return when bulk calls were answered like this."""
    log = [entry for entry in world.double.log if "bulk" in entry.path]
    return [entry.at_s for entry in log if entry.status == status]


def gaps(moments: list[float]) -> list[int]:
    """Return the seconds between moments."""
    return [round(after - before) for before, after in pairwise(moments)]


def test_the_pause_is_counted_from_the_answer(world: Callable[..., World]) -> None:
    """A call that takes ten seconds is followed by sixteen seconds of silence all the same."""
    one = world()

    def take_time(when: str, path: str) -> None:
        one.now += 10 * (when == "committed" and "bulk" in path)

    one.double.on_request = take_time
    for n in range(200):
        one.add(START + n)
        one.step(1)

    assert set(gaps(answers(one, 202))) == {26}


def test_asked_for_patience_the_pauses_double_to_five_minutes(world: Callable[..., World]) -> None:
    """And begin anew after a success; every row is still there."""
    one = world()
    for n in range(8):
        one.add(START + n)
    one.double.fail_next("bulk", *["429"] * 8)
    for _ in range(2400):
        one.step(1)
    one.add(START + 9000)
    one.double.fail_next("bulk", "429", "429")
    for _ in range(60):
        one.step(1)

    assert gaps(answers(one, 429)[:8]) == [16, 32, 64, 128, 256, 300, 300]
    assert gaps(answers(one, 429)[8:]) == [16]
    assert len(one.stored()) == 9


def test_the_newest_row_goes_first_after_an_outage(world: Callable[..., World]) -> None:
    """A dashboard is live again with the first call, alerts come next, the backlog after."""
    one = world(rows_per_call=10)
    for n in range(500):
        one.add(START + 20 * n)
    one.outbox.add_urgent(
        [OutboxRow(DESTINATION, START + 4001, {"status": "OPEN syn-flood"})], 20, {}
    )
    one.step()
    one.step()

    stored = one.stored()
    assert one.uploader.destination.stored_total == 10
    assert max(stored) in stored[:10]
    assert any("status" in row for row in one.channel.rows[:10])


def test_a_text_never_takes_the_place_of_counts(world: Callable[..., World]) -> None:
    """An alert at the very second an interval ends leaves that second to the row of counts."""
    one = world()
    one.outbox.add_urgent([OutboxRow(DESTINATION, START, {"status": "OPEN syn-flood"})], 20, {})
    one.add(START, field1="7")
    one.run_until_stored()

    assert [row.get("field1") for row in one.channel.rows] == ["7", None]


@pytest.mark.timeout(600)
def test_three_days_without_a_network(world: Callable[..., World]) -> None:
    """The backlog is thinned, extremes stay where they were, the quota holds, the end is live.

    For three days nothing listens; then the cloud is back, with faults, while rows go on.
    """
    dice = random.Random(3)  # noqa: S311 - repeatable on purpose
    one = world(switches=Switches(commit_delay_s=3.0, cache_s=300))
    one.boot(quota=4000)
    spike = START + 86_400 + 40
    values: dict[int, dict[str, str]] = {}

    def live(until: float) -> None:
        while (second := START + 20 * len(values)) <= until:
            values[second] = {f"field{n}": str(dice.randrange(10, 1000)) for n in range(1, 9)}
            if second == spike:
                values[second] |= {"field7": "99999", "field8": "88888"}
            one.add(second, **values[second])

    with one.double.away():
        while one.now < START + 3 * 86_400:
            live(one.now)
            one.step(60)
    one.outbox.add_urgent([OutboxRow(DESTINATION, spike + 1, {"status": "OPEN syn-flood"})], 20, {})
    back = one.now
    firsts: list[list[str]] = []
    one.double.fail_next("bulk", "reset_after_commit", "503", "truncate")
    while one.outbox.counts(DESTINATION)["waiting"] > 1 or one.now < back + 600:
        known = len(one.stored())
        live(one.now)
        one.step()
        if new := one.stored()[known:]:
            firsts.append(new)
    live(one.now)
    one.run_until_stored()

    rows = {row["created_at"]: row for row in one.channel.rows}
    stored = one.stored()
    assert len(stored) == len(set(stored)) < 4000
    assert one.uploader.quota.used >= len(stored)  # a lost answer is paid for
    assert one.uploader.quota.used <= 4000
    assert max(firsts[0]) >= stamp(int(back) - 20)  # live with the first call
    assert any(rows[second].get("status") for second in firsts[0])  # then alerts
    assert rows[stamp(spike)]["field7"] == "99999"  # the extreme at its time
    last = one.double.cloud.last_feed(one.channel.id, one.channel.read_key, {}).body
    assert last["created_at"] == max(stored) == stamp(max(values))  # the last row is live
    for name in ("field1", "field7"):
        numbers = [int(row[name]) for row in values.values()]
        kept = [float(row[name]) for row in rows.values() if row.get(name)]
        assert (min(kept), max(kept)) == (min(numbers), max(numbers))


def test_the_yearly_quota_is_kept_over_restarts(world: Callable[..., World]) -> None:
    """What is spent is spent: rows wait for the next year."""
    one = world()
    one.boot(quota=30)
    for n in range(50):
        one.add(START + n)
    for _ in range(5):
        one.step(17)
    one.boot(quota=30)
    for _ in range(3):
        one.step(4000)

    assert len(one.stored()) == 30
    assert one.outbox.counts(DESTINATION)["waiting"] == 20
    assert one.uploader.destination.last_answer == "the yearly quota is spent"
    one.step(370 * 86_400)
    one.step()
    assert len(one.stored()) == 50


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """On a file system without room writes fail cleanly, and go on when there is room again."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount],
        check=False,
        capture_output=True,
    )
    if done.returncode != 0:
        pytest.skip("needs root: a small file system is mounted")
    try:
        box = RowOutbox(mount / "outbox.sqlite")
        written = 0
        filler = mount / "filler"
        filler.write_bytes(b"x" * 120_000)
        with pytest.raises(sqlite3.Error):  # noqa: PT012 - the loop runs until the disk is full
            for n in range(100_000):
                box.add([OutboxRow(DESTINATION, n, {"field1": "1" * 50})], {})
                written += 1
        filler.unlink()
        box.add([OutboxRow(DESTINATION, 200_000, {"field1": "1"})], {})

        assert box.counts(DESTINATION)["waiting"] == written + 1
        box.close()
        check = sqlite3.connect(mount / "outbox.sqlite")
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        check.close()
    finally:
        subprocess.run(["umount", mount], check=True)


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
    database = sqlite3.connect(one.folder / "outbox.sqlite")
    mode = database.execute("PRAGMA journal_mode").fetchone()[0]
    checkpoint = database.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    database.close()
    log = (one.folder / "outbox.sqlite-wal").stat().st_size
    pages = log // PAGE_BYTES

    assert mode == "wal"
    assert one.outbox._database._db.execute("PRAGMA synchronous").fetchone()[0] == 1
    assert pages <= 2 * checkpoint
    assert pages / checkpoint + 3 < 60 * 2


def test_influx_gets_lines_and_needs_no_second_look() -> None:
    """The second cloud behind the same outbox: labels, tags, escapes, seconds."""
    sink = Influx(
        "http://127.0.0.1:9", "v2", {"org": "o", "bucket": "b"}, "t",
        {"site": "my home", "channel": "traffic"}, {"field7": "SYN"}, 10.0, client(),
    )  # fmt: skip
    rows = [
        OutboxRow("influx/traffic", START, {"field7": "12", "field1": "0.5"}),
        OutboxRow("influx/traffic", START + 1, {"status": 'OPEN "x"'}),
    ]

    lines = sink.prepare(rows).decode().splitlines()

    assert lines == [
        f"monitorpi,channel=traffic,site=my\\ home SYN=12.0,field1=0.5 {START}",
        f'monitorpi,channel=traffic,site=my\\ home status="OPEN \\"x\\"" {START + 1}',
    ]
    assert sink.verify([0, 1]) == set()
    sink.close()


@pytest.mark.parametrize(
    ("version", "target", "path", "scheme"),
    [
        ("v2", {"org": "o", "bucket": "b"}, "/api/v2/write?org=o&bucket=b&precision=s", "Token"),
        ("v3", {"db": "b"}, "/api/v3/write_lp?db=b&precision=second", "Bearer"),
    ],
)
def test_influx_over_http(
    tmp_path: Path, version: Any, target: dict[str, str], path: str, scheme: str
) -> None:
    """Rows reach both write endpoints; a refusal waits, an answer of success settles them."""
    seen: list[tuple[str, str, bytes]] = []
    answers = [503, 204, 204]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Authorization"], body))
            self.send_response(answers[len(seen) - 1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    now = float(START)
    sink = Influx(
        f"http://127.0.0.1:{server.server_address[1]}", version, target, "t", {}, {}, 10.0, client()
    )
    box = RowOutbox(tmp_path / "outbox.sqlite")
    destination = UploadDestination("influx/traffic", sink, counts_for_quota=False)
    uploader = Uploader(
        box, destination, YearlyQuota(0), Log("test-cloud", "error"), lambda: now, lambda: now
    )
    box.add([OutboxRow("influx/traffic", START, {"field1": "5"})], {})

    uploader.step()
    assert box.counts("influx/traffic")["waiting"] == 1
    now += 20
    uploader.step()

    assert seen[1] == (path, f"{scheme} t", f"monitorpi field1=5.0 {START}".encode())
    assert box.counts("influx/traffic")["stored"] == 1
    server.shutdown()
    server.server_close()
    sink.close()
    box.close()


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
