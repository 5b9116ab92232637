"""What the pinger's loop waits for, by a clock of its own."""

from __future__ import annotations

import os
import select
import time
from typing import Any

import pytest
from tests.prober.line import IP, OTHER
from tests.prober.roundbench import A, B, Bench, Known, group

from monitorpi_common.service import ResourceError
from monitorpi_prober.items import PlanTaken
from monitorpi_prober.sources import pinger as module


def test_the_loop_wakes_for_what_is_due_next(turned: Bench) -> None:
    """A second at most."""
    pinger, now = turned.pinger, turned.now
    assert pinger._next_at(now, None, None) == now + 1.0
    assert pinger._next_at(now, now + 0.5, None) == now + 0.5
    assert pinger._next_at(now, None, now + 0.4) == now + 0.4
    assert pinger._next_at(now, now + 5, now + 6) == now + 1.0
    turned.plan(group(A, probes=2, seconds=0.8))
    turned.turn()
    assert pinger._next_at(now, None, None) == pytest.approx(now + 0.4)
    assert pinger._next_at(now, now + 0.3, now + 0.35) == now + 0.3
    turned.turn(0.4)
    assert pinger._next_at(now, None, None) == pytest.approx(now + 0.8)


class Waiting:
    """A loop that waits by a clock of its own, and what it did meanwhile."""

    def __init__(self, turned: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pinger, self.now = turned.pinger, 1000.0
        self.did: list[Any] = []
        self.ready: list[int] = []
        turned.rig.link.is_used = True
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.time, "sleep", self.sleep)
        monkeypatch.setattr(select, "select", self.select)
        wire = type(turned.wire)
        monkeypatch.setattr(wire, "receive_all", lambda _: self.did.append("all"))
        monkeypatch.setattr(wire, "receive_one", lambda _, link: self.did.append(link))
        monkeypatch.setattr(Known, "poll", lambda _: self.did.append("poll"), raising=False)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.did.append(round(seconds, 4))
        self.now += seconds

    def select(self, watched: Any, *more: Any) -> tuple[list[int], list[int], list[int]]:
        """Be ready with what is."""
        self.did.append((watched, round(more[-1], 4)))
        return self.ready, [], []

    def until(self, seconds: float) -> list[Any]:
        """Listen until something is due; returns what was done."""
        self.did.clear()
        self.pinger._listen(self.now + seconds, None)
        return self.did


def test_far_from_the_next_request_whatever_comes_wakes_the_loop(
    turned: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply is taken, an order seen, a change of neighbours read."""
    waiting, pinger = Waiting(turned, monkeypatch), turned.pinger
    waiting.now = 0.0
    pinger._by_fileno, pinger._watched = {77: turned.rig.link}, [77]
    pinger.wake([])

    assert waiting.until(0.1) == [([77], 0.1)]
    waiting.ready = [77, pinger._wake, 88]
    assert waiting.until(0.5) == [([77], 0.5), turned.rig.link, "poll"]
    with pytest.raises(BlockingIOError):
        os.eventfd_read(pinger._wake)


def test_close_to_the_next_request_replies_wait_for_it(
    turned: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At moments of one grid, so that those of all rounds meet; neighbours are looked at seldom."""
    waiting = Waiting(turned, monkeypatch)
    assert turned.pinger._step_s == 0.016
    assert waiting.until(0.0) == ["all", "poll"]
    assert waiting.until(0.0) == []
    waiting.now = 1000.009
    assert waiting.until(0.0) == []
    waiting.now = 1000.01
    assert waiting.until(0.0) == ["all"]
    assert waiting.until(-1.0) == []
    waiting.now = 1000.1
    assert waiting.until(0.0) == ["all", "poll"]

    assert waiting.until(0.001) == [0.012, "all"]
    assert waiting.now == pytest.approx(62_507 * 0.016)
    turned.pinger._step_s = 0.064
    assert waiting.until(0.0999) == [0.144, "all", "poll"]
    assert waiting.now == pytest.approx(15_629 * 0.064)


def test_neighbours_that_changed_are_taken_in(
    turned: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where some did."""
    taken: list[float] = []
    monkeypatch.setattr(module.Attempts, "neighbours_changed", lambda _, now: taken.append(now))
    for changed in (False, True):
        monkeypatch.setattr(Known, "poll", lambda _, is_so=changed: is_so, raising=False)
        turned.pinger._poll_neighbours()

    assert len(taken) == 1
    assert abs(taken[0] - time.monotonic()) < 60


def test_whatever_happens_the_sockets_are_closed(
    turned: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they could not be opened."""
    closed: list[bool] = []

    def refused(*_: Any) -> None:
        raise ResourceError("no ICMP socket may be opened")

    monkeypatch.setattr(type(turned.wire), "open", refused)
    monkeypatch.setattr(type(turned.wire), "close", lambda _: closed.append(True))
    turned.pinger._by_fileno = {77: turned.rig.link}

    with pytest.raises(ResourceError):
        turned.pinger.run(lambda _: None)

    assert (closed, turned.pinger._by_fileno) == ([True], {})
    assert turned.pinger.tally is turned.wire.flights.tally


# --- orders ---------------------------------------------------------------------------------------


def test_only_so_many_orders_wait(turned: Bench) -> None:
    """Of plans the last one alone; of the others the newest."""
    first, last = turned.plan(group(A)), turned.plan(group(A, B))
    for n in range(70):
        turned.pinger.hurry(group(A, probes=1, seconds=float(n + 1)))
    turned.pinger.wake(["first"])
    for _ in range(1024):
        turned.pinger.wake(["a"])
    assert list(turned.pinger._seen) == [("a",)] * 1024

    turned.turn()

    assert [item.plan for item in turned.of(PlanTaken)] == [last]
    assert first not in [one.plan for one in turned.pinger._rounds]
    lengths = [one.group.interval_s for one in turned.pinger._rounds]
    assert lengths == [*(float(n) for n in range(7, 71)), 1.0]


def test_whoever_is_woken_is_asked_next(turned: Bench) -> None:
    """No way is looked for anew because of it."""
    turned.wire.quiet_links = turned.wire.links
    turned.plan(quiet=(A, B))
    turned.turn()
    for _ in range(2):
        turned.pinger._attempts.ask(turned.now)
        turned.answer()
        turned.turn(1.0)
    assert turned.asked == [IP, OTHER]

    for seconds in (1.0, 57.0):
        turned.pinger.wake(["b"])
        turned.turn(seconds)

    assert turned.now == 1060.0
    assert len(turned.of(PlanTaken)) == 1
    turned.pinger._attempts.ask(turned.now)
    assert turned.asked[2:] == [OTHER]


def test_an_interval_that_is_no_more_wakes_nobody(turned: Bench) -> None:
    """It would be due for ever."""
    turned.plan(group(A, probes=1, seconds=10.0))
    turned.turn()
    turned.answer()
    turned.plan()
    turned.turn(1.0)

    turned.turn(20.0)

    assert turned.pinger._next_at(turned.now, None, None) == turned.now + 1.0


@pytest.mark.parametrize("routing", [None, 55])
def test_all_sockets_wake_the_loop(
    turned: Bench, monkeypatch: pytest.MonkeyPatch, routing: int | None
) -> None:
    """Orders, replies, and the kernel's changes where it tells of them."""
    places: list[Any] = []
    links = {77: turned.rig.link, 78: turned.rig.link}
    monkeypatch.setattr(type(turned.wire), "open", lambda _, place: places.append(place))
    monkeypatch.setattr(type(turned.wire), "by_fileno", lambda _: links)
    monkeypatch.setattr(Known, "fileno", lambda _: routing, raising=False)
    turned.pinger.source = "127.0.0.1"

    turned.pinger._open()

    assert [one.address for one in places] == ["127.0.0.1"]
    assert turned.pinger._by_fileno == links
    assert turned.pinger._watched == [turned.pinger._wake, 77, 78, *([55] if routing else [])]
