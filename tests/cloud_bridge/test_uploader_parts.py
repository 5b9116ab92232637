"""One call of the uploader by hand: what each answer makes of rows, pauses and the quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.handupload import DESTINATION

from monitorpi_cloud_bridge.sinks.sink import RefusedError, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.sinks.uploader import QUOTA, Uploader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cloud_bridge.handupload import Upload

V = UploadVerdict


@pytest.mark.parametrize(
    ("verdict", "state", "used", "pause_s", "wait_s", "said"),
    [
        (V.STORED, {"stored": 3}, 3, 0.0, 16.0, []),
        (V.ACCEPTED, {"in_flight": 3}, 3, 0.0, 16.0, []),
        (V.UNKNOWN, {"in_flight": 3}, 3, 64.0, 64.0, ["the cloud did not answer"]),
        (V.UNREACHED, {"waiting": 3}, 0, 60.0, 60.0, ["the cloud is not reached"]),
        (V.LATER, {"waiting": 3}, 0, 64.0, 64.0, ["the cloud asks for patience"]),
        (V.QUOTA, {"waiting": 3}, 0, 3600.0, 3600.0, ["the cloud says the quota is spent"]),
        (V.REFUSED, {"waiting": 3, "suspected": 3}, 0, 0.0, 16.0, []),
        (V.FORBIDDEN, {"waiting": 3, "suspected": 3}, 0, 64.0, 64.0,
         ["the channel refuses us: rows are kept, it is looked at again each hour"]),
    ],
)  # fmt: skip
def test_what_each_answer_makes_of_rows_and_of_the_next_call(
    upload: Callable[..., Upload], verdict: UploadVerdict, state: dict[str, int], used: int,
    pause_s: float, wait_s: float, said: list[str],
) -> None:  # fmt: skip
    """Rows that were surely not taken cost nothing of the year."""
    one = upload()
    one.add(20, 40, 60)
    one.destination.pause_s, one.destination.is_away = 32.0, verdict is V.STORED

    wait = one.step(UploadOutcome(verdict, "words"))

    if verdict is V.UNKNOWN:  # no longer than to reach it
        pause_s = wait_s = 60.0
    if verdict is V.STORED:  # one row asks whether it is there again
        state, used = {"waiting": 2, "stored": 1}, 1
    assert (one.counts(), one.one.quota.used) == (state, used)
    assert (one.destination.pause_s, wait, one.log) == (pause_s, wait_s, said)
    assert one.destination.next_call_s == wait_s
    assert one.destination.is_away is (verdict is V.UNREACHED)
    assert one.destination.last_answer == "words"
    assert one.box.recall(f"answer {DESTINATION}") == "words"
    assert one.box.recall(QUOTA) == {"year": 2027, "used": used}
    assert one.step() == wait_s


@pytest.mark.parametrize(
    ("verdict", "writes"),
    [(V.STORED, 1), (V.ACCEPTED, 1), (V.UNKNOWN, 1), (V.UNREACHED, 2), (V.LATER, 2),
     (V.QUOTA, 2), (V.REFUSED, 2), (V.FORBIDDEN, 2)],
)  # fmt: skip
@pytest.mark.parametrize("odd", [0, 1])
def test_how_often_a_call_writes_to_the_disk(
    upload: Callable[..., Upload], verdict: UploadVerdict, writes: int, odd: int
) -> None:
    """What is in flight before the call, and what waits again after it; each write wears a card.

    One that is set aside is a third.
    """
    one = upload()
    one.add(20, 40)
    one.cloud.odd = {START + 20} if odd else set()
    done: list[str] = []
    with one.box._database.reading() as db:
        db.set_trace_callback(done.append)

    one.step(UploadOutcome(verdict, "words"))

    assert done.count("COMMIT") == writes + odd


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(None, 16.0), (15.0, 16.0), (17.0, 17.0)])
def test_a_cloud_that_says_how_long_is_waited_for(
    upload: Callable[..., Upload], retry_after_s: float | None, wait_s: float
) -> None:
    """Never less than its pacing."""
    one = upload()
    one.add(20)

    assert one.step(UploadOutcome(V.STORED, "x", retry_after_s=retry_after_s)) == wait_s


@pytest.mark.parametrize(
    ("pause_s", "rows", "limit"), [(299.0, 10, 10), (300.0, 10, 5), (300.0, 9, 4), (300.0, 3, 2)]
)
def test_where_patience_does_not_help_half_as_many_are_sent(
    upload: Callable[..., Upload], pause_s: float, rows: int, limit: int
) -> None:
    """A cloud may ask for patience where a call is too large for it; an hour later it is tried."""
    one = upload()
    one.add(*range(20, 20 * (rows + 1), 20))
    one.destination.pause_s = pause_s

    one.step(UploadOutcome(V.LATER, "x"))

    assert (one.destination.limit, one.destination.pause_s) == (limit, 300.0)
    assert one.destination.grows_s == (0.0 if limit == 10 else 3600.0)


def test_rows_that_an_answer_names_are_set_aside(upload: Callable[..., Upload]) -> None:
    """The others are stored; all of them are counted."""
    one = upload()
    one.add(20, 40, 60)

    one.step(UploadOutcome(V.STORED, "x", {1: "odd"}))

    assert one.box.refusals(DESTINATION) == {START + 40: "odd"}
    assert one.counts() == {"stored": 2, "set_aside": 1}
    state = one.one.state()
    assert (state["stored_total"], state["set_aside_total"], one.one.quota.used) == (2, 1, 3)
    assert one.log == ["the cloud refuses rows: set aside"]


def test_rows_that_a_cloud_would_drop_without_a_word_are_not_sent(
    upload: Callable[..., Upload],
) -> None:
    """Nor paid for; where none is left no call is made."""
    one = upload()
    one.add(20, 40)
    one.cloud.odd = {START + 20}
    one.step(UploadOutcome(V.STORED, "x"))
    assert (one.cloud.sent, one.one.quota.used) == ([[40]], 1)
    assert one.box.refusals(DESTINATION) == {START + 20: "odd"}

    one.cloud.odd, one.now = {START + 60}, 16.0
    one.add(60)
    assert one.step() == 1.0
    assert (len(one.cloud.sent), one.one.quota.used) == (1, 1)


@pytest.mark.parametrize(
    ("counts", "quota", "sent", "used"),
    [(True, 0, 3, 3), (True, 2, 2, 2), (True, 3, 3, 3), (False, 2, 3, 0)],
)
def test_the_year_s_quota_holds_where_rows_count(
    upload: Callable[..., Upload], counts: bool, quota: int, sent: int, used: int
) -> None:
    """Another cloud has none."""
    one = upload(counts=counts, quota=quota)
    one.add(20, 40, 60)

    one.step(UploadOutcome(V.STORED, "x"))

    assert (len(one.cloud.sent[0]), one.one.quota.used) == (sent, used)
    one.now = 16.0
    wait = one.step()
    spent = counts and quota == used
    assert wait == (3600.0 if spent else 1.0)
    assert one.log == ["the yearly quota is spent: rows are kept"] * spent
    assert one.destination.last_answer == ("the yearly quota is spent" if spent else "x")


@pytest.mark.parametrize(
    ("shown", "state", "wait_s", "answer", "said"),
    [
        ({START + 20, START + 40}, {"stored": 2}, 1.0, "x", []),
        (None, {"in_flight": 2}, 16.0, "reading back failed", ["the cloud could not be read"]),
        (RefusedError("HTTP 403"), {"in_flight": 2}, 60.0, "reading back refused: HTTP 403",
         [("the channel may not be read: rows are kept, it is looked at again each hour; is its "
           "read key configured?")]),
    ],
)  # fmt: skip
def test_rows_in_doubt_are_looked_up_before_anything_else(
    upload: Callable[..., Upload], shown: Any, state: dict[str, int], wait_s: float, answer: str,
    said: list[str],
) -> None:  # fmt: skip
    """While nobody knows nothing new is sent."""
    one = upload()
    one.add(20, 40)
    one.step(UploadOutcome(V.ACCEPTED, "x"))
    one.now, one.cloud.shown = 16.0, shown

    assert one.step() == wait_s

    assert one.counts() == state
    assert one.cloud.sent == [[20, 40]]
    assert one.destination.stopped is isinstance(shown, RefusedError)
    assert one.destination.stored_total == state.get("stored", 0)
    assert (one.destination.last_answer, one.log) == (answer, said)


def test_rows_that_are_not_there_are_sent_again(upload: Callable[..., Upload]) -> None:
    """The call before may have been one of a process before us."""
    one = upload()
    one.add(20, 40)
    one.box.take(DESTINATION, 2)
    again = Uploader(
        one.box, one.destination, one.one.quota, one.one.log, clock=lambda: one.now,
        wall=lambda: START + one.now,
    )  # fmt: skip
    assert one.destination.next_call_s == 16.0
    one.one, one.now = again, 16.0

    one.step(UploadOutcome(V.STORED, "x"))

    assert one.cloud.sent == [[20, 40]]
    assert one.counts() == {"stored": 2}
