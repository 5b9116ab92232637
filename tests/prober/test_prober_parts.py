"""The parts of the prober's core by hand: states, plans, replicas."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prober.partsmade import MAC, T0, target

from monitorpi_common.examples import example
from monitorpi_common.messages import Device, Health, Target
from monitorpi_common.service import Presence, Received
from monitorpi_common.topics import Topic
from monitorpi_prober.reachability import Reachability, StateLimits
from monitorpi_prober.replicas import Replicas
from monitorpi_prober.schedule import (
    Pace,
    ProbePlan,
    extra_group,
    make_plan,
)
from monitorpi_prober.states import States
from monitorpi_prober.wakeups import Wakeups

# --- states: y a round with a reply, n one without ------------------------------------------------


def states(rounds: str, start: Reachability | None = None, **limits: int) -> list[str]:
    """Return the first letter of the state after each round."""
    one = start or Reachability()
    shown = []
    for number, letter in enumerate(rounds):
        at = T0 + timedelta(seconds=number)
        before = one.state
        assert one.follow(answered=letter == "y", at=at, limits=StateLimits(**limits)) is (
            one.state != before
        )
        shown.append(one.state[0])
    return shown


@pytest.mark.parametrize(
    ("rounds", "limits", "shown"),
    [
        ("ynnnny", {}, "uuuddu"),
        ("nnny", {}, "uudu"),  # unknown twice, then down, then up
        ("nnynnn", {}, "uuuuud"),
        ("ynynyn", {"down_after": 2}, "uuuuuu"),
        ("yynnyy", {"up_after": 2, "down_after": 2}, "uuuddu"),
        ("ny", {"up_after": 2}, "uu"),
        ("ynyny", {"down_after": 1}, "ududf"),
        ("ynynnnn", {"down_after": 1, "flap_changes": 3}, "uduffff"),
        ("ynynnnnn", {"down_after": 1, "flap_changes": 3, "flap_rounds": 5}, "uduffffd"),
        ("ynynyyyyyy", {"down_after": 1, "flap_changes": 4, "flap_rounds": 6}, "ududfffffu"),
    ],
)  # fmt: skip
def test_the_state_follows_the_rounds(rounds: str, limits: dict[str, int], shown: str) -> None:
    """Up after one reply, down after three rounds without, flapping after four changes."""
    assert "".join(states(rounds, **limits)) == shown


def test_since_when_is_the_round_of_the_change() -> None:
    """And of the first round, where the state stays unknown."""
    one = Reachability()
    states("n", one)
    assert (one.state, one.since) == ("unknown", T0)

    states("yyy", one)

    assert (one.state, one.since) == ("up", T0)
    assert one.answers


@pytest.mark.parametrize(
    ("state", "answers"),
    [("up", True), ("down", False), ("unknown", False), ("flapping", False)],
)
def test_a_state_is_taken_up_as_it_was(state: Any, answers: bool) -> None:
    """One that flapped has to prove itself: it flaps on, and asks for no round yet."""
    one = Reachability.latched(state, T0, StateLimits())

    assert (one.state, one.since, one.answers) == (state, T0, answers)
    assert states("y", one) == [state[0] if state == "flapping" else "u"]
    assert one.answers


def test_flapping_ends_when_fewer_than_two_changes_are_left() -> None:
    """The rounds of before the restart count as one moment."""
    one = Reachability.latched("flapping", T0, StateLimits(flap_rounds=5))

    assert "".join(states("yyyyyy", one, flap_rounds=5)) == "ffffuu"


def latched(state: str, minutes: int = 0) -> Target:
    """Return the retained state of a target."""
    since = T0 + timedelta(minutes=minutes)
    return example(Target).model_copy(update={"state": state, "since": since})


def test_what_the_bus_says_of_a_target_is_taken_once() -> None:
    """Kept until it is ours; then it is ours, and the earlier beginning wins."""
    table = States(StateLimits())
    table.remember("a", latched("up"), retained=True)
    assert table.answers("a")
    assert table.answering() == {"a": T0.timestamp()}

    ours = table.adopt("a")
    assert (ours.state, ours.since, table.latched) == ("up", T0, {})
    assert table.adopt("a") is ours

    table.remember("a", latched("up", -5), retained=False)
    assert ours.since == T0
    table.remember("a", latched("down", -5), retained=True)
    assert ours.since == T0
    table.remember("a", latched("up", 5), retained=True)
    assert ours.since == T0
    table.remember("a", latched("up", -5), retained=True)
    assert ours.since == T0 - timedelta(minutes=5)


def test_a_state_that_is_still_unknown_is_what_the_bus_says() -> None:
    """Only what is retained: another's live word is not ours."""
    table = States(StateLimits())
    assert table.adopt("a").state == "unknown"
    assert not table.answers("a")
    assert table.answering() == {}

    table.remember("a", latched("down"), retained=False)
    assert table.ours["a"].state == "unknown"
    table.remember("a", latched("down"), retained=True)

    assert table.ours["a"].state == "down"
    assert not table.answers("a")


@pytest.mark.parametrize(
    ("state", "is_probed", "is_answering"),
    [("up", True, True), ("flapping", False, True), ("down", False, False)],
)
def test_who_answers_by_the_bus(state: str, is_probed: bool, is_answering: bool) -> None:
    """One that flaps keeps its place and is asked outside of rounds first."""
    table = States(StateLimits())
    table.remember("a", latched(state), retained=True)

    assert table.answers("a") is is_probed
    assert ("a" in table.answering()) is is_answering
    assert not table.answers("b")


def test_states_of_nobody_are_forgotten() -> None:
    """And never more than 8,192 are kept, the first to come the first to go."""
    table = States(StateLimits())
    for number in range(8193):
        table.remember(str(number), latched("up"), retained=True)
    assert len(table.latched) == 8192
    assert "0" not in table.latched

    gone = table.unclaimed({"8192"})

    assert len(gone) == 8191
    assert list(table.latched) == ["8192"]


# --- plans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "probes", "max_rate", "planned", "interval_s", "limited"),
    [
        (10, 5, 100.0, 5, 10.0, False),
        (10, 5, 5.0, 5, 10.0, False),
        (10, 5, 4.9, 4, 10.0, True),
        (10, 5, 1.0, 1, 10.0, True),
        (10, 5, 0.5, 1, 20.0, True),
        (0, 5, 1.0, 5, None, False),
    ],
)
def test_a_plan_fits_under_its_limit(
    count: int, probes: int, max_rate: float, planned: int, interval_s: float | None, limited: bool
) -> None:
    """First fewer requests per target, then longer rounds."""
    targets = [target(str(number)) for number in range(count)]

    plan = make_plan(targets, interval_s=10.0, probes=probes, max_rate=max_rate, timeout_s=1.0)

    assert [(one.probes, one.interval_s) for one in plan.groups] == (
        [] if interval_s is None else [(planned, interval_s)]
    )
    assert plan.limited is limited
    assert plan.rate <= max_rate + 1e-9
    assert plan.rate == pytest.approx(count * planned / (interval_s or 1.0))
    assert len(plan.targets) == count
    assert plan.timeout_s == 1.0


def test_each_interval_has_its_group_the_shortest_first() -> None:
    """Quiet targets have a round too, in which they are reported; who has no address costs none."""
    plan = make_plan(
        [target("a"), target("b", interval_s=2.0), target("c"), target("d", ip=None)],
        interval_s=10.0, probes=2, max_rate=100.0, timeout_s=1.0,
        quiet=[target("e", interval_s=60.0), target("f")], arp_per_s=7.0,
    )  # fmt: skip

    named = [(group.wanted_s, "".join(one.key for one in group.targets)) for group in plan.groups]
    assert named == [(2.0, "b"), (10.0, "acd"), (60.0, "")]
    assert [group.rate for group in plan.groups] == [1.0, 0.4, 0.0]
    assert "".join(one.key for one in plan.targets) == "bacdef"
    assert [plan.first_pause_s(one) for one in plan.quiet] == [60.0, 60.0]
    assert ProbePlan().first_pause_s(target("x")) == 1.0
    assert plan.arp_per_s == 7.0


@pytest.mark.parametrize(("used", "left"), [(0, 10.0), (95, 5.0), (99.5, 1.0), (50, 10.0)])
def test_quiet_targets_have_what_the_rounds_leave(used: float, left: float) -> None:
    """Ten a second at most, and one where nothing is left."""
    targets = [target("a", interval_s=1 / used)] if used else []

    plan = make_plan(targets, interval_s=10.0, probes=1, max_rate=100.0, timeout_s=1.0)

    assert plan.quiet_per_s == pytest.approx(left)


@pytest.mark.parametrize(("asked", "sent"), [(1, 1), (10, 10), (11, 10)])
def test_a_round_on_command_is_short(asked: int, sent: int) -> None:
    """Ten requests within two seconds, and no interval that other targets share."""
    group = extra_group(target("a"), asked)

    assert (group.probes, group.interval_s, group.wanted_s) == (sent, 2.0, 0.0)


@pytest.mark.parametrize(
    ("now", "next_at"), [(10.0, 11.0), (10.9, 11.0), (11.02, 11.0), (11.03, 12.03), (50.0, 51.0)]
)
def test_a_pace_keeps_its_distance(now: float, next_at: float) -> None:
    """Behind by more than 20 ms the rest is moved, not sent at once."""
    pace = Pace(10.0, 1.0)

    pace.take(now)

    assert pace.next_at == pytest.approx(next_at)


# --- replicas and wake-ups ------------------------------------------------------------------------


def status(name: str, *, online: bool, service: str = "prober") -> Presence:
    """Return that an instance came or went."""
    return Presence(Topic("lab", service, "status", name), online=online)


SECONDS = count()


def pulse(name: str, *, retained: bool = False, service: str = "prober") -> Received:
    """Return an instance's health, each later than the one before."""
    at = T0 + timedelta(seconds=next(SECONDS))
    health = example(Health).model_copy(update={"at": at})
    return Received(Topic("lab", service, "health", name), health, retained)


def test_replicas_come_and_go_and_are_bounded() -> None:
    """64 at most, and never without ourselves."""
    table = Replicas("me")
    assert table.is_ours("anything")

    assert not table.see(status("me", online=False))
    assert not table.see(status("me", online=True))
    assert [table.see(status(str(number), online=True)) for number in range(64)] == (
        [True] * 63 + [False]
    )
    assert len(table) == 64
    assert not table.see(status("unknown", online=False))
    assert table.see(status("0", online=False))
    assert len(table) == 63


def test_who_is_silent_has_no_share_until_it_is_heard() -> None:
    """Three of our own pulses without one of another's; the broker still says it is online."""
    table = Replicas("me")
    table.see(status("hangs", online=True))
    table.see(status("works", online=True))
    seen = [pulse(name) for name in ("hangs", "works", "me", "works", "me", "works")]
    assert not any(table.see(one) for one in seen)

    assert table.see(pulse("me"))

    assert len(table) == 2
    assert not table.see(pulse("works"))
    assert not table.see(pulse("me"))
    assert table.see(pulse("hangs"))
    assert len(table) == 3


def test_silence_is_counted_in_pulses_of_our_own_alone() -> None:
    """Not in what stood at the broker before, nor in another service's, nor in another's."""
    table = Replicas("me")
    table.see(status("other", online=True))
    table.see(pulse("other", retained=True))
    assert not any(table.see(pulse("me", retained=True)) for _ in range(9))
    assert not any(table.see(pulse("me", service="detector")) for _ in range(9))
    assert not any(table.see(pulse("third")) for _ in range(9))

    assert [table.see(pulse("me")) for _ in range(3)] == [False, False, True]


def test_who_never_published_its_health_or_came_anew_is_not_silent() -> None:
    """The first may be of another make; the second has a pulse still to come."""
    table = Replicas("me")
    table.see(status("other", online=True))
    assert not any(table.see(pulse("me")) for _ in range(9))

    table.see(pulse("other"))
    assert [table.see(pulse("me")) for _ in range(3)] == [False, False, True]
    assert not table.see(status("other", online=False))

    assert table.see(status("other", online=True))
    assert not any(table.see(pulse("me")) for _ in range(9))


def test_a_pulse_that_comes_twice_counts_once() -> None:
    """Two of our subscriptions match it, and a broker may hand it over for each."""
    table = Replicas("me")
    table.see(status("other", online=True))
    table.see(pulse("other"))

    seen = [
        table.see(one) for mine in (pulse("me"), pulse("me"), pulse("me")) for one in (mine,) * 2
    ]

    assert seen == [False] * 4 + [True, False]


def test_nobody_is_remembered_who_is_not_online() -> None:
    """Pulses without a status, of however many names, change nothing."""
    table = Replicas("me")
    assert not any(table.see(pulse(str(number))) for number in range(100))
    assert not any(table.see(pulse("me")) for _ in range(9))
    assert not table.see(status("detector", online=True, service="detector"))

    assert len(table) == 1


@given(st.integers(0, 10_000))
def test_one_replica_owns_each_target(number: int) -> None:
    """Whoever asks."""
    tables = [Replicas(name) for name in "abc"]
    for table in tables:
        for name in "abc":
            table.see(status(name, online=True))

    assert sum(table.is_ours(f"192-0-2-{number}") for table in tables) == 1


def device(seconds: int, present: bool = True, mac: str = MAC) -> Device:
    """Return a device as capture saw it last."""
    seen = T0 + timedelta(seconds=seconds)
    return Device(mac=mac, ips=["192.0.2.1", "192.0.2.2"], first_seen=T0, last_seen=seen,
                  present=present)  # fmt: skip


def test_quiet_targets_that_were_seen_anew_are_woken_once() -> None:
    """Not those that are only told of again, nor who is away."""
    quiet = [target("192-0-2-1"), target("192-0-2-9"), target("192-0-2-2")]
    wake = Wakeups()

    def woken(*devices: Device) -> list[str]:
        for one in devices:
            wake.see(one)
        return wake.take(quiet)

    assert wake.take(quiet) == []
    assert woken(device(0)) == ["192-0-2-1", "192-0-2-2"]
    assert woken() == []
    assert woken(device(0)) == []
    assert woken(device(-5)) == []
    assert woken(device(1, present=False)) == []
    assert woken(device(1)) == []
    assert woken(device(2)) == ["192-0-2-1", "192-0-2-2"]


def test_what_was_seen_is_bounded() -> None:
    """The device that was heard of longest ago is forgotten, and is new again."""
    wake = Wakeups()
    for number in range(8193):
        wake.see(device(0, mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"))
    assert len(wake._seen) == 8192
    wake.take([])

    wake.see(device(0, mac="02:00:00:00:00:01"))
    assert wake.take([target("192-0-2-1")]) == []
    wake.see(device(0, mac="02:00:00:00:00:00"))
    assert wake.take([target("192-0-2-1")]) == ["192-0-2-1"]
