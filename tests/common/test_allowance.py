"""So many a second, and so many at once: never more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.allowance import Allowance


def test_at_once_and_then_at_the_rate() -> None:
    """Five at once, then two a second."""
    allowance = Allowance(2.0, 5)

    assert [allowance.take(10.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [allowance.take(10.0 + n / 4) for n in range(1, 9)] == [False, True] * 4


@given(st.lists(st.floats(0, 5), max_size=200))
def test_never_more_than_allowed(pauses: list[float]) -> None:
    """Whatever the pauses, no more than the burst and the rate together."""
    allowance, now_s, taken = Allowance(2.0, 5), 0.0, 0

    for pause in pauses:
        now_s += pause
        taken += allowance.take(now_s)

    assert taken <= 5 + 2.0 * now_s + 1e-6
