"""Single requests beside the rounds: who is asked next, and what becomes of it. No wire."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.prober.line import IP, NEAR, OTHER, Rig, reply
from tests.prober.partsmade import target

from monitorpi_prober.flights import GRACE_S
from monitorpi_prober.items import NO_NEIGHBOUR, NO_NETWORK, UNSENT, ProbeAttempt
from monitorpi_prober.schedule import ProbePlan
from monitorpi_prober.sources.attempts import Attempts
from monitorpi_prober.sources.neighbours import Hop

if TYPE_CHECKING:
    import socket

ROUTER = Hop((2, b"\xc0\0\2\xfe"), "192.0.2.254")
SOLICITED_S = 3.5
"""Three ARP requests a second apart, and what the kernel's timers need besides."""


class Asking:
    """Attempts on sockets without a wire, at times of their own."""

    def __init__(self, **hops: Hop) -> None:
        self.rig = Rig()
        self.wire = self.rig.wire
        self.wire.quiet_links = {4: self.rig.link}
        self.wire.neighbours.sock = cast("socket.socket", self.rig.line)
        self.wire.hops = {ip.replace("_", "."): hop for ip, hop in hops.items()}
        self.attempts = Attempts(self.wire)
        self.now = 1000.0

    def plan(self, *keys: str, **more: Any) -> None:
        """Take a plan of quiet targets at 192.0.2.0, .1, ..."""
        quiet = tuple(target(key, ip=f"192.0.2.{n}") for n, key in enumerate(keys))
        self.attempts.set(ProbePlan(quiet=quiet, **more), self.now)

    def ask(self, seconds: float = 0.0) -> float | None:
        """Let some time pass and make what is due; returns in how many seconds to ask again."""
        self.now += seconds
        again = self.attempts.ask(self.now)
        return None if again is None else round(again - self.now, 6)

    def finished(self) -> list[ProbeAttempt]:
        """Return what became of the requests whose outcome is known."""
        found: list[Any] = []
        self.attempts.finish(self.now, found.append)
        return found

    def answer(self, number: int = -1) -> None:
        """Answer one of the requests."""
        packet, _, to = self.rig.line.sent[number]
        self.rig.hear(reply(packet), to[0])

    @property
    def asked(self) -> list[str]:
        """The addresses that were asked."""
        return [to[0] for _, _, to in self.rig.line.sent]


def near(*numbers: int) -> dict[str, Hop]:
    """Return the next hops of some addresses of the LAN."""
    return {f"192_0_2_{n}": Hop((2, bytes((192, 0, 2, n)))) for n in numbers}


def test_quiet_targets_are_asked_one_by_one() -> None:
    """As far apart as the plan says; nobody who has no address; when nobody is left, nobody."""
    one = Asking()
    assert one.ask() is None
    quiet = (target("a"), target("none", ip=None), target("b", ip=OTHER))
    one.attempts.set(ProbePlan(quiet=quiet, quiet_per_s=4.0, timeout_s=2.0), one.now)

    assert (one.ask(), one.asked) == (0.25, [IP])
    assert (one.ask(0.2), one.asked) == (0.05, [IP])
    assert (one.ask(0.05), one.asked) == (None, [IP, OTHER])
    assert (one.ask(1.0), one.asked) == (None, [IP, OTHER])


def test_each_is_asked_again_by_its_interval_while_it_answers() -> None:
    """From when its answer came."""
    one = Asking()
    one.attempts.set(ProbePlan(quiet=(target("a", interval_s=7.0),)), one.now)
    one.ask()
    one.answer()
    one.now += 1.0

    (found,) = one.finished()

    assert found.echoes.answers
    assert (one.ask(), one.ask(6.9)) == (7.0, 0.1)
    assert len(one.asked) == 1
    assert (one.ask(0.1), len(one.asked)) == (None, 2)


def test_whoever_was_seen_is_asked_at_once() -> None:
    """Where there is a gap for it; others are not due yet."""
    one = Asking()
    one.plan("a", "b", quiet_per_s=10.0)
    for _ in range(2):
        one.ask(0.1)
        one.answer()
        one.finished()
    assert one.ask(0.1) == pytest.approx(0.8)

    one.attempts.wake(["b", "nobody"])

    one.ask()
    assert one.asked == ["192.0.2.0", IP, IP]


def test_at_most_64_are_under_way() -> None:
    """They take a third of a socket's least buffer; one that ends makes room."""
    one = Asking()
    one.plan(*(f"t{n}" for n in range(70)), quiet_per_s=1000.0)

    for _ in range(70):
        one.ask(0.01)
    assert (len(one.asked), one.ask()) == (64, None)
    one.answer()
    one.finished()

    one.ask(0.01)
    assert len(one.asked) == 65


def test_what_arp_may_cost_is_kept_to() -> None:
    """A request to whom nobody answers for costs three; one to whom the kernel knows costs none."""
    one = Asking(**near(0, 1, 2, 3))
    one.plan("a", "b", "c", "d", arp_per_s=6.0)

    assert one.ask() == 0.5
    assert (one.ask(0.4), len(one.asked)) == (pytest.approx(0.1), 1)
    one.ask(0.1)
    assert len(one.asked) == 2
    one.wire.neighbours.usable = {hop.neighbour for hop in one.wire.hops.values()}
    one.ask(0.5)
    assert (one.ask(0.1), len(one.asked)) == (None, 4)


@pytest.mark.parametrize(("is_known", "gap_s"), [(True, 0.1), (False, 3.0)])
def test_where_nothing_is_known_of_neighbours_each_may_cost_arp(
    is_known: bool, gap_s: float
) -> None:
    """Without a routing socket; with one, an address without a next hop needs none."""
    one = Asking()
    if not is_known:
        one.wire.neighbours.sock = None
    one.plan("a", "b", arp_per_s=1.0)

    assert one.ask() == pytest.approx(gap_s)


@pytest.mark.parametrize(("has_hop", "over_s"), [(True, SOLICITED_S), (False, 0.0)])
def test_the_kernel_has_its_time_to_find_a_neighbour(has_hop: bool, over_s: float) -> None:
    """And the reply its own after that."""
    one = Asking(**(near(0) if has_hop else {}))
    one.plan("a", timeout_s=2.0)
    before = one.now

    one.ask()

    due = one.wire.flights.next_expiry()
    assert due is not None
    (request,) = one.wire.flights.requests.values()
    began = before if has_hop else request.before_ns / 1e9
    assert due - began == pytest.approx(over_s + 2.0 + GRACE_S)


def test_one_that_waits_for_its_neighbour_comes_before_those_that_are_quiet() -> None:
    """Once, however often its round asks; not while it is under way."""
    one = Asking(**near(7))
    one.plan("a", "b", quiet_per_s=10.0, arp_per_s=1000.0)
    lost = target("lost", ip="192.0.2.7")
    for _ in range(3):
        one.attempts.ask_for(lost)

    assert one.ask() == pytest.approx(0.1)
    one.attempts.ask_for(lost)
    one.ask(0.1)
    one.ask(0.1)

    assert one.asked == ["192.0.2.7", "192.0.2.0", IP]
    assert one.finished() == []


def test_one_that_found_its_neighbour_meanwhile_is_not_asked() -> None:
    """Its round does; the next one has its turn at once."""
    one = Asking(**near(7))
    one.plan("a")
    one.attempts.ask_for(target("lost", ip="192.0.2.7"))
    one.wire.neighbours.usable = {one.wire.hops["192.0.2.7"].neighbour}

    one.ask()

    assert one.asked == ["192.0.2.0"]
    assert one.finished() == []


@pytest.mark.parametrize("is_contact", [True, False])
def test_two_behind_one_router_need_one_request(is_contact: bool) -> None:
    """Whoever wants to know whether there is a way is told after the other."""
    one = Asking(**{"192_0_2_1": ROUTER, "192_0_2_2": ROUTER})
    ask = one.attempts.contact if is_contact else one.attempts.ask_for
    ask(target("a", ip=IP))
    ask(target("b", ip=OTHER))
    one.attempts.set(ProbePlan(quiet_per_s=10.0, arp_per_s=1000.0), one.now)

    one.ask()
    assert one.asked == [IP]
    assert one.ask(0.1) == (pytest.approx(0.1) if is_contact else None)
    assert one.asked == [IP]
    one.wire.neighbours.usable = {ROUTER.neighbour}
    one.attempts.neighbours_changed(one.now)
    one.ask(0.1)

    found = one.finished()
    assert one.asked == [IP]
    assert [item.echoes.key for item in found] == (["b", "a"] if is_contact else [])


def test_a_contact_ends_as_soon_as_its_neighbour_answers() -> None:
    """It was not to be measured: there is no time, and nothing was lost."""
    one = Asking(**near(1))
    one.attempts.contact(target("a"))
    one.ask()
    one.attempts.neighbours_changed(one.now)
    assert one.finished() == []

    one.wire.neighbours.usable = {NEAR.neighbour}
    one.attempts.neighbours_changed(one.now + 0.3)

    (found,) = one.finished()
    assert (found.has_neighbour, found.echoes.times_ms, found.echoes.unsent) == (True, (), 0)
    assert len(one.wire.flights) == 0


def test_who_was_a_contact_is_one_no_more() -> None:
    """Its next request is to be measured, and that it is there by now is no news."""
    one = Asking(**near(0))
    one.attempts.contact(target("a", ip="192.0.2.0"))
    one.ask()
    one.wire.expire(1e12)
    assert len(one.finished()) == 1

    one.plan("a", arp_per_s=1000.0)
    one.ask(1.0)
    assert len(one.asked) == 2
    one.wire.neighbours.usable = {hop.neighbour for hop in one.wire.hops.values()}
    one.attempts.neighbours_changed(one.now)
    assert (one.finished(), len(one.wire.flights)) == ([], 1)
    one.answer()
    assert len(one.finished()) == 1
    one.attempts.ask_for(target("a", ip="192.0.2.0"))
    one.ask(0.1)
    assert one.finished() == []


def test_without_a_plan_the_limits_are_those_of_none() -> None:
    """A second for a reply, a tenth between two, 20 ARP requests a second."""
    one = Asking(**near(1, 2))
    for key, ip in (("a", IP), ("b", OTHER)):
        one.attempts.contact(target(key, ip=ip))

    assert one.ask() == pytest.approx(0.15)
    (request,) = one.wire.flights.requests.values()
    assert request.row.limit_s == 1.0
    plain = Asking()
    plain.plan("a", "b")
    assert plain.ask() == pytest.approx(0.1)


def test_each_neighbour_that_answers_counts_for_itself() -> None:
    """Whoever was asked before it still waits."""
    one = Asking(**near(1, 2))
    for key, ip in (("a", IP), ("b", OTHER)):
        one.attempts.contact(target(key, ip=ip))
    one.attempts.set(ProbePlan(quiet_per_s=10.0, arp_per_s=1000.0), one.now)
    one.ask()
    one.ask(0.1)

    one.wire.neighbours.usable = {one.wire.hops[OTHER].neighbour}
    one.attempts.neighbours_changed(one.now)

    assert [found.echoes.key for found in one.finished()] == ["b"]


def test_a_request_whose_neighbour_answers_takes_as_long_as_any_other() -> None:
    """From then on; what an early answer saves is given back to the others."""
    one = Asking(**near(0, 1))
    one.plan("a", "b", arp_per_s=3.0, timeout_s=2.0)
    assert one.ask() == 1.0

    one.wire.neighbours.usable = {one.wire.hops["192.0.2.0"].neighbour}
    one.now += 0.2
    one.attempts.neighbours_changed(one.now)

    assert one.wire.flights.next_expiry() == pytest.approx(one.now + 2.0 + GRACE_S)
    assert one.ask() == pytest.approx(0.133333)
    one.attempts.neighbours_changed(one.now + 0.1)
    assert one.wire.flights.next_expiry() == pytest.approx(one.now + 2.0 + GRACE_S)


def test_an_answer_of_the_target_before_that_of_its_neighbour_is_no_harm() -> None:
    """The request is over by then."""
    one = Asking(**near(0))
    one.plan("a")
    one.ask()
    one.answer()
    one.wire.neighbours.usable = {one.wire.hops["192.0.2.0"].neighbour}

    one.attempts.neighbours_changed(one.now + 0.1)

    (found,) = one.finished()
    assert (found.has_neighbour, found.echoes.answers) == (True, True)
    assert one.wire.flights.next_expiry() is None


def test_what_this_machine_could_not_send_counts_neither_way() -> None:
    """It is asked again in a second, as if it had not been."""
    one = Asking()
    one.attempts.set(ProbePlan(quiet=(target("a", ip="192.0.2.0", interval_s=7.0),)), one.now)
    one.rig.line.refusals = [errno.ENOBUFS]
    one.ask()

    (found,) = one.finished()
    assert (found.echoes.unsent, found.echoes.cause) == (1, UNSENT)
    assert found.has_neighbour
    assert one.ask() == 1.0
    one.rig.line.refusals = [errno.ENOBUFS]
    one.ask(1.0)
    assert len(one.finished()) == 1
    one.ask(1.0)
    assert one.asked == ["192.0.2.0"]


def test_a_version_of_ip_that_we_have_not_is_said() -> None:
    """At once."""
    one = Asking()
    one.attempts.set(ProbePlan(quiet=(target("a", ip="fd00::1"), target("b"))), one.now)
    one.ask()

    (found,) = one.finished()
    assert (found.echoes.error, found.echoes.cause) == ("this machine has no IPv6", NO_NETWORK)
    assert (found.echoes.unsent, one.asked) == (1, [])
    one.ask(0.1)
    assert one.asked == [IP]
    assert one.finished() == []


def test_one_that_left_the_plan_and_came_back_is_asked_once() -> None:
    """While its request is under way; then again after a second."""
    one = Asking()
    one.plan("a")
    one.ask()
    one.plan()
    assert one.ask(1.0) is None
    one.plan("a")

    assert one.ask(0.1) == 1.0
    assert len(one.asked) == 1


def test_silence_has_its_reason_and_is_told_once() -> None:
    """Of the target, or of whoever does not answer ARP; each outcome is reported once."""
    one = Asking(**near(0))
    one.plan("a", "b", arp_per_s=1000.0)
    one.ask()
    one.ask(0.1)
    assert one.finished() == []
    one.wire.expire(1e12)

    found = {item.echoes.key: item for item in one.finished()}

    assert found["a"].echoes.cause == NO_NEIGHBOUR
    assert not found["a"].has_neighbour
    assert found["b"].echoes.error == "no reply"
    assert found["b"].has_neighbour
    assert one.finished() == []
