"""What an uploader does beside calls: it rests, tidies up, tells of itself, learns sizes."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.handupload import DESTINATION

from monitorpi_cloud_bridge.sinks.sink import UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.sinks.uploaders import Uploaders

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cloud_bridge.handupload import Upload

V = UploadVerdict


def test_the_outbox_is_held_to_its_size_each_hour(
    upload: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what waits for rows is written after two and a half minutes, while nothing is due."""
    one = upload()
    done: list[Any] = []
    monkeypatch.setattr(one.box, "commit", done.append)
    monkeypatch.setattr(one.box, "drop_oldest", lambda name: done.append(name) or 7)
    one.destination.next_call_s = 1e9

    for one.now in (3599.0, 3600.0, 7199.0, 7200.0):
        one.step()

    assert done == [150.0, 150.0, DESTINATION, 150.0, 150.0, DESTINATION]
    assert one.one.state()["dropped_total"] == 14


def test_a_stopped_uploader_sends_nothing(upload: Callable[..., Upload]) -> None:
    """And ends its thread."""
    one = upload()
    one.add(20)
    one.one.stop()

    one.one.run(lambda _: None)
    one.step()

    assert one.cloud.sent == []


def test_what_health_tells_of_a_destination(upload: Callable[..., Upload]) -> None:
    """How many rows wait, for how long, and what was answered last."""
    one = upload()
    assert one.one.state() == {
        "waiting": 0, "in_flight": 0, "stored": 0, "set_aside": 0, "suspected": 0,
        "oldest_unsent_s": None, "last_answer": "none yet", "stopped": False, "stored_total": 0,
        "set_aside_total": 0, "thinned_total": 0, "dropped_total": 0,
    }  # fmt: skip
    one.add(20, 40)
    assert one.one.state()["oldest_unsent_s"] == 0
    one.now = 100.4
    assert (one.one.state()["oldest_unsent_s"], one.one.state()["waiting"]) == (80, 2)


def test_how_long_an_uploader_rests_between_two_looks(upload: Callable[..., Upload]) -> None:
    """No longer than a second, so that it hears of a new row; a step is watched while it lasts."""
    one = upload()
    waits, due = list[float](), [-1.0, 0.01, 0.5, 1.0, 7.0]

    class Wake:
        """A bell that nobody rings, until it is to end."""

        def wait(self, seconds: float) -> None:
            """Rest."""
            waits.append(seconds)
            if not due:
                one.one.stop()

        def clear(self) -> None:
            """Listen again."""
            waits.append(0)

        def set(self) -> None:
            """Ring."""

    class Watched(Uploader):
        def step(self) -> float:
            assert self.destination.stint.lasts(-1)
            return due.pop(0)

    one.one = Watched(one.box, one.destination, one.one.quota, one.one.log)
    one.one._wake = Wake()  # type: ignore[assignment]
    one.one.run(lambda _: None)

    assert waits == [0.02, 0, 0.02, 0, 0.5, 0, 1.0, 0, 1.0, 0]
    assert not one.destination.stint.lasts(-1)


def test_an_outbox_that_cannot_be_trimmed_holds_no_rows_up(
    upload: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is said; what is in flight already may go."""
    one = upload()
    one.add(20)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(one.box, "commit", full)
    one.step(UploadOutcome(V.STORED, "x"))

    assert one.log == ["the outbox cannot be trimmed"]
    assert one.counts() == {"stored": 1}


def test_an_outbox_that_cannot_be_read_has_nothing_to_tell(
    upload: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a health message stands."""
    one = upload()

    def damaged(_: str) -> None:
        raise sqlite3.DatabaseError("malformed")

    monkeypatch.setattr(one.box, "oldest_unsent", damaged)

    assert "waiting" not in one.one.state()
    assert one.one.state()["last_answer"] == "none yet"
    assert set(one.log) == {"the outbox cannot be read"}


def test_a_call_that_was_too_large_is_found_out_and_made_smaller(
    upload: Callable[..., Upload],
) -> None:
    """For an hour; then twice as much is tried."""
    one = upload()
    one.add(*range(20, 220, 20))
    answers = [V.REFUSED, V.STORED, V.REFUSED, V.STORED, V.STORED]
    for n, verdict in enumerate(answers):
        one.add(1000 + 20 * n)
        one.now += 100.0
        one.step(UploadOutcome(verdict, "x"))

    assert [len(sent) for sent in one.cloud.sent] == [10, 1, 10, 5, 5]
    assert (one.one.search, one.destination.limit) == (None, 5)
    one.now += 3499.0
    one.step(UploadOutcome(V.STORED, "x"))
    assert (len(one.cloud.sent[-1]), one.destination.limit) == (4, 5)
    one.add(2000)
    one.now += 101.0
    one.step(UploadOutcome(V.STORED, "x"))
    assert one.destination.limit == 10


def test_of_no_rows_none_are_taken(upload: Callable[..., Upload]) -> None:
    """As when all of a search were dropped meanwhile; nothing is written for it."""
    one = upload()
    one.add(20)

    assert one.box.take_these(DESTINATION, [], lambda n: {"n": n}) == []
    assert one.box.recall("n") is None
    assert one.box.take_these(DESTINATION, [START + 40], lambda n: {"n": n}) == []
    assert one.box.recall("n") == 0


@pytest.mark.parametrize(("most", "left"), [(1000, 998), (0, None)])
def test_what_health_tells_of_all_destinations(
    upload: Callable[..., Upload], most: int, left: int | None
) -> None:
    """How each is, and what is left of the year's rows, where they are counted."""
    one = upload(quota=most)
    one.add(20, 40)
    one.step(UploadOutcome(V.STORED, "x"))

    assert Uploaders([one.one], one.one.quota).state() == {
        "lanes": {DESTINATION: one.one.state()}, "quota_used": 2, "quota_left": left,
    }  # fmt: skip
