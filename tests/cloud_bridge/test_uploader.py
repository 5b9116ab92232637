"""Outbox and uploader in simulated time, against the double's real HTTP server."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import DESTINATION, START, World

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks import outbox as outbox_module
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.thingspeak import stamp
from monitorpi_thingspeak_double import Switches

if TYPE_CHECKING:
    from collections.abc import Callable


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


def test_rows_set_aside_do_not_fill_the_disk(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are kept, each with why it was refused."""
    monkeypatch.setattr(outbox_module, "KEEP_STORED", 10)
    one = world()
    one.uploader.destination.next_call_s = 1e12
    for n in range(30):
        one.add(START + n)
    one.outbox.dead_letter(DESTINATION, {START + n: f"reason {n}" for n in range(25)})
    one.step(3601)

    assert one.outbox.counts(DESTINATION)["set_aside"] == 10
    assert one.outbox.counts(DESTINATION)["waiting"] == 5
    assert one.outbox.refusals(DESTINATION) == {
        START + n: f"reason {n}" for n in range(15, 25)
    }  # fmt: skip


def test_a_full_disk_is_tried_again_at_the_pace_of_calls(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each time the thread looks."""
    tries: list[float] = []
    one = world()
    one.add(START)

    def full(_: object, name: str) -> list[int]:
        tries.append(one.now)
        raise sqlite3.OperationalError(f"database or disk is full: {name}")

    monkeypatch.setattr(RowOutbox, "in_flight", full)
    for _ in range(500):
        one.step(0.1)

    assert [round(at - START) for at in tries] == [0, 16, 32, 48]
