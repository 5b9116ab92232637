"""From messages to answers, through a real file: sums, gaps, restarts, what is late or twice."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.history.world import NOON, World, alert, device, mac, probe, window

from monitorpi_history.core import FLUSH_S

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Begin with nothing, at noon."""
    return World(tmp_path)


def lines(world: World, table: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for lines of JSON."""
    return [json.loads(line) for line in world.ask(table, format="jsonl", **asked).splitlines()]


def total(records: list[dict[str, Any]], column: str) -> int:
    """Add up a column."""
    return sum(record.get(column, 0) for record in records)


def test_counts_are_summed_by_ten_seconds(world: World) -> None:
    """A minute of windows becomes six lines, each of ten seconds that were all watched."""
    world.live(60)
    world.idle(30)

    found = lines(world, "traffic", step=10, mac=mac(1))

    assert len(found) == 6
    assert {(20, 10.0, 30)} == {(r["tx_syn"], r["covered_s"], r["tx_packets"]) for r in found}


@pytest.mark.parametrize("step", [10, 60, 3600])
def test_every_fineness_has_the_same_sums(world: World, step: int) -> None:
    """Before and after an hour is packed: nothing is lost, nothing counted twice."""
    sums = set()
    for idle in (30, 4000):
        if idle == 30:
            world.live(1800)
        world.idle(idle)
        records = lines(world, "traffic", step=step, mac=mac(1), from_="-1d")
        sums.add((total(records, "tx_syn"), total(records, "rx_bytes")))

    assert {(3600, 1800 * 60)} == sums


def test_a_gap_is_no_zero(world: World) -> None:
    """Where nobody watched there is no line, and nothing is covered in the document."""
    world.live(20)
    world.idle(20)
    world.live(20, devices=0)
    world.idle(30)

    wire = lines(world, "wire", step=10)
    document = json.loads(world.ask("wire", step=10, from_=NOON.isoformat(), to="now"))

    assert [record["covered_s"] for record in wire] == [10.0] * 4
    assert document["series"][0]["covered_s"][:6] == [10.0, 10.0, 0.0, 0.0, 10.0, 10.0]
    assert document["series"][0]["columns"]["packets"][2:6] == [0, 0, 0, 0]


def test_lost_frames_and_windows_stand_beside(world: World) -> None:
    """What the sensor lost, and which windows never came."""
    world.hand(window(NOON, 1, kernel_drops=7))
    world.hand(window(NOON + timedelta(seconds=3), 4, kernel_drops=1, clock_synced=False))
    world.tick()
    world.idle(30)

    (found,) = lines(world, "wire", step=10)

    assert (
        found["drops"], found["lost_windows"], found["clock_unset"], found["covered_s"],
    ) == (8, 2, True, 2.0)  # fmt: skip


def test_a_window_that_comes_twice_counts_once(world: World) -> None:
    """Delivered again by the broker; a new epoch begins anew."""
    for seq in (1, 2, 2, 1, 3):
        world.hand(window(NOON, seq))
    world.hand(window(NOON, 1, epoch="two"))
    world.tick()
    world.idle(30)

    (found,) = lines(world, "wire", step=10)

    assert found["covered_s"] == 4.0
    assert world.core.detail()["repeated_total"] == 2


def test_a_number_from_nowhere_blinds_nobody(world: World) -> None:
    """After one window of a number beyond all others the next ones are taken."""
    for seq in (1, 2**62, 3, 4):
        world.hand(window(NOON, seq))
    world.tick()
    world.idle(30)

    (found,) = lines(world, "wire", step=10)

    assert found["covered_s"] == 4.0


def test_what_comes_late_is_added_to_what_is_packed(world: World) -> None:
    """A window of an hour that is packed: minutes and hours have it too."""
    world.live(1)
    world.idle(3700)
    world.hand(window(world.now - timedelta(seconds=3500), 5))
    world.idle(4000)

    for step in (60, 3600):
        assert total(lines(world, "traffic", step=step, mac=mac(1), from_="-1d"), "tx_syn") == 4


def test_a_restart_loses_what_was_not_written_and_nothing_else(world: World) -> None:
    """As a killed process leaves it: up to one interval is gone, the rest goes on."""
    world.live(100)
    world.start()
    world.live(100)
    world.idle(30)

    found = total(lines(world, "wire", step=10), "covered_s")

    assert 200 - FLUSH_S <= found <= 200


def test_a_stop_writes_what_is_left(world: World) -> None:
    """A service that is stopped loses nothing."""
    world.live(7)

    list(world.core.close())

    assert total(lines(world, "wire", step=10), "covered_s") == 7.0


def test_round_trips(world: World) -> None:
    """Means over the replies, the least and the most of all rounds, loss of the requests."""
    world.hand(probe(NOON, 1), "main")
    world.hand(
        probe(NOON + timedelta(seconds=10), 2, received=1, rtt_avg_ms=2.5, rtt_min_ms=2.5,
              rtt_p50_ms=2.5, rtt_p95_ms=2.5, rtt_max_ms=2.5, jitter_ms=None, mos=1.5),
        "main",
    )  # fmt: skip
    world.hand(probe(NOON + timedelta(seconds=20), 3, received=0, rtt_avg_ms=None), "main")
    world.tick()
    world.idle(30)

    (found,) = lines(world, "probes", step=60)

    assert {
        "rounds": 3, "rounds_up": 2, "sent": 30, "received": 10, "loss_ratio": 0.6667,
        "rtt_min_ms": 0.4, "rtt_avg_ms": 0.7, "rtt_p95_ms": 2.5, "rtt_max_ms": 2.5,
        "jitter_ms": 0.1, "mos": 1.5,
    }.items() <= found.items()  # fmt: skip


def test_alerts_are_found_by_the_time_they_were_open(world: World) -> None:
    """One row an alert, as it was said last; a day later it is still found."""
    world.hand(alert(NOON), "x")
    world.tick()
    world.pass_time(60)
    world.hand(alert(NOON, state="closed", closed_at=world.now, close_reason="quiet"), "x")
    world.tick()
    world.idle(30)
    world.start()
    world.pass_time(86400)

    (found,) = lines(world, "alerts", from_="-25h")

    assert (
        found["state"], found["rule"], found["evidence"]["peak"],
    ) == ("closed", "syn-flood", 1200.0)  # fmt: skip
    assert lines(world, "alerts", from_="-1h") == []
    assert len(lines(world, "alerts", from_="-2d", mac=mac(1))) == 1
    assert lines(world, "alerts", from_="-2d", mac=mac(2)) == []


def test_an_alert_that_only_goes_on_is_seldom_written(world: World) -> None:
    """Each ten seconds it is said, each ten minutes written, and when something changes."""
    writes = []
    save = world.archive.save
    world.archive.save = lambda batch: writes.append(len(batch.alerts)) or save(batch)  # type: ignore[method-assign,func-returns-value]
    for _ in range(120):
        world.hand(alert(NOON, at=world.now), "x")
        world.idle(10)

    assert 2 <= sum(writes) <= 3


def test_what_changed_about_a_device(world: World) -> None:
    """New, moved, renamed, gone, back, forgotten; a restart is no change."""
    world.tick()
    for more in (
        {},
        {"ips": ["192.168.1.7"]},
        {"ips": ["192.168.1.7"], "hostname": "lamp"},
        {"ips": ["192.168.1.7"], "hostname": "lamp", "present": False},
    ):
        world.hand(device(**more), "020000000001")  # type: ignore[arg-type]
        world.idle(30)
    world.start()
    world.tick()
    world.hand(device(ips=["192.168.1.7"], hostname="lamp"), "020000000001")
    world.idle(30)

    found = lines(world, "changes", from_="-1h")

    assert [one["what"] for one in found] == ["back", "gone", "renamed", "moved", "new"]
    assert (found[2]["before"], found[2]["after"]) == ("host-1", "lamp")
    assert [one["hostname"] for one in lines(world, "devices")] == ["lamp"]


def test_a_column_of_csv_adds_up(world: World) -> None:
    """Every line has every column of the head, and the sums are those of the windows."""
    world.live(40)
    world.idle(30)

    rows = list(csv.DictReader(io.StringIO(world.ask("traffic", format="csv").decode())))

    assert sum(int(row["tx_syn"]) for row in rows) == 40 * (1 + 2)
    assert {mac(0), mac(1)} == {row["mac"] for row in rows}
    assert all(None not in row.values() for row in rows)


def test_a_name_is_no_formula(world: World) -> None:
    """A host name comes from whoever is on the LAN."""
    world.tick()
    world.hand(device(hostname="=cmd|' /C calc'!A0"), "020000000001")
    world.idle(30)

    rows = list(csv.DictReader(io.StringIO(world.ask("devices", format="csv").decode())))

    assert [row["hostname"] for row in rows] == ["'=cmd|' /C calc'!A0"]


def test_an_hour_is_written_in_few_transactions(world: World) -> None:
    """Each is forced to the disk: fewer than three a minute, with the folding of the hour."""
    commits: list[str] = []
    assert world.archive._db is not None
    world.archive._db.set_trace_callback(commits.append)

    world.live(3600)
    world.idle(300)

    forced = [statement for statement in commits if statement == "COMMIT"]
    assert 140 <= len(forced) <= 3 * 65
