"""A flood and what follows it, window by window."""

from __future__ import annotations

from tests.detector.windows import (
    Detector,
    syns,
    window,
)

KEY = "syn-flood-04000000000a"


def flood(
    detector: Detector, first: int, last: int, count: int = 1000, *, epoch: str = "e1"
) -> None:
    """Hand in windows of a flood, from one second to another."""
    for second in range(first, last):
        detector.take(window(second, syns(count), epoch=epoch))


def quiet(detector: Detector, first: int, last: int) -> None:
    """Hand in windows in which nothing happens."""
    for second in range(first, last):
        detector.take(window(second))
