"""How far apart the moments are at which all that is due leaves together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prober.roundbench import A, B, Bench, group

from monitorpi_prober.schedule import LEAST_STEP_S, MOST_STEP_S, TOGETHER, step_of


@pytest.mark.parametrize(
    ("rate", "period_s", "step_s"),
    [(0.0, 1.0, 0.016), (1.0, 1.0, 0.064), (124.9, 1.0, 0.064), (160.0, 1.0, 0.05),
     (250.0, 1.0, 0.032), (500.0, 1.0, 0.016), (1000.0, 1.0, 0.016), (250.0, 0.02, 0.02),
     (100.0, 0.01, 0.01)],
)  # fmt: skip
def test_so_far_apart_that_eight_are_due(rate: float, period_s: float, step_s: float) -> None:
    """Within 16 and 64 ms, and never further than the requests to one target."""
    assert step_of(rate, period_s) == pytest.approx(step_s)


@given(
    st.integers(1, 400), st.integers(1, 100), st.integers(1, 60), st.floats(0, 1, exclude_max=True)
)
def test_who_leaves_together(targets: int, probes: int, interval_s: int, begin: float) -> None:
    """Never two requests to one target; eight at most, up to 500 per second."""
    rate = targets * probes / interval_s
    step = step_of(rate, interval_s / probes)
    together: dict[int, list[int]] = {}
    for place in range(min(targets * probes, 2000)):
        due = begin + place / rate
        together.setdefault(math.ceil(due / step - 1e-6), []).append(place % targets)

    assert all(len(set(some)) == len(some) for some in together.values())
    if rate <= TOGETHER / LEAST_STEP_S:
        # one more where the steps' ends fall on requests
        assert max(map(len, together.values())) <= TOGETHER + 1
    waits = [math.ceil((begin + n / rate) / step) * step - (begin + n / rate) for n in range(50)]
    assert max(waits) <= MOST_STEP_S + 1e-9


def test_the_steps_follow_the_rounds_under_way(turned: Bench) -> None:
    """All of them; one that is at its end gives way to the next of its kind."""
    pinger = turned.pinger
    assert pinger._step_s == 0.016
    turned.plan(group(A, B, probes=80, seconds=2.0))
    turned.turn()
    assert pinger._step_s == pytest.approx(0.025)  # between two requests to one target

    turned.plan(group(A, B, probes=20, seconds=2.0))
    turned.turn(2.0)
    assert pinger._step_s == pytest.approx(0.064)

    for _ in range(24):
        turned.pinger.hurry(group(A, probes=10, seconds=1.0))
    turned.turn(0.1)
    assert pinger._step_s == pytest.approx(8 / 260)
    turned.turn(1.0)
    turned.pinger.hurry(group(A, probes=10, seconds=1.0))
    turned.turn()
    assert pinger._step_s == pytest.approx(0.064)


def test_a_round_without_targets_changes_nothing(turned: Bench) -> None:
    """It sends nothing."""
    turned.plan(group(probes=10, seconds=1.0))
    turned.turn()

    assert turned.pinger._step_s == 0.016
