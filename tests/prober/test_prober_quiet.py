"""The schedule of quiet targets, the ARP budget and the accounts of requests under way."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitorpi_common.backoff import QUIET_TARGET_MOST_S
from monitorpi_prober.flights import GRACE_S, Awaited, Flights, Note, Request, TargetRow
from monitorpi_prober.items import ALTERED, NO_NEIGHBOUR, UNREACHABLE
from monitorpi_prober.quiet import (
    PATIENCE,
    SOLICITATIONS,
    ArpBudget,
    QuietTargets,
    pause_s,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

# --- who is asked when ------------------------------------------------------------------------


def asked(quiet: QuietTargets, seconds: float, answering: Iterable[str] = ()) -> dict[str, list]:  # type: ignore[type-arg]
    """Ask whoever is due, ten times a second; returns when each was asked."""
    found: dict[str, list[float]] = {}
    for tick in range(int(seconds * 10)):
        now = tick / 10
        key = quiet.take(now)
        if key is not None:
            found.setdefault(key, []).append(now)
            quiet.record(key, now, answered=key in answering)
    return found


def test_pauses_grow_to_a_minute() -> None:
    """As often as a round at first, so that it is down as soon as ever, then seldom."""
    quiet = QuietTargets()
    quiet.set({"a": 10.0}, 0.0)

    times = asked(quiet, 400)["a"]

    pauses = [round(later - earlier) for earlier, later in pairwise(times)]
    assert pauses[:5] == [10, 10, 10, 20, 40]
    assert set(pauses[5:]) == {60}


@given(st.integers(0, 10**6), st.floats(0.5, 3600))
def test_no_pause_is_shorter_than_a_round_or_longer_than_it_need_be(
    misses: int, first: float
) -> None:
    """From the interval to a minute, or always the interval where that is longer."""
    assert first <= pause_s(misses, first) <= max(first, QUIET_TARGET_MOST_S)
    assert misses > PATIENCE or pause_s(misses, first) == first


def test_who_was_seen_is_asked_at_once() -> None:
    """A hundred are due before it, and it is the next all the same."""
    quiet = QuietTargets()
    quiet.set({f"{n}": 10.0 for n in range(100)}, 0.0)

    quiet.wake("77")

    assert quiet.take(0.0) == "77"


@pytest.mark.parametrize("answered", [False, True])
def test_who_is_seen_while_a_request_is_under_way_is_asked_again_only_where_it_is_in_vain(
    answered: bool,
) -> None:
    """At once, and once; an address that was seen before is not asked for again."""
    quiet = QuietTargets()
    quiet.set({"a": 10.0}, 0.0)
    quiet.wake("a")
    assert quiet.take(0.0) == "a"
    quiet.wake("a")
    assert (quiet.take(5.0), quiet.next_at()) == (None, None)

    quiet.record("a", 1.0, answered=answered)

    assert quiet.next_at() == (11.0 if answered else 0.0)
    assert quiet.take(1.0) == (None if answered else "a")
    assert quiet.take(11.0) == ("a" if answered else None)
    quiet.record("a", 12.0, answered=False)
    assert (quiet.next_at(), quiet.take(12.0)) == (22.0, None)


def test_a_request_that_could_not_be_made_counts_neither_way() -> None:
    """It is due when it is put back for, with the pause that it had; of strangers nothing is."""
    quiet = QuietTargets()
    quiet.set({"a": 10.0}, 0.0)
    for at in range(PATIENCE + 1):
        quiet.take(1000.0 + at)
        quiet.record("a", 1000.0 + at, answered=False)
    first = quiet.next_at()
    assert quiet.take(2000.0) == "a"

    quiet.put_back("a", 2003.0)

    assert (quiet.take(2002.9), quiet.next_at()) == (None, 2003.0)
    assert quiet.take(2003.0) == "a"
    quiet.record("a", 2003.0, answered=True)
    assert quiet.next_at() == 2013.0
    assert first == 1000.0 + PATIENCE + pause_s(PATIENCE + 1, 10.0)
    for stranger in ("b", ""):
        quiet.wake(stranger)
        quiet.put_back(stranger, 0.0)
        quiet.record(stranger, 0.0, answered=True)
    assert (quiet.next_at(), "a" in quiet, "b" in quiet) == (2013.0, True, False)
    quiet.wake("a")
    quiet.set({}, 2004.0)
    assert (quiet.next_at(), quiet.take(3000.0), "a" in quiet) == (None, None, False)


def test_who_invents_devices_keeps_nobody_from_being_asked() -> None:
    """Of those that were seen three are asked, then one of the others."""
    quiet = QuietTargets()
    quiet.set({f"{n}": 10.0 for n in range(100)}, 0.0)

    for n in range(50, 100):
        quiet.wake(f"{n}")

    assert [quiet.take(0.0) for _ in range(8)] == ["50", "51", "52", "0", "53", "54", "55", "1"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.sets(st.sampled_from("abcdef"))),
            st.tuples(st.sampled_from(["wake", "settle", "back"]), st.sampled_from("abcdef")),
            st.tuples(st.just("take"), st.none()),
        ),
        max_size=60,
    )
)
def test_nobody_is_asked_twice_at_once_and_nobody_is_forgotten(steps: list) -> None:  # type: ignore[type-arg]
    """Whatever happens, who is under way is not asked, and all others are sooner or later."""
    quiet, under_way, now = QuietTargets(), set[str](), 0.0
    for step, what in steps:
        now += 1.0
        match step:
            case "set":
                quiet.set(dict.fromkeys(what, 10.0), now)
                under_way &= what
            case "wake":
                quiet.wake(what)
            case "settle" if what in under_way:
                under_way.discard(what)
                quiet.record(what, now, answered=False)
            case "back" if what in under_way:
                under_way.discard(what)
                quiet.put_back(what, now)
            case "take":
                key = quiet.take(now)
                assert key not in under_way
                under_way |= {key} if key is not None else set()

    standing = {key for key in "abcdef" if key in quiet}
    rest = {quiet.take(now + 1e6) for _ in range(len(standing - under_way))}
    assert rest == standing - under_way
    assert quiet.take(now + 1e6) is None


# --- ARP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("began", "after_s", "ends"),
    [(0.0, 0.5, [1.0, 4.0]), (0.0, 1.5, [2.0, 4.0]), (0.0, 9.0, [3.0, 4.0]),
     (1.0, 0.5, [2.0, 3.0]), (2.0, 0.5, [3.0, 4.0]), (0.5, 0.1, [3.0, 4.0])],
)  # fmt: skip
def test_what_an_early_answer_saves_is_given_back_to_its_own_request(
    began: float, after_s: float, ends: list[float]
) -> None:
    """Of one that was never charged nothing is."""
    budget = ArpBudget(10.0)
    budget.refund(0.0, 0.1)
    assert budget._ends == []
    budget.charge(0.0)
    budget.charge(1.0)

    budget.refund(began, after_s)

    assert budget._ends == ends


@given(st.floats(1, 100), st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
@example(2.5, [(False, 0.0), (False, 0.0), (True, 0.0), (False, 0.0)])
def test_no_second_has_more_arp_requests_than_the_rate_allows(
    per_s: float, outcomes: list[tuple[bool, float]]
) -> None:
    """Whether addresses answer at once, late or never: counted as the kernel sends them."""
    budget, now, sent = ArpBudget(per_s), 0.0, []
    for answers, after_s in outcomes:
        now = max(now, budget.next_at)
        budget.charge(now)
        needed = min(int(after_s) + 1, SOLICITATIONS) if answers else SOLICITATIONS
        sent += [now + n for n in range(needed)]
        if answers and after_s < 1:
            budget.refund(now, after_s)

    for start in sent:
        assert sum(start <= at < start + 1 - 1e-4 for at in sent) <= per_s


# --- accounts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "tally"),
    [("sound", (0, 1)), ("late", (1, 1)), ("lost", (1, 0)), ("unsent", (1, 0))],
)
def test_what_comes_after_the_end_of_a_request(end: str, tally: tuple[int, int]) -> None:
    """A second reply is a duplicate, the first one that was not waited for is late."""
    flights = Flights()
    request = Request(TargetRow("a", Awaited()), 7, "192.0.2.1", 0, 0)
    flights.depart(request, 1.0)
    match end:
        case "sound":
            flights.receive(request, 1.0)
        case "late":
            flights.receive(request, 1001.0)
        case "lost":
            flights.expire(request)
        case "unsent":
            flights.unsend(request, Note("why", UNREACHABLE))

    flights.after_the_end(7)
    assert (flights.tally.late, flights.tally.duplicate, flights.tally.foreign) == (*tally, 0)
    flights.after_the_end(8)
    assert flights.tally.foreign == 1


OUTCOMES = ("sound", "late", "altered", "lost", "unsent", "altered then sound", "never handed over")


def test_a_round_ends_with_the_last_request_of_all() -> None:
    """Not with one before it, nor while more will be sent."""
    flights, awaited = Flights(), Awaited(is_complete=False)
    row = TargetRow("a", awaited)
    requests = [Request(row, number, "192.0.2.1", 0, 0) for number in range(3)]
    ended = []
    for request in requests:
        flights.depart(request, 1.0)
    flights.receive(requests[0], 1.0)
    flights.receive(requests[1], 1.0)
    ended.append(flights.ended)
    flights.receive(requests[2], 1.0)
    ended.append(flights.ended)
    awaited.is_complete = True
    for request in requests[:2]:
        flights.depart(request, 2.0)
    for request in requests[:2]:
        flights.receive(request, 1.0)
        ended.append(flights.ended)

    assert ended == [0, 0, 0, 1]


@given(st.lists(st.sampled_from(OUTCOMES), max_size=60))
def test_every_request_ends_once(outcomes: list[str]) -> None:
    """Sent = received + late + altered + lost; what was not sent is in none of them."""
    flights, awaited = Flights(), Awaited()
    row = TargetRow("a", awaited)
    for number, outcome in enumerate(outcomes, 1):
        if outcome == "never handed over":
            row.unsent += 1
            continue
        request = Request(row, number, "192.0.2.1", 0, 0)
        flights.depart(request, number + 1.0 + GRACE_S)
        if number % 3 == 0:
            flights.postpone(request, number + 10.0)
        if "altered" in outcome:
            flights.flaws[number] = Note("answers, but not with what was sent", ALTERED)
        match outcome:
            case "sound" | "altered then sound":
                flights.receive(request, 5.0)
            case "late":
                flights.receive(request, 1200.0)
            case "unsent":
                flights.unsend(request, Note("nobody answers ARP", NO_NEIGHBOUR))
    while (request_ := flights.take_expired(1e9)) is not None:
        flights.expire(request_)

    echoes = row.finish()
    received = sum(time is not None for time in echoes.times_ms)
    lost = len(echoes.times_ms) - received - echoes.late - echoes.altered
    counts = {name: outcomes.count(name) for name in OUTCOMES}
    assert received == counts["sound"] + counts["altered then sound"]
    assert (echoes.late, echoes.altered) == (counts["late"], counts["altered"])
    assert echoes.unsent == counts["unsent"] + counts["never handed over"]
    assert lost == counts["lost"]
    assert (awaited.count, len(flights)) == (0, 0)


@pytest.mark.parametrize(
    ("sent", "received", "unsent", "error"),
    [(3, 3, 0, None), (3, 2, 0, "no route to host"), (3, 3, 1, "no route to host")],
)
def test_trouble_that_passed_is_not_reported(
    sent: int, received: int, unsent: int, error: str | None
) -> None:
    """An error that a later reply has refuted is none, unless something is missing all the same."""
    row = TargetRow("a", unsent=unsent, note=Note("no route to host", UNREACHABLE))
    row.times = {n: 1.0 if n < received else None for n in range(sent)}

    assert row.finish().error == error


def test_silence_is_said_in_words() -> None:
    """Requests that were sent and brought nothing back have a reason too."""
    row = TargetRow("a", times={1: None, 2: None})

    assert (row.finish().error, row.finish().cause) == ("no reply", "no-reply")
    assert TargetRow("a", times={1: None, 2: 1.0}).finish().error is None
