"""What a round of round-trip times says: each figure a pure function with its source.

Times are round-trip, in milliseconds; a probe that was not answered is None. Fewer than two
replies tell nothing of spread, so those figures are None then, never 0.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

RFC3550_GAIN: Final = 16
"""Noise reduction of the jitter estimator (RFC 3550, section 6.4.1)."""
_MIN_REPLIES: Final = 2


def loss_ratio(sent: int, received: int) -> float | None:
    """Return the share of probes without a reply; None when nothing was sent."""
    return None if sent == 0 else (sent - received) / sent


def percentile(times_ms: Sequence[float], q: float) -> float:
    """Return the q-quantile (0..1) by linear interpolation between closest ranks.

    Hyndman & Fan (1996), type 7, the default of NumPy and R.
    """
    return percentile_of(sorted(times_ms), q)


def percentile_of(ordered: Sequence[float], q: float) -> float:
    """Return the same of times that are sorted."""
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def mdev(times_ms: Sequence[float]) -> float | None:
    """Return the population standard deviation, what ping(8) prints as mdev."""
    if len(times_ms) < _MIN_REPLIES:
        return None
    mean = math.fsum(times_ms) / len(times_ms)
    return math.sqrt(math.fsum([(time - mean) ** 2 for time in times_ms]) / len(times_ms))


def _steps(times_ms: Sequence[float | None]) -> list[float]:
    """Return |rtt(i) - rtt(i+1)| for consecutive probes that were both answered."""
    return [
        abs(second - first)
        for first, second in itertools.pairwise(times_ms)
        if first is not None and second is not None
    ]


def jitter(times_ms: Sequence[float | None]) -> float | None:
    """Return the mean difference of consecutive round-trip times, in order of sending."""
    steps = _steps(times_ms)
    return math.fsum(steps) / len(steps) if steps else None


def jitter_rfc3550(times_ms: Sequence[float | None]) -> float | None:
    """Return the smoothed estimate J += (|D| - J) / 16 of RFC 3550, section 6.4.1."""
    steps = _steps(times_ms)
    if not steps:
        return None
    estimate = 0.0
    for step in steps:
        estimate += (step - estimate) / RFC3550_GAIN
    return estimate


def pdv_p95(times_ms: Sequence[float]) -> float | None:
    """Return the 95th percentile above the minimum (packet delay variation, RFC 5481)."""
    if len(times_ms) < _MIN_REPLIES:
        return None
    return percentile(times_ms, 0.95) - min(times_ms)


def mos(rtt_avg_ms: float, jitter_ms: float, loss: float) -> float:
    """Return the mean opinion score (1..4.5) as VoIP administrators estimate it from a ping.

    A simplified E-model (ITU-T G.107): latency is half the round trip, since a ping knows no
    one-way delay; jitter counts twice and 10 ms stand for the codec.
    """
    effective = rtt_avg_ms / 2 + 2 * jitter_ms + 10
    slow = 160  # ms; beyond it delay hurts conversation much more
    rating = 93.2 - (effective / 40 if effective < slow else (effective - 120) / 10)
    rating = max(rating - 2.5 * loss * 100, 0.0)
    score = 1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating)
    return max(score, 1.0)
