"""Pauses that double: from the first to the longest, and never out of these bounds."""

from __future__ import annotations

from itertools import accumulate, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.backoff import (
    BROKER,
    CHILD,
    CLOUD_MOST_S,
    LACKING_CHILD,
    MESSAGE,
    QUIET_TARGET_MOST_S,
    BackOff,
)

SECONDS = st.floats(0.01, 1e4)


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    """Counted from the failures, or from the pause before: the same."""
    pauses = BackOff(0.5, 3.0)

    assert [pauses.after(failures) for failures in range(6)] == [0.5, 0.5, 1.0, 2.0, 3.0, 3.0]
    one_by_one = accumulate(repeat(None, 5), lambda pause, _: pauses.longer(pause), initial=0.0)
    assert list(one_by_one) == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


@given(SECONDS, SECONDS, st.integers(0, 10**9))
def test_no_pause_is_out_of_its_bounds(first_s: float, most_s: float, failures: int) -> None:
    """However often something fails, and if the first is longer than the longest."""
    pause_s = BackOff(first_s, most_s).after(failures)

    assert first_s <= pause_s <= max(first_s, most_s)
    assert pause_s <= BackOff(first_s, most_s).after(failures + 1)


def test_a_pause_does_not_shrink_while_it_may_grow() -> None:
    """From any pause below the longest."""
    assert BackOff(1.0, 300.0).longer(299.0) == pytest.approx(300.0)


def test_pauses_may_have_another_longest() -> None:
    """The first is no longer than that either."""
    assert BackOff(5.0, 300.0).up_to(60.0) == BackOff(5.0, 60.0)
    assert BackOff(5.0, 300.0).up_to(2.0) == BackOff(2.0, 2.0)
    assert BackOff(5.0, 30.0).up_to(60.0) == BackOff(5.0, 60.0)


def test_who_waits_how_long() -> None:
    """The first pause and the longest, in seconds; the broker's are within a person's patience."""
    pauses = [(one.first_s, one.most_s) for one in (BROKER, CHILD, LACKING_CHILD, MESSAGE)]

    assert pauses == [(1.0, 4.0), (0.5, 30.0), (5.0, 300.0), (5.0, 120.0)]
    assert (CLOUD_MOST_S, QUIET_TARGET_MOST_S) == (300.0, 60.0)
