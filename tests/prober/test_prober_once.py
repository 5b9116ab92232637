"""One round outside of the service, with a pinger that reports what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.prober.partsmade import target

from monitorpi_prober.items import NO_NETWORK, UNSENT, Echoes, ProbeAttempt, RoundDone
from monitorpi_prober.schedule import ProbeGroup, ProbePlan
from monitorpi_prober.sources import once

if TYPE_CHECKING:
    from collections.abc import Callable


class Scripted:
    """A pinger that reports what is written, and notes what it is asked for."""

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.orders: list[Any] = []
        self.stopped_after = -1
        self._at = 0

    def follow(self, plan: ProbePlan) -> None:
        """Take a plan."""
        self.orders.append(plan)

    def hurry(self, group: ProbeGroup) -> None:
        """Take a round."""
        self.orders.append(group)

    def contact(self, targets: Any) -> None:
        """Take targets."""
        self.orders.append([one.key for one in targets])

    def stop(self) -> None:
        """Note after how many items this came."""
        self.stopped_after = self._at

    def run(self, emit: Callable[[object], None]) -> None:
        """Report what is written, until it is stopped."""
        for item in self.items:
            self._at += 1
            emit(item)
            if self.stopped_after >= 0:
                return


A, B, C = target("a"), target("b", ip="192.0.2.2"), target("c", ip=None)


def done(*targets: Any) -> RoundDone:
    """Return a round."""
    group = ProbeGroup(1.0, 1, targets, 0.0)
    return RoundDone(None, None, ProbePlan(), group, ())  # type: ignore[arg-type]


def attempt(key: str, *, there: bool, cause: str | None = None) -> ProbeAttempt:
    """Return the outcome of a contact."""
    return ProbeAttempt(None, Echoes(key, (), cause, cause), there)  # type: ignore[arg-type]


def test_one_round_is_measured_and_returned() -> None:
    """With the time limit that was given; whatever else is reported is handed on."""
    round_of, told = done(A), list[Any]()
    pinger = Scripted("plan taken", round_of, "more")

    assert once.one_round(pinger, round_of.group, 3.0, told.append) is round_of  # type: ignore[arg-type]

    assert pinger.orders == [ProbePlan((), 3.0), round_of.group]
    assert (told, pinger.stopped_after) == (["plan taken", round_of], 2)
    again = Scripted(round_of)
    assert once.one_round(again, round_of.group, 3.0) is round_of  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "there", "is_near"),
    [
        (None, True, True),
        (None, False, False),
        (NO_NETWORK, True, False),
        (UNSENT, True, False),
        ("unreachable", True, True),
        ("no-neighbour", False, False),
    ],
)
def test_only_those_that_are_there_are_measured(
    cause: str | None, there: bool, is_near: bool
) -> None:
    """Of the others it is said why not."""
    round_of, limits = done(B, A), ProbePlan((), 3.0)
    silent = attempt("a", there=there, cause=cause)
    pinger = Scripted("x", attempt("b", there=True), attempt("z", there=False), silent, silent,
                      round_of, "more")  # fmt: skip
    grouped: list[Any] = []

    def group(targets: Any) -> ProbeGroup:
        grouped.append([one.key for one in targets])
        return round_of.group

    found = once.contact_then_round(pinger, [A, B, C], group, limits)  # type: ignore[arg-type]

    assert found == ([] if is_near else [silent], round_of)
    assert grouped == [["b", "a"] if is_near else ["b"]]
    assert pinger.orders == [limits, ["a", "b"], round_of.group]
    assert pinger.stopped_after == 6


def test_where_nobody_is_there_no_round_is_measured() -> None:
    """Nor where nobody has an address: then nothing is opened."""
    silent = attempt("a", there=False)
    pinger = Scripted(silent, "more")

    assert once.contact_then_round(pinger, [A], lambda _: done().group, ProbePlan()) == (  # type: ignore[arg-type]
        [silent], None)  # fmt: skip
    assert pinger.stopped_after == 1
    nothing = Scripted()
    assert once.contact_then_round(nothing, [C], lambda _: done().group, ProbePlan()) == (  # type: ignore[arg-type]
        [], None)  # fmt: skip
    assert nothing.orders == []
