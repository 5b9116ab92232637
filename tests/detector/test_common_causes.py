"""What several targets that answer badly have in common, by hand: who, how many, how late."""

from __future__ import annotations

from typing import Any

import pytest

from monitorpi_detector.targets.line import TargetLine
from monitorpi_detector.targets.presence import Stay
from monitorpi_detector.targets.quality import Degradations

NEAR = tuple(f"04:00:00:00:01:{n:02x}" for n in range(20))


def line(bad: int, turned_at: float | None = 100.0) -> TargetLine:
    """Return a line with so many bad rounds of eight."""
    return TargetLine((1 << bad) - 1, turned_at=turned_at)


def bad(n: int, rounds: int = 6, turned_at: float | None = 100.0, *, near: bool = True) -> Stay:
    """Return a target that turned bad."""
    address = f"192.168.1.{n}" if near else f"203.0.113.{n}"
    return Stay(address, f"t{n}", NEAR[n] if near else None, line=line(rounds, turned_at))


def well(n: int, *, near: bool = True) -> Stay:
    """Return a target that is well."""
    return bad(n, 3, None, near=near)


def causes(*stays: Stay, table: Degradations | None = None, round_s: float = 10.0
           ) -> list[tuple[str, str, int, bool, int]]:  # fmt: skip
    """Return cause, subject, bad ones, whether nearly all are bad, and who is well."""
    found = (table or Degradations()).follow("main", stays, 200.0, round_s)
    return [(one.cause, one.subject, len(one.bad), one.is_nearly_all, one.well) for one in found]


GROUP = ("group-degraded", "192-168-1-0", 3, False, 5)


@pytest.mark.parametrize(
    ("stays", "found"),
    [
        ([bad(0), bad(1), bad(2)], [GROUP]),
        ([bad(0), bad(1, 4), bad(2, 4)], [GROUP]), ([bad(0, 5), bad(1, 5), bad(2, 5)], []),
        ([bad(0), bad(1)], []), ([bad(0), bad(1), bad(2, 3)], []),
        ([bad(0), bad(1), bad(2, turned_at=None)], []),
        ([bad(0), bad(1, turned_at=140.0), bad(2, turned_at=120.0)], [GROUP]),
        ([bad(0), bad(1, turned_at=140.1), bad(2, turned_at=120.0)], []),
    ],
)  # fmt: skip
def test_three_that_turned_together_have_one_cause(stays: list[Stay], found: list[Any]) -> None:
    """Within four rounds, once one of them was bad in six of eight."""
    assert causes(*stays, *(well(n) for n in range(5, 10))) == found


def test_a_short_round_counts_as_ten_seconds() -> None:
    """A long one as long as it is."""
    stays = [bad(0), bad(1, turned_at=139.0), bad(2), *(well(n) for n in range(5, 10))]
    assert causes(*stays, round_s=1.0) == [GROUP]
    late = [bad(0), bad(1, turned_at=180.0), bad(2), *(well(n) for n in range(5, 10))]
    assert causes(*late, round_s=20.0) == [GROUP]
    assert causes(*late, round_s=19.0) == []


@pytest.mark.parametrize(
    ("count", "others", "nearly"), [(9, 1, True), (9, 2, False), (3, 0, True), (8, 1, False)]
)
def test_nearly_all_are_this_machines_own_link(count: int, others: int, nearly: bool) -> None:
    """Nine of ten: the prober is the subject then."""
    stays = [*(bad(n) for n in range(count)), *(well(n) for n in range(10, 10 + others))]

    subject = "main" if nearly else "192-168-1-0"
    assert causes(*stays) == [("group-degraded", subject, count, nearly, others)]


@pytest.mark.parametrize(
    ("near_bad", "far_bad", "far_well", "found"),
    [
        (0, 2, 0, [("uplink-degraded", "internet", 2, False, 3)]), (0, 1, 0, []),
        (2, 2, 0, [("uplink-degraded", "internet", 2, False, 3)]),
        (3, 2, 0, [("group-degraded", "192-168-1-0", 5, False, 3)]),
        (0, 2, 1, []), (0, 3, 1, [("group-degraded", "203-0-113-0", 3, False, 4)]),
    ],
)  # fmt: skip
def test_two_beyond_the_router_are_the_uplink(
    near_bad: int, far_bad: int, far_well: int, found: list[Any]
) -> None:
    """If nobody beyond it is well, and few of the LAN are bad."""
    stays = [
        *(bad(n) for n in range(near_bad)), *(bad(n, near=False) for n in range(far_bad)),
        *(well(n) for n in range(10, 13)), *(well(n, near=False) for n in range(15, 15 + far_well)),
    ]  # fmt: skip

    assert causes(*stays) == found


def test_who_turns_a_little_later_belongs_to_it() -> None:
    """Within twelve rounds; it lasts while three are bad."""
    table = Degradations()
    stays = [bad(0), bad(1), bad(2), *(well(n) for n in range(5, 10))]
    assert causes(*stays, table=table) == [GROUP]
    late, too_late = bad(3, 4, 220.0), bad(4, 4, 220.1)

    assert causes(*stays, late, too_late, table=table) == [
        ("group-degraded", "192-168-1-0", 4, False, 5)]  # fmt: skip
    for stay in (stays[0], late):
        stay.line = line(3)
    assert causes(*stays, late, too_late, table=table) == []
    assert causes(*stays, late, table=table) == []
    assert causes(bad(0), bad(1), bad(2), table=table) != []
    table.forget("main")
    table.forget("nobody")
    assert causes(well(0), table=table) == []


def test_what_was_told_before_a_restart_goes_on() -> None:
    """Once one of its members is seen to be bad."""
    table = Degradations()
    table.resume("group-degraded", "x", frozenset({NEAR[0], "192.168.1.1", NEAR[2]}))
    assert causes(*(bad(n, 0, None) for n in range(5)), table=table) == []

    assert causes(*(bad(n, 4, None) for n in range(4)), table=table) == [
        ("group-degraded", "x", 3, False, 0)]  # fmt: skip
    for n in range(40):
        table.resume("group-degraded", str(n), frozenset({NEAR[0]}))
    assert len(table._resumed) == 32
