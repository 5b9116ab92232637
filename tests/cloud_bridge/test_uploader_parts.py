"""One call of the uploader by hand: what each answer makes of rows, pauses and the quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import START

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.paths import PathError, check, values
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.sink import (
    CallLimits,
    RefusedError,
    UploadOutcome,
    UploadVerdict,
)
from monitorpi_cloud_bridge.sinks.uploader import QUOTA, Uploader
from monitorpi_common.log import Log
from monitorpi_common.messages import Health, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pydantic import BaseModel

DESTINATION = "cloud/traffic"


class Cloud:
    """A writer that answers what it is told."""

    def __init__(self) -> None:
        self.limits = CallLimits(10, 16.0)
        self.answers: list[UploadOutcome] = []
        self.shown: set[int] | RefusedError | None = set()
        self.odd: set[int] = set()
        self.sent: list[list[int]] = []

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Drop some rows without a word."""
        del now_s
        return "odd" if row.second in self.odd else None

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Note what is sent."""
        self.sent.append([row.second - START for row in rows])
        return b""

    def send(self, body: bytes) -> UploadOutcome:
        """Answer."""
        del body
        return self.answers.pop(0)

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Show what there is."""
        del seconds
        if isinstance(self.shown, RefusedError):
            raise self.shown
        return self.shown

    def close(self) -> None:
        """Do nothing."""


class Upload:
    """An uploader in time by hand."""

    def __init__(self, folder: Path, *, counts: bool = True, quota: int = 1000) -> None:
        self.now = 0.0
        self.cloud = Cloud()
        self.box = RowOutbox(folder / "outbox.sqlite")
        self.destination = UploadDestination(DESTINATION, self.cloud, counts)
        self.log: list[str] = []
        log = Log("test-cloud")
        for level in ("warning", "error"):
            setattr(log, level, lambda event, **_: self.log.append(event))
        self.one = Uploader(
            self.box, self.destination, YearlyQuota(quota), log, clock=lambda: self.now,
            wall=lambda: START + self.now,
        )  # fmt: skip

    def add(self, *seconds: int) -> None:
        """Write rows."""
        rows = [OutboxRow(DESTINATION, START + one, {"field1": "1"}) for one in seconds]
        self.box.add(rows, {}, 20)

    def step(self, *answers: UploadOutcome) -> float:
        """Let it look once."""
        self.cloud.answers = list(answers)
        return self.one.step()

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state, but none."""
        found = self.box.counts(DESTINATION)
        return {state: count for state, count in found.items() if count}


@pytest.fixture
def upload(tmp_path: Path) -> Iterator[Callable[..., Upload]]:
    """Make uploaders that end with the test."""
    made: list[Upload] = []

    def make(**options: Any) -> Upload:
        made.append(Upload(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.box.close()


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


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(None, 16.0), (15.0, 16.0), (17.0, 17.0)])
def test_a_cloud_that_says_how_long_is_waited_for(
    upload: Callable[..., Upload], retry_after_s: float | None, wait_s: float
) -> None:
    """Never less than its pacing."""
    one = upload()
    one.add(20)

    assert one.step(UploadOutcome(V.STORED, "x", retry_after_s=retry_after_s)) == wait_s


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
    ("shown", "state", "wait_s"),
    [
        ({START + 20, START + 40}, {"stored": 2}, 1.0),
        (None, {"in_flight": 2}, 16.0),
        (RefusedError("HTTP 403"), {"in_flight": 2}, 60.0),
    ],
)
def test_rows_in_doubt_are_looked_up_before_anything_else(
    upload: Callable[..., Upload], shown: Any, state: dict[str, int], wait_s: float
) -> None:
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


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "path", "why"),
    [
        (Traffic, "packet", "there is no 'packet'; there are: "),
        (Traffic, "counts.sin", "there is no 'sin'; there are: packets, bytes, "),
        (Traffic, "devices[].tx.sin", "there is no 'sin'; there are: packets, bytes, "),
        (Traffic, "devices.tx.syn", "'devices' is a list: write devices[]"),
        (Traffic, "packets[]", "'packets' is no list"),
        (Traffic, "packets.syn", "there is nothing inside 'packets'"),
        (Traffic, "interface", "'interface' is no number"),
        (Traffic, "counts", "'counts' is no number"),
        (Traffic, "counts.syn.deep", "there is nothing inside 'syn'"),
        (Traffic, "devices[].top_peer.syn.pakets", "there is no 'pakets'; there are: mac, "),
        (Traffic, "devices[role=routr].tx.syn", "there is no 'routr'; there are: "),
        (Traffic, "devices[rle=router].tx.syn", "there is no 'rle'; there are: "),
        (Traffic, "a-b", "'a-b' is no step of a path"), (Traffic, "", "'' is no step of a path"),
        (Health, "detail", "'detail' is no number"),
    ],
)  # fmt: skip
def test_a_path_that_leads_to_no_number_is_refused(
    message: type[BaseModel], path: str, why: str
) -> None:
    """With the step at which it goes wrong."""
    with pytest.raises(PathError) as raised:
        check(message, path)

    assert str(raised.value).startswith(why)


@pytest.mark.parametrize(
    ("payload", "path", "found"),
    [
        ({"a": 3}, "a", [3.0]), ({"a": True}, "a", [1.0]), ({"a": None}, "a", []),
        ({"a": "3"}, "a", []), ({"a": 1e18}, "a", [1e18]), ({"a": -1.1e18}, "a", []),
        ({"a": float("inf")}, "a", []), ({}, "a", []), ([1], "a", []), ({"a": 1}, "a-b", []),
        ({"a": [1, 2, "x"]}, "a[]", [1.0, 2.0]), ({"a": 1}, "a[]", []),
        ({"a": [{"b": 1, "c": "x"}, {"b": 2, "c": 7}, 5]}, "a[c=7].b", [2.0]),
        ({"a": [{"b": 1, "c": "x"}, {"b": 2, "c": 7}, 5]}, "a[c=7].#", [1.0]),
        ({"a": [1, 2]}, "a[].#", [2.0]), ({}, "a[].#", [0.0]),
        ({"a": [0] * 5000}, "a[].#", [4096.0]),
    ],
)  # fmt: skip
def test_where_a_path_leads(payload: Any, path: str, found: list[float]) -> None:
    """To every number; what is missing, no number or beyond all is left out."""
    assert values(payload, path) == found
