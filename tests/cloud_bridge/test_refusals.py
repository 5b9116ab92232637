"""What is refused, by whom and why: rows, calls and moments, while new rows keep coming."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import DESTINATION, START, World

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.thingspeak import stamp
from monitorpi_thingspeak_double import Switches
from monitorpi_thingspeak_double.channels import error

if TYPE_CHECKING:
    from collections.abc import Callable


def live(one: World, until: Callable[[], bool], most_s: int = 6 * 3600) -> int:
    """Let a row come each 20 s until something is so; returns the seconds it took."""
    begun = one.now
    while not until():
        assert one.now < begun + most_s, one.outbox.counts(DESTINATION)
        second = int(one.now) // 20 * 20
        if one.outbox.newest_waiting(DESTINATION) != second:
            one.add(second, field1=str(second % 97))
        one.step(20)
    return int(one.now - begun)


def refuse(one: World, status: int, *bad: int) -> list[float]:
    """Let the cloud answer so to every call with one of these rows, or to every call.

    Returns the list of when it did.
    """
    original = one.double.cloud.bulk_update
    moments: list[float] = []

    def picky(number: int, key: str | None, updates: Any) -> Any:
        times = {row["created_at"] for row in updates}
        if not bad or times & {stamp(second) for second in bad}:
            moments.append(one.now)
            return error(status, "error_bad_request", "Bad request")
        return original(number, key, updates)

    one.double.cloud.bulk_update = picky  # type: ignore[method-assign] # a cloud with a dislike
    return moments


def heal(one: World) -> None:
    """Let the cloud take everything again."""
    del one.double.cloud.bulk_update  # type: ignore[method-assign] # the class has the real one


def left(one: World) -> int:
    """Return how many rows are not known to be there, sent or not."""
    counts = one.outbox.counts(DESTINATION)
    return counts["waiting"] + counts["in_flight"]


def set_aside(one: World) -> list[int]:
    """Return the seconds of the rows that were given up."""
    return list(one.outbox.refusals(DESTINATION))


@pytest.mark.parametrize("status", [400, 403, 413, 422, 500])
@pytest.mark.parametrize("outage", [False, True])
def test_one_refused_row_ahead_of_a_backlog_is_found_while_rows_come(
    world: Callable[..., World], status: int, *, outage: bool
) -> None:
    """The oldest of fifty is refused: it alone is set aside, and nobody waits for it.

    Also where an outage has left its pause behind, where a firewall forbids the row, and where the
    row breaks the server.
    """
    one = world()
    for n in range(50):
        one.add(START - 2000 + 20 * n)
    if outage:
        with one.double.away():
            live(one, lambda: one.now > START + 3600)
    refuse(one, status, START - 2000)

    took = live(one, lambda: bool(set_aside(one)) and left(one) <= 2)

    assert set_aside(one) == [START - 2000]
    assert one.outbox.refusals(DESTINATION)[START - 2000].startswith(f"HTTP {status}")
    assert took < (1500 if status == 500 else 900)
    assert len(one.stored()) == len(set(one.stored()))
    made = {stamp(START - 2000 + 20 * n) for n in range(1, 50)}
    assert made <= set(one.stored())


def test_eight_days_offline_against_a_cloud_that_keeps_seven(
    world: Callable[..., World],
) -> None:
    """Hundreds of old rows are refused, thousands wait behind them: all of these arrive."""
    one = world()
    for n in range(0, 8 * 86_400, 600):
        one.add(START - 8 * 86_400 + n)
    old = [START - 8 * 86_400 + n for n in range(0, 86_400, 600)]
    refuse(one, 400, *old[-12:])  # a dozen is enough to see what each costs

    took = live(one, lambda: len(set_aside(one)) == 12 and left(one) <= 2)

    assert sorted(set_aside(one)) == old[-12:]
    assert took < 12 * 300
    assert len(one.stored()) == len(set(one.stored()))


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_of_every_call_throws_no_row_away(
    world: Callable[..., World], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway, or a server that wants an organisation: rows are kept, and it is said."""
    one = world()
    for n in range(50):
        one.add(START - 2000 + 20 * n)
    moments = refuse(one, status)

    live(one, lambda: one.now > START + 3 * 3600)
    assert set_aside(one) == []
    assert one.outbox.counts(DESTINATION)["waiting"] == 50 + 3 * 180 + 1
    assert len(moments) < 60
    assert "none is to blame" in caplog.text

    heal(one)
    live(one, lambda: left(one) <= 2)
    assert set_aside(one) == []
    assert len(one.stored()) == len(set(one.stored())) >= 50 + 3 * 180


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_channel_that_forbids_us_is_looked_at_each_hour(
    world: Callable[..., World], status: int
) -> None:
    """A proxy says 404 while its server restarts: no restart of ours is needed."""
    one = world()
    one.add(START - 20)
    moments = refuse(one, status)

    live(one, lambda: one.now > START + 5 * 3600)
    gaps = [after - before for before, after in pairwise(moments)]
    assert one.uploader.destination.stopped
    assert gaps[0] < 120
    assert 3600 <= gaps[-1] <= 3640
    assert set_aside(one) == []

    heal(one)
    live(one, lambda: left(one) <= 2)
    assert not one.uploader.destination.stopped
    assert len(one.stored()) == len(set(one.stored())) >= 900


def test_what_is_accepted_but_never_shown_is_set_aside(world: Callable[..., World]) -> None:
    """202 is a promise: a row that breaks it, however often it is sent, holds up nobody."""
    one = world()
    original = one.double.cloud._store

    def forgetful(channel: Any, rows: list[Any]) -> None:
        original(channel, [row for row in rows if row["created_at"] != stamp(START - 2000)])

    one.double.cloud._store = forgetful  # type: ignore[method-assign] # loses one row
    for n in range(50):
        one.add(START - 2000 + 20 * n)

    live(one, lambda: bool(set_aside(one)))

    assert one.outbox.refusals(DESTINATION) == {START - 2000: "HTTP 202; not there"}


def test_an_urgent_row_waits_for_no_search(world: Callable[..., World]) -> None:
    """A text of an alert goes with the second call, also while rows are under suspicion."""
    one = world()
    for n in range(50):
        one.add(START - 2000 + 20 * n)
    refuse(one, 400, START - 2000)
    live(one, lambda: one.uploader.search is not None)
    one.outbox.add_urgent([OutboxRow(DESTINATION, int(one.now), {"status": "OPEN x"})], 20, {})

    took = live(one, lambda: any("status" in row for row in one.channel.rows))

    assert took <= 80


def test_a_killed_bridge_goes_on_searching(world: Callable[..., World]) -> None:
    """What is under suspicion is so on disk: a new process begins with the newest row."""
    one = world()
    for n in range(50):
        one.add(START - 2000 + 20 * n)
    refuse(one, 400, START - 2000)
    live(one, lambda: one.uploader.search is not None)
    one.boot()
    assert one.outbox.counts(DESTINATION)["suspected"] >= 50

    live(one, lambda: bool(set_aside(one)))

    assert set_aside(one) == [START - 2000]


def test_rows_too_many_for_a_gateway_go_in_smaller_calls(world: Callable[..., World]) -> None:
    """A proxy takes 10 rows at most: half as many are tried, and not too many again each call."""
    one = world(switches=Switches(bulk_rows=10, too_many=413))
    for n in range(200):
        one.add(START - 4000 + 20 * n)

    live(one, lambda: left(one) <= 2)

    found_at = one.now
    live(one, lambda: one.now > found_at + 1800)
    refused = [entry.at_s for entry in one.double.log if entry.status == 413]
    assert len(refused) <= 35
    assert max(refused) <= found_at
    assert set_aside(one) == []
    assert len(one.stored()) == len(set(one.stored())) >= 200
