"""The prober's figures, outcomes and announcements by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.prober.partsmade import MAC, T0, target

from monitorpi_common.messages import Announce, ProbeResult
from monitorpi_prober import results
from monitorpi_prober.announcement import Sending, covers
from monitorpi_prober.items import Echoes, Exit, RoundDone
from monitorpi_prober.outcomes import Outcomes
from monitorpi_prober.reachability import Reachability
from monitorpi_prober.reports import Reports
from monitorpi_prober.results import in_parts, joined, percentile, summarise, target_message
from monitorpi_prober.schedule import (
    ProbeGroup,
    ProbePlan,
)

WIRED, WIRELESS = Exit("192.0.2.99", "b8:27:eb:00:00:63"), Exit("192.0.2.98", "b8:27:eb:00:00:62")


# --- figures --------------------------------------------------------------------------------------


def figures(*times: float | None, state: Any = "up", **more: Any) -> ProbeResult:
    """Return what a round says of a target."""
    planned = more.pop("planned", None)
    return summarise(target("a"), Echoes("a", times, **more), state, planned)


def test_a_round_by_hand() -> None:
    """Least and greatest, mean and quantiles, in milliseconds with three digits."""
    result = figures(4.0, 1.0, None, 2.0)

    assert (result.sent, result.received, result.loss_ratio) == (4, 3, 0.25)
    assert (result.rtt_min_ms, result.rtt_avg_ms, result.rtt_max_ms) == (1.0, 2.333, 4.0)
    assert (result.rtt_p50_ms, result.rtt_p95_ms, result.pdv_p95_ms) == (2.0, 3.8, 2.8)
    assert (result.mdev_ms, result.jitter_ms, result.jitter_rfc3550_ms) == (1.247, 3.0, 0.188)
    assert result.mos is not None
    assert 1.0 < result.mos < figures(4.0, 1.0, 1.0, 2.0).mos  # type: ignore[operator]
    assert result.unsent == 0


@pytest.mark.parametrize(
    ("times", "state", "more", "sent", "loss", "unsent"),
    [
        ((None, None), "up", {}, 2, 1.0, 0),
        ((None, None), "flapping", {}, 2, 1.0, 0),
        ((None, None), "down", {}, 2, None, 0),
        ((None, None), "unknown", {}, 2, None, 0),
        ((None, 1.0), "down", {}, 2, 0.5, 0),
        ((), "up", {"unsent": 3}, 0, None, 3),
        ((1.0,), "up", {"unsent": 3, "planned": 5}, 1, 0.0, 4),
        ((1.0, 1.0), "up", {"planned": 1}, 2, 0.0, 0),
        ((None, None, 1.0, 1.0), "up", {"late": 1}, 4, 0.25, 0),
        ((None, None, 1.0, 1.0), "up", {"late": 1, "altered": 1}, 4, 0.0, 0),
        ((None,), "up", {"late": 2}, 1, 0.0, 0),
    ],
)
def test_what_is_lost_and_what_is_not(
    times: Any, state: str, more: dict[str, int], sent: int, loss: float | None, unsent: int
) -> None:
    """Late and altered replies are no loss, nor is silence of one that never answered."""
    result = figures(*times, state=state, **more)

    assert (result.sent, result.loss_ratio, result.unsent) == (sent, loss, unsent)
    assert (result.late, result.altered) == (more.get("late", 0), more.get("altered", 0))


def test_one_reply_tells_no_spread() -> None:
    """Its delay is known, its jitter is not."""
    result = figures(1.0)

    assert (result.rtt_p95_ms, result.mdev_ms, result.jitter_ms, result.mos) == (1.0, None, None,
                                                                                 None)  # fmt: skip
    assert figures(error="e" * 300, cause="no-reply").error == "e" * 255
    assert percentile([], 0.5) is None
    assert percentile([1.0, 3.0], 0.5) == 2.0


@pytest.mark.parametrize(
    ("first", "then", "cause"),
    [
        (("no-reply", None), (None, None), "no-reply"),
        (("no-reply", None), (None, 1.0), None),
        (("no-reply", None), ("unsent", None), "no-reply"),
        (("no-reply", None), ("unreachable", None), "unreachable"),
        ((None, 1.0), ("unreachable", None), "unreachable"),
        ((None, 1.0), ("unsent", None), "unsent"),
        (("no-reply", None), ("unsent", 1.0), "no-reply"),
    ],
)
def test_the_reason_of_joined_requests(first: Any, then: Any, cause: str | None) -> None:
    """Held back says less than why; an answer refutes what was; all that was counted adds up."""
    one, two = (
        Echoes("a", (time,), None if cause is None else f"because {cause}", cause, 1, 2, 0)
        for cause, time in (first, then)
    )
    one, two = (Echoes("a", e.times_ms, e.error, e.cause, 1, 0, 0) for e in (one, two))

    both = joined(one, two)

    assert both.cause == cause
    assert both.error == (None if cause is None else f"because {cause}")
    assert both.times_ms == (first[1], then[1])
    assert both.unsent == 2
    assert joined(None, two) is two


def test_counts_of_joined_requests_add_up() -> None:
    """Unsent, late and altered ones."""
    first = Echoes("a", (None,), unsent=1, late=2, altered=3)

    both = joined(first, Echoes("a", (), unsent=10, late=20, altered=30))

    assert (both.unsent, both.late, both.altered) == (11, 22, 33)


@pytest.mark.parametrize(("rows", "parts"), [(0, [0]), (1, [1]), (600, [600]), (3000, None)])
def test_a_round_is_divided_only_where_it_must_be(rows: int, parts: list[int] | None) -> None:
    """Each part fits into a message of the bus with room for what stands around it."""
    row = figures(1.0, 2.0, error="x" * 255).model_copy(update={"name": "ä" * 10})
    found = [len(part) for part in in_parts([row] * rows)]

    assert sum(found) == rows
    assert parts is None or found == parts
    for size in found:
        text = "".join(one.model_dump_json() for one in [row] * size)
        assert len(text.encode()) < 512 * 1024
    assert all(size > 300 for size in found[:-1])


@pytest.mark.parametrize(("over", "parts"), [(0, [3, 3, 1]), (1, [2, 2, 2, 1])])
def test_a_part_is_filled_to_its_last_byte(
    monkeypatch: pytest.MonkeyPatch, over: int, parts: list[int]
) -> None:
    """By what a row takes at most: its figures, four bytes for a letter of its name, its error."""
    monkeypatch.setattr(results, "_PART_BYTES", 3 * (480 + 4 * 10 + 7))
    row = figures(1.0, 2.0, error="x" * (7 + over)).model_copy(update={"name": "n" * 10})

    assert [len(part) for part in in_parts([row] * 7)] == parts
    one = row.model_copy(update={"error": None, "name": "n" * (11 if over else 10)})
    assert [len(part) for part in in_parts([one] * 7)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("mac", "made_up"), [(MAC, False), ("02:00:00:00:00:01", True), (None, False)]
)
def test_a_retained_target_says_all_that_is_known(mac: str | None, made_up: bool) -> None:
    """Since when: its state's change, or now."""
    one = target("a", mac=mac, vendor="v")
    for since in (None, T0 - timedelta(days=1)):
        message = target_message(one, Reachability("up", since), figures(1.0), T0)

        assert (message.name, message.address, message.mac, message.vendor) == (
            "a", "192.0.2.1", mac, "v")  # fmt: skip
        assert (message.state, message.since, message.at) == ("up", since or T0, T0)
        assert message.randomised is made_up
        assert message.last.rtt_min_ms == 1.0


# --- outcomes -------------------------------------------------------------------------------------


def test_a_round_reports_its_own_and_those_beside_it() -> None:
    """What was asked, what was tried since, the last trouble, and who has no address."""
    mine = {
        one.key: one
        for one in (
            target("asked"), target("tried"), target("troubled"), target("silent"),
            target("never"), target("nowhere", ip=None, error="e", cause="no-address"),
            target("other", interval_s=60.0),
        )
    }  # fmt: skip
    table = Outcomes()
    table.attempt(Echoes("asked", (None,)))
    assert table.attempt(Echoes("tried", (None,))).times_ms == (None,)
    assert table.attempt(Echoes("tried", (2.0,))).times_ms == (None, 2.0)
    assert table.note(Echoes("troubled", (None,), "no reply", "no-reply"))
    group = ProbeGroup(10.0, 5, (mine["asked"],), 10.0)
    done = RoundDone(T0, T0, ProbePlan((group,)), group,
                     (Echoes("asked", (1.0,), unsent=2), Echoes("gone", (1.0,))))  # fmt: skip

    found = {one.target.key: one for one in table.of_round(done, mine, {"silent"}, 10.0)}

    assert list(found) == ["asked", "tried", "troubled", "silent", "nowhere"]
    assert [one.decides for one in found.values()] == [True, False, False, False, False]
    assert [one.planned for one in found.values()] == [3, 5, 5, 5, 0]
    assert found["asked"].echoes.times_ms == (None, 1.0)
    assert found["tried"].echoes.times_ms == (None, 2.0)
    assert (found["troubled"].echoes.cause, found["troubled"].echoes.error) == (
        "no-reply", "no reply")  # fmt: skip
    assert found["silent"].echoes == Echoes("silent", ())
    assert (found["nowhere"].echoes.cause, found["nowhere"].echoes.error) == ("no-address", "e")
    again = {one.target.key: one for one in table.of_round(done, mine, set(), 10.0)}
    assert list(again) == ["asked", "troubled", "nowhere"]


def test_trouble_lasts_until_an_answer_or_until_nobody_asks() -> None:
    """Of whom it was, and no longer."""
    table = Outcomes()
    for key in ("a", "b", "c"):
        table.note(Echoes(key, (None,)))
        table.attempt(Echoes(key, (None,)))

    assert not table.note(Echoes("a", (1.0,)))
    table.keep({"a", "b"})

    assert [table.is_in_trouble(key) for key in "abc"] == [False, True, False]
    assert table.attempt(Echoes("c", (1.0,))).times_ms == (1.0,)
    assert table.attempt(Echoes("b", (1.0,))).times_ms == (None, 1.0)


@pytest.mark.parametrize(
    ("echoes", "answers", "is_evidence"),
    [
        (Echoes("a", ()), False, False),
        (Echoes("a", (None,)), False, True),
        (Echoes("a", (0.0,)), True, True),
        (Echoes("a", (None,), late=1), True, True),
        (Echoes("a", (None,), altered=1), True, True),
        (Echoes("a", (), cause="unsent"), False, False),
        (Echoes("a", (), cause="no-neighbour"), False, True),
    ],
)
def test_what_says_something_of_a_target(echoes: Echoes, answers: bool, is_evidence: bool) -> None:
    """A request that this machine could not send does not."""
    assert (echoes.answers, echoes.is_evidence) == (answers, is_evidence)


# --- announcements --------------------------------------------------------------------------------


def sending(**more: Any) -> Sending:
    """Return what is sent where targets a and b leave by the wire, c by the air."""
    return Sending(exits={"a": WIRED, "b": WIRED, "c": WIRELESS}, **more)


def rates(one: Sending, plan: ProbePlan) -> dict[str | None, tuple[float, float]]:
    """Return echo and ARP requests per second by own MAC, in order."""
    return {source.mac: (source.echo_per_s, source.arp_per_s) for source in one.sources(plan)}


def test_what_is_sent_adds_up_by_own_mac() -> None:
    """Rounds, the kernel's own requests, sweeps and what others send; the busiest first."""
    group = ProbeGroup(10.0, 5, (target("c"), target("a"), target("b"), target("lost")), 10.0)
    one = sending(sweeps={WIRELESS: 30.0})
    assert one.lend(Announce(mac=WIRED.mac, ip=WIRED.ip, echo_per_s=2.0, arp_per_s=1.0,
                             seconds=60), 100.0)  # fmt: skip

    found = rates(one, ProbePlan((group,)))

    assert found == {WIRED.mac: (3.0, 1.1), WIRELESS.mac: (0.5, 30.05)}
    assert list(found) == [WIRED.mac, WIRELESS.mac]
    one.expire(159.9)
    assert rates(one, ProbePlan())[WIRED.mac] == (2.0, 1.0)
    one.expire(160.0)
    assert rates(one, ProbePlan()) == {WIRELESS.mac: (0.0, 30.0)}


@pytest.mark.parametrize(("count", "echo", "arp"), [(1, 1.0, 3.0), (5, 4.0, 8.0), (2, 2.0, 6.0)])
def test_quiet_targets_are_announced_up_to_their_limits(
    count: int, echo: float, arp: float
) -> None:
    """Any of them may be asked in any second, with three ARP requests each."""
    quiet = tuple(target(str(number)) for number in range(count))
    plan = ProbePlan(quiet=(*quiet, target("lost")), quiet_per_s=4.0, arp_per_s=8.0)
    one = Sending(exits={str(number): WIRED for number in range(count)})

    assert rates(one, plan) == {WIRED.mac: (echo, arp)}


def test_addresses_of_one_interface_are_one_sender() -> None:
    """The detector sees MACs; loopback is told of where there is nothing else; 16 at most."""
    second = Exit("2001:db8::99", WIRED.mac)
    loopback = Exit("127.0.0.1", None)
    group = ProbeGroup(1.0, 1, tuple(target(key) for key in "abc"), 1.0)

    one = Sending(exits={"a": WIRED, "b": second, "c": loopback})
    assert [(s.mac, s.ip, s.echo_per_s) for s in one.sources(ProbePlan((group,)))] == [
        (WIRED.mac, WIRED.ip, 2.0)]  # fmt: skip
    one.exits = {"c": loopback}
    assert [(s.mac, s.ip) for s in one.sources(ProbePlan((group,)))] == [(None, "127.0.0.1")]
    many = {str(n): Exit(f"192.0.2.{n}", f"02:00:00:00:00:{n:02x}") for n in range(20)}
    group = ProbeGroup(1.0, 1, tuple(target(key) for key in many), 1.0)
    assert len(Sending(exits=many).sources(ProbePlan((group,)))) == 16


def test_eight_programs_may_announce_at_once() -> None:
    """The ninth is refused; one that has ended makes room."""
    announce = Announce(mac=WIRED.mac, ip=WIRED.ip, echo_per_s=1.0, seconds=10)
    one = Sending()

    assert [one.lend(announce, 0.0) for _ in range(9)] == [True] * 8 + [False]
    assert one.lend(announce, 10.0)


@pytest.mark.parametrize(
    ("echo", "arp", "is_covered"),
    [(10.0, 10.0, True), (11.0, 11.0, True), (11.1, 1.0, False), (1.0, 11.1, False)],
)
def test_a_tenth_more_needs_no_new_announcement(echo: float, arp: float, is_covered: bool) -> None:
    """Readers allow for a fifth."""
    one = Sending(sweeps={WIRED: 0.0})
    (source,) = one.sources(ProbePlan())
    said = source.model_copy(update={"echo_per_s": 10.0, "arp_per_s": 10.0})
    now = source.model_copy(update={"echo_per_s": echo, "arp_per_s": arp})

    assert covers([said], [now]) is is_covered
    assert covers([said], [])
    assert not covers([], [now])
    assert not covers([said], [now.model_copy(update={"ip": "192.0.2.77"})])


def test_a_sweep_is_announced_again_each_five_seconds() -> None:
    """As long as it lasts, also after the clock was set back; numbers run on."""
    reports = Reports("main", "e")
    reports.sending.exits = {"a": WIRED}
    reports.sending.sweeps = {WIRED: 30.0}

    def said(seconds: float) -> list[Any]:
        return list(reports.repeat(T0 + timedelta(seconds=seconds), ProbePlan()))

    assert said(0) == []  # nothing was announced that could be repeated
    (first,) = reports.announce(T0, ProbePlan())
    assert list(reports.announce(T0, ProbePlan())) == []
    assert (first.id, first.message.seq, first.message.source.arp_per_s) == ("main", 1, 30.0)
    assert first.message.sources == []
    assert first.message.targets == []
    assert (said(4.9), len(said(5.0)), said(9.9), len(said(-0.1))) == ([], 1, [], 1)
    reports.sending.sweeps = {WIRED: 30.0, WIRELESS: 1.0}
    (last,) = reports.announce(T0, ProbePlan())
    assert last.message.seq == 4
    assert [one.mac for one in last.message.sources] == [WIRED.mac, WIRELESS.mac]
    reports.sending.sweeps = {}
    assert said(3600) == []
