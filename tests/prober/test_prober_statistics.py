"""The figures of a round against vectors worked out by hand and against their definitions."""

from __future__ import annotations

import statistics as reference

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_prober import statistics

TIMES = st.lists(st.floats(0, 10_000), min_size=2, max_size=50)


@pytest.mark.parametrize(
    ("latency", "jitter", "loss_percent", "score"),
    [(1, 0.2, 0, 4.40), (75, 30, 1, 4.26), (150, 30, 1, 4.05)],
)
def test_mos_vectors(latency: float, jitter: float, loss_percent: float, score: float) -> None:
    """The MOS of three known lines is what VoIP administrators expect; latency is half the RTT."""
    assert score == round(statistics.mos(2 * latency, jitter, loss_percent / 100), 2)


def test_mos_of_a_dead_line() -> None:
    """The worst line scores 1, never less."""
    assert statistics.mos(5000, 900, 1.0) == 1


def test_jitter_by_hand() -> None:
    """Jitter is the mean step between consecutive replies."""
    assert statistics.jitter([10, 12, 9, 9]) == pytest.approx((2 + 3 + 0) / 3)


def test_jitter_does_not_step_over_a_lost_reply() -> None:
    """Replies with a lost one between them are not consecutive."""
    assert statistics.jitter([10, None, 20]) is None
    assert statistics.jitter([10, None, 20, 21]) == pytest.approx(1)


def test_rfc3550_by_hand() -> None:
    """The smoothed jitter moves a sixteenth of the way with each step (RFC 3550, 6.4.1)."""
    first = 16 / 16
    second = first + (0 - first) / 16

    assert statistics.jitter_rfc3550([0, 16, 16]) == pytest.approx(second)


def test_percentile_by_hand() -> None:
    """Quantiles interpolate between the closest ranks (type 7)."""
    assert statistics.percentile([4, 1, 3, 2], 0.5) == pytest.approx(2.5)
    assert statistics.percentile([1], 0.95) == 1


@pytest.mark.parametrize(("times", "spread", "pdv"), [([], None, None), ([3.0], None, None),
                                                      ([1.0, 3.0], 1.0, 1.9)])  # fmt: skip
def test_two_replies_have_a_spread(
    times: list[float], spread: float | None, pdv: float | None
) -> None:
    """One has none."""
    assert (statistics.mdev(times), statistics.pdv_p95(times)) == (spread, pytest.approx(pdv))


def test_pdv_is_above_the_minimum() -> None:
    """Delay variation is the 95th percentile less the minimum (RFC 5481)."""
    assert statistics.pdv_p95([5, 5, 5, 25]) == pytest.approx(17)


@pytest.mark.parametrize("times", [[], [3.0], [None, None], [None, 3.0]])
def test_fewer_than_two_replies_tell_no_spread(times: list[float | None]) -> None:
    """With fewer than two replies every figure of spread is null, not 0."""
    answered = [time for time in times if time is not None]

    assert statistics.jitter(times) is None
    assert statistics.jitter_rfc3550(times) is None
    assert statistics.mdev(answered) is None
    assert statistics.pdv_p95(answered) is None


def test_total_loss_is_a_value() -> None:
    """All lost is a loss of 1; nothing sent is no value at all."""
    assert statistics.loss_ratio(10, 0) == 1
    assert statistics.loss_ratio(0, 0) is None


@given(TIMES)
def test_spread_agrees_with_the_standard_library(times: list[float]) -> None:
    """Mdev is the population standard deviation, percentiles lie within the data."""
    spread = statistics.mdev(times)

    assert spread == pytest.approx(reference.pstdev(times), abs=1e-6)
    assert min(times) <= statistics.percentile(times, 0.95) <= max(times)


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1))
def test_mos_stays_in_range(rtt: float, jitter: float, loss: float) -> None:
    """Whatever the line, the score lies between 1 and 4.5."""
    assert 1 <= statistics.mos(rtt, jitter, loss) <= 4.5
