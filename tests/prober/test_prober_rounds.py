"""Rounds by hand: what the pinger sends when, and what it reports. No wire, no waiting."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta

import pytest
from tests.prober.line import IP, OTHER
from tests.prober.partsmade import target
from tests.prober.roundbench import EXIT, A, B, Bench, group

from monitorpi_prober.flights import Note
from monitorpi_prober.items import NO_NETWORK, UNSENT, PlanTaken, ProbeAttempt, RoundDone
from monitorpi_prober.schedule import ProbePlan
from monitorpi_prober.sources import pinger as module
from monitorpi_prober.sources.exits import Place
from monitorpi_prober.sources.neighbours import Hop

# --- rounds ---------------------------------------------------------------------------------------


def test_a_round_asks_each_in_turn_at_one_pace(turned: Bench) -> None:
    """And begins again when its interval has passed."""
    plan = turned.plan(group(A, B))
    turned.turn()
    assert turned.of(PlanTaken)[0].plan is plan
    assert turned.of(PlanTaken)[0].exits == {"a": EXIT, "b": EXIT}
    assert turned.asked == [IP]

    turned.turn(0.24)
    assert turned.asked == [IP]
    for _ in range(3):
        turned.turn(0.25)
    assert turned.asked == [IP, OTHER, IP, OTHER]
    turned.turn(0.009)
    assert len(turned.asked) == 4
    turned.turn(0.002)
    assert len(turned.asked) == 5


def test_a_round_is_reported_when_all_is_answered(turned: Bench) -> None:
    """Once, with when it began by the clock of now."""
    plan = turned.plan(group(A, B, probes=1, seconds=4.0))
    turned.turn()
    turned.answer()
    turned.turn(1.0)
    assert turned.of(RoundDone) == []
    turned.turn(1.0)
    assert turned.of(RoundDone) == []

    turned.answer()
    turned.turn(1.0)
    turned.turn()

    (done,) = turned.of(RoundDone)
    assert done.end - done.start == timedelta(seconds=3)
    assert (done.plan, done.group) == (plan, plan.groups[0])
    assert [(one.key, len(one.times_ms), one.answers) for one in done.echoes] == [
        ("a", 1, True), ("b", 1, True)]  # fmt: skip
    assert done.noise_ms == ()


def test_a_round_that_is_not_answered_ends_with_its_time(turned: Bench) -> None:
    """The limit of its plan, and the grace."""
    turned.plan(group(A, probes=1), timeout_s=7.0)
    turned.turn()
    (request,) = turned.wire.flights.requests.values()

    assert request.row.limit_s == 7.0
    turned.wire.expire(1e12)
    turned.turn()

    (done,) = turned.of(RoundDone)
    assert done.echoes[0].times_ms == (None,)


def test_a_round_without_targets_lasts_as_long(turned: Bench) -> None:
    """It reports those that are quiet."""
    turned.plan(group(seconds=2.0))
    turned.turn()
    turned.turn(1.9)
    assert turned.of(RoundDone) == []

    turned.turn(0.1)

    (done,) = turned.of(RoundDone)
    assert (done.echoes, done.group.wanted_s) == ((), 2.0)


def test_what_was_missed_is_not_made_up_for(turned: Bench) -> None:
    """Neither requests nor rounds: the next has its distance from now."""
    turned.plan(group(A, seconds=1.0))
    turned.turn()
    turned.turn(5.0)

    assert len(turned.asked) == 3  # the second of the first round, the first of the second
    turned.turn(0.4)
    assert len(turned.asked) == 3
    turned.turn(0.1)
    assert len(turned.asked) == 4
    turned.turn(0.4)
    turned.turn(0.1)
    assert len(turned.asked) == 5


@pytest.mark.parametrize(
    ("late_s", "next_s"), [(0.0, 1.0), (0.4, 0.6), (0.9, 0.1), (1.0, 1.0), (2.5, 1.0)]
)
def test_rounds_keep_their_grid(turned: Bench, late_s: float, next_s: float) -> None:
    """One that is late by a whole round begins another."""
    turned.plan(group(A, probes=1))
    turned.turn()
    turned.turn(1.0 + late_s)
    assert len(turned.asked) == 2

    turned.turn(next_s - 0.05)
    assert len(turned.asked) == 2
    turned.turn(0.051)
    assert len(turned.asked) == 3


@pytest.mark.parametrize(("late_s", "is_moved"), [(0.083, False), (0.085, True)])
def test_a_round_may_wait_for_the_others(turned: Bench, late_s: float, is_moved: bool) -> None:
    """By what leaving together explains; what is behind by more is moved."""
    turned.plan(group(A, probes=4))
    turned.turn()

    turned.turn(0.5 + late_s)

    assert len(turned.asked) == (2 if is_moved else 3)


def test_so_many_requests_leave_at_once(turned: Bench) -> None:
    """Then what has come is taken."""
    many = tuple(target(str(n), ip=f"192.0.2.{n}") for n in range(70))
    turned.plan(group(*many, probes=1, seconds=0.001))

    turned.turn()
    turned.turn(0.001)

    assert len(turned.asked) == 1 + 64


def test_a_plan_that_changes_begins_no_round_anew(turned: Bench) -> None:
    """Those of an interval that there was go on; a new interval begins now, an old one ends."""
    turned.plan(group(A, probes=1, seconds=10.0))
    turned.turn()
    turned.plan(group(A, B, probes=1, seconds=10.0), group(B, probes=1, seconds=20.0))
    turned.turn(4.0)
    assert turned.asked == [IP, OTHER]

    turned.turn(6.0)
    assert turned.asked == [IP, OTHER, IP]
    turned.plan(group(B, probes=1, seconds=20.0))
    turned.turn(5.0)
    assert turned.asked == [IP, OTHER, IP, OTHER]  # the round under way ends as it began
    turned.turn(8.9)
    assert len(turned.asked) == 4
    turned.turn(0.1)
    assert len(turned.asked) == 5


def test_a_target_without_an_address_has_its_places(turned: Bench) -> None:
    """Nothing is sent for them, and nothing was to be."""
    turned.plan(group(target("none", ip=None), A, probes=2))
    for _ in range(4):
        turned.turn(0.25)
    turned.answer()
    turned.turn()

    (done,) = turned.of(RoundDone)
    assert turned.asked == [IP, IP]
    assert [(len(one.times_ms), one.unsent) for one in done.echoes] == [(0, 0), (2, 0)]


def test_a_version_of_ip_that_we_have_not_is_said(turned: Bench) -> None:
    """Each request counts as unsent."""
    turned.plan(group(target("six", ip="fd00::1"), probes=2))
    turned.turn()
    turned.turn(0.5)

    (done,) = turned.of(RoundDone)
    (echoes,) = done.echoes
    assert (echoes.unsent, echoes.error, echoes.cause) == (
        2,
        "this machine has no IPv6",
        NO_NETWORK,
    )


def test_a_request_that_would_wait_for_arp_is_held_back(turned: Bench) -> None:
    """Its neighbour is asked for beside the round; what is known to be wrong says more."""
    hop = Hop((2, b"\xc0\0\2\1"))
    turned.known.there = {IP: hop}
    turned.plan(group(A, B, probes=1))
    turned.turn()
    assert turned.asked == []
    assert list(turned.pinger._attempts._waiting) == ["a"]
    (running,) = turned.pinger._rounds
    assert running.rows[0].note == Note("held back until its address is found by ARP", UNSENT)
    running.rows[0].note = Note("worse", NO_NETWORK)
    running.used = 0

    turned.pinger._send_next(running)

    assert (running.rows[0].note, running.rows[0].unsent) == (Note("worse", NO_NETWORK), 2)
    turned.known.usable = {hop.neighbour}
    running.used = 0
    turned.pinger._send_next(running)
    assert turned.asked == [IP]


@pytest.mark.parametrize(("total", "noises"), [(10, 10), (20, 10), (5, 5), (30, 10)])
def test_a_round_measures_our_own_noise(turned: Bench, total: int, noises: int) -> None:
    """By ten requests over loopback, spread over it, at most one beside each other request."""
    turned.wire.noise = turned.rig.link
    turned.plan(group(A, probes=total, seconds=1.0))
    for _ in range(total):
        turned.turn(1 / total if turned.items else 0.0)

    where = [n for n, ip in enumerate(turned.asked) if ip == "127.0.0.1"]
    assert len(where) == noises
    assert turned.asked[0] == "127.0.0.1"
    assert where[-1] < len(turned.asked) - 1
    assert all(1 < b - a <= total // noises + 1 for a, b in itertools.pairwise(where))
    turned.answer()
    turned.turn()
    assert len(turned.of(RoundDone)[0].noise_ms) == noises


# --- beside the rounds ----------------------------------------------------------------------------


def test_a_round_on_command_goes_beside_the_others(turned: Bench) -> None:
    """Whom it asks need not be in the plan; ways to it are looked up first."""
    turned.plan()
    turned.turn()
    turned.pinger.hurry(group(A, probes=1, seconds=2.0))

    turned.turn()
    turned.answer()
    turned.turn(0.1)

    assert turned.known.asked == [[IP]]
    assert turned.of(RoundDone)[0].group.interval_s == 2.0
    turned.turn(5.0)
    assert turned.asked == [IP]


def test_all_rounds_begin_anew_on_command(turned: Bench) -> None:
    """Those under way end as far as they came; quiet targets are asked at once."""
    turned.plan(group(A, probes=4, seconds=8.0), quiet=(B,))
    turned.turn()
    turned.pinger._attempts.ask(turned.now)
    turned.answer()
    turned.turn(0.5)
    assert [type(item) for item in turned.items] == [PlanTaken, ProbeAttempt]
    assert turned.pinger._attempts.ask(turned.now) == pytest.approx(turned.now + 8.0)

    turned.pinger.hurry(None)
    turned.turn()

    (first,) = turned.of(RoundDone)
    assert len(first.echoes[0].times_ms) == 1
    assert turned.asked[-1] == IP
    assert turned.pinger._attempts._quiet.next_at() == 0.0
    for _ in range(3):
        turned.turn(2.0)
    turned.answer()
    turned.turn()
    assert len(turned.of(RoundDone)[1].echoes[0].times_ms) == 4
    assert len(turned.asked) == 1 + 4
    turned.turn(2.0)
    assert len(turned.of(RoundDone)) == 2
    assert len(turned.pinger._rounds) == 1


def test_orders_of_other_threads_wake_the_loop(turned: Bench) -> None:
    """Each is taken at its next turn, and once."""
    pinger = turned.pinger
    turned.plan(quiet=(A,))
    turned.turn()
    os.eventfd_read(pinger._wake)
    for order in (
        lambda: pinger.wake(["a"]), lambda: pinger.contact([B]), lambda: pinger.hurry(None),
        lambda: pinger.follow(ProbePlan(quiet=(A,))),
    ):  # fmt: skip
        order()
        assert os.eventfd_read(pinger._wake) == 1
        assert pinger._has_news
    turned.turn()

    assert not pinger._has_news
    assert list(pinger._attempts._waiting) == ["b"]
    assert pinger._attempts._contacts == {"b"}
    assert list(pinger._attempts._quiet._urgent) == ["a"]
    assert [OTHER] in turned.known.asked
    pinger._attempts._waiting.clear()
    pinger.stop()
    assert (os.eventfd_read(pinger._wake), pinger._stopped) == (1, True)
    pinger.wake([])
    turned.turn()
    assert list(pinger._attempts._waiting) == []


# --- ways -----------------------------------------------------------------------------------------


def test_ways_are_looked_up_once_a_minute(turned: Bench) -> None:
    """Known ones are kept meanwhile; a new plan asks for what is new alone."""
    turned.plan(group(A))
    turned.turn()
    turned.plan(group(A, B))
    turned.turn(10.0)
    assert turned.known.asked == [[IP], [OTHER]]
    turned.turn(49.0)
    assert len(turned.of(PlanTaken)) == 2

    turned.turn(1.1)

    assert len(turned.of(PlanTaken)) == 3
    assert sorted(itertools.chain(*turned.known.asked[2:])) == [IP, OTHER]
    assert [known for _, known in turned.looked] == [{}, {IP: EXIT}, {}]
    turned.turn(59.0)
    assert len(turned.of(PlanTaken)) == 3


def test_a_change_of_routes_is_followed_in_five_seconds(turned: Bench) -> None:
    """Not at once: they change by the dozen."""
    turned.plan(group(A))
    turned.turn()
    turned.known.routes_changed = True

    turned.turn(4.9)
    assert len(turned.of(PlanTaken)) == 1
    turned.turn(0.2)
    assert len(turned.of(PlanTaken)) == 2


def test_without_targets_no_way_is_looked_for(turned: Bench) -> None:
    """Nor is that told."""
    turned.plan()
    turned.turn()
    for _ in range(3):
        turned.turn(100.0)

    assert len(turned.of(PlanTaken)) == 1
    assert turned.pinger._ways_at == turned.now


def test_rounds_under_way_learn_the_new_ways_too(turned: Bench) -> None:
    """Also of targets that left the plan; who has no neighbour to ask for any more needs none."""
    old = Hop((2, b"\xc0\0\2\1"))
    turned.known.there = {IP: old}
    turned.plan(group(A, probes=2, seconds=200.0))
    turned.turn()
    assert turned.wire.hops == {IP: old}
    turned.plan()
    turned.turn()
    turned.known.there = {}

    turned.turn(0.1)
    assert turned.wire.hops == {IP: old}
    turned.pinger.follow(ProbePlan((), quiet=(B,)))
    turned.turn(61.0)

    assert turned.wire.hops == {}


def test_ways_go_through_the_interface_that_is_set(
    turned: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the exits are those of the source."""
    monkeypatch.setattr(module, "place", lambda source: Place(None, source))
    turned.pinger.source = "eth9"
    turned.plan(group(A))

    turned.turn()

    assert turned.known.through == ["eth9"]
    assert turned.looked[0][0] == "eth9"


def test_ways_are_bounded(turned: Bench) -> None:
    """Where there are more than could be targets, those that were asked for now are kept."""
    hop = Hop((2, b"\xc0\0\2\1"))
    turned.wire.hops = dict.fromkeys((str(n) for n in range(8191)), hop)
    turned.known.there = {IP: hop, OTHER: hop}
    turned.plan(group(A))
    turned.turn()
    assert len(turned.wire.hops) == 8192

    turned.plan(group(A, B))
    turned.turn()

    assert list(turned.wire.hops) == [OTHER]
