"""The quota of a year: no clock that is wrong for a while spends it twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_cloud_bridge.sinks.quota import PROOF_S, YearlyQuota

NEW_YEAR = datetime(2028, 1, 1, tzinfo=UTC).timestamp()
YEAR_S = 366 * 86_400.0


def spent(rows: int, wall_s: float = NEW_YEAR - 7200, clock_s: float = 0.0) -> YearlyQuota:
    """Return a quota of 100 rows of which some are spent."""
    quota = YearlyQuota(100)
    quota.left(wall_s, clock_s)
    quota.charge(rows)
    return quota


def test_a_new_year_has_a_quota_of_its_own() -> None:
    """Time that passes turns the year at once."""
    quota = spent(100)

    assert [quota.left(NEW_YEAR - 1, 7199), quota.left(NEW_YEAR + 1, 7201)] == [0, 100]
    assert quota.memory() == {"year": 2028, "used": 0, "others": {"2027": 100}}


@pytest.mark.parametrize("years", [-8, -1, 1, 10])
def test_a_clock_that_is_wrong_for_a_while_renews_nothing(years: int) -> None:
    """Neither ahead nor behind, in one step or for half an hour, nor on the way back."""
    quota = spent(100)
    wrong = NEW_YEAR - 7000 + years * YEAR_S

    assert [quota.left(wrong + s, 200 + s) for s in range(0, 1800, 16)] == [0] * 113
    assert quota.left(NEW_YEAR - 5000, 2200) == 0
    assert quota.year == 2027


def test_a_clock_that_stands_by_another_year_is_believed_and_the_old_one_kept() -> None:
    """After an hour; when it comes back, what was spent is still spent."""
    quota = spent(60)
    there = NEW_YEAR + 3 * YEAR_S
    left = [quota.left(there + s, 100 + s) for s in (0, PROOF_S - 1, PROOF_S)]
    assert left == [40, 40, 100]

    quota.charge(10)
    back = [quota.left(NEW_YEAR - 3000 + s / 4, 4000 + s) for s in (0, PROOF_S)]

    assert back == [90, 40]
    assert quota.memory() == {"year": 2027, "used": 60, "others": {"2031": 10}}


def test_a_year_nobody_counted_goes_on_with_what_was_sent() -> None:
    """A clock set back for good to a year before the first: no second quota."""
    quota = spent(70)
    past = NEW_YEAR - 5 * YEAR_S

    left = [quota.left(past + s, 100 + s) for s in (0, PROOF_S)]

    assert left == [30, 30]


def test_it_is_remembered_over_restarts() -> None:
    """Also by a process that finds the memory of one before, which knew one year only."""
    again = YearlyQuota(100)
    again.remember(json.loads(json.dumps(spent(60).memory())))
    old = YearlyQuota(100)
    old.remember({"year": 2027, "used": 60})

    assert again.left(NEW_YEAR - 100, 5) == old.left(NEW_YEAR - 100, 5) == 40


def test_other_years_are_remembered_over_restarts() -> None:
    """A clock that comes back to one renews nothing; what cannot be read of one costs it alone."""
    quota = YearlyQuota(100)
    others: dict[str, object] = {"2026": 70, "2025": "many", "next": 1, "02026": 3, "2024": 5}
    quota.remember({"year": 2031, "used": 10, "others": others})  # type: ignore[dict-item] # damaged

    left = [quota.left(NEW_YEAR - YEAR_S - 7200 + s, s) for s in (0, PROOF_S)]

    assert left == [90, 30]
    assert quota.memory() == {"year": 2026, "used": 70, "others": {"2031": 10, "2024": 5}}


@pytest.mark.parametrize("memory", [None, 5, [], {}, {"year": "x", "used": 1}, {"used": 2}])
def test_memory_of_another_shape_is_forgotten(memory: object) -> None:
    """A damaged memory is no crash."""
    quota = YearlyQuota(100)
    quota.remember(memory)  # type: ignore[arg-type] # of another shape on purpose

    assert quota.left(NEW_YEAR - 100, 5) == 100


@pytest.mark.parametrize("others", [{"2027": "many"}, {"9" * 5000: 1}, {"2027": None}, [1]])
def test_of_a_damaged_ledger_the_year_itself_is_kept(others: object) -> None:
    """What cannot be read of other years costs no crash, and no second quota."""
    quota = YearlyQuota(100)
    quota.remember({"year": 2027, "used": 90, "others": others})  # type: ignore[dict-item] # damaged

    assert quota.left(NEW_YEAR - 100, 5) == 10


@given(
    st.lists(st.tuples(st.integers(1, 2000), st.integers(-12, 12), st.integers(0, 9)), max_size=40)
)
def test_whatever_the_clock_shows_no_year_gets_a_second_quota(
    steps: list[tuple[int, int, int]],
) -> None:
    """Steps to other years that last less than an hour each, rows sent in between."""
    start = NEW_YEAR - YEAR_S / 2
    quota = YearlyQuota(100)
    clock = 0.0
    sent = 0
    quota.left(start, clock)
    for seconds, years, rows in steps:
        clock += seconds % 1800
        wall = start + clock + (years * YEAR_S if years % 3 == 0 else 0.0)
        may = min(rows, quota.left(wall, clock))
        quota.charge(may)
        sent += may
        clock += 1
        quota.left(start + clock, clock)  # it comes back

    assert sent <= 100
