"""How often the uploader calls: pauses, patience, the yearly quota."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.cloudworld import DESTINATION, START, World, answers

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.thingspeak import stamp
from monitorpi_thingspeak_double import Switches

if TYPE_CHECKING:
    from collections.abc import Callable


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


def test_where_patience_does_not_help_fewer_rows_are_sent(world: Callable[..., World]) -> None:
    """Half as many with each refusal after the longest pause, never fewer than two."""
    one, limits = world(rows_per_call=8), list[int]()
    for n in range(8):
        one.add(START + n)
    one.double.fail_next("bulk", *["429"] * 9)
    for refusals in range(1, 10):
        while len(answers(one, 429)) < refusals:
            one.step(1)
        limits.append(one.uploader.destination.limit)

    assert limits == [8, 8, 8, 8, 8, 8, 4, 2, 2]


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
