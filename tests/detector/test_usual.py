"""What has been over its limit for long is usual, and floods never are."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detector.windows import ATTACKER, Detector, answer, echoes, plain, probe, syns, window

from monitorpi_detector.alerts.usual import MARGIN, MAX_HABITS, Habit, Habits
from monitorpi_detector.rule import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 360
"""Rounds of ten seconds."""


def rounds(values: Callable[[int], dict[str, Any]], count: int, first: int = 1) -> list[Any]:
    """Build rounds of one target."""
    return [probe(10 * n, answer(**values(n))) for n in range(first, first + count)]


def wifi(seed: int, least: float = 2.0, most: float = 197.0) -> Callable[[int], dict[str, Any]]:
    """Answer as the beacons of an access point let a device that saves power."""
    rng = random.Random(seed)  # noqa: S311 - noise

    def values(_: int) -> dict[str, Any]:
        ms = [rng.uniform(least, most) for _ in range(10)]
        steps = [abs(a - b) for a, b in itertools.pairwise(ms)]
        return {"rtt_p50_ms": sorted(ms)[5], "jitter_ms": sum(steps) / len(steps)}

    return values


@pytest.mark.parametrize(
    ("rules", "values"),
    [
        ({"high-jitter"}, wifi(2, 2, 150)),
        ({"high-delay", "high-jitter"}, wifi(2)),
        ({"high-delay"}, lambda _: {"rtt_p50_ms": 600.0}),
        ({"high-loss"}, lambda _: {"received": 7, "loss_ratio": 0.3}),
    ],
)
def test_what_a_target_is_always_like_is_told_once(
    rules: set[str], values: Callable[[int], dict[str, Any]]
) -> None:
    """After an hour the alert closes as usual, and no other one opens that night."""
    detector = Detector()

    detector.take(*rounds(values, 2 * HOUR))
    closed = [alert for alert in detector.alerts if alert.close_reason == "usual"]
    detector.take(*rounds(values, 9 * HOUR, 2 * HOUR + 1))

    assert len(closed) == 1
    assert closed[0].rule in rules
    assert "is usual for it now, reported again from" in closed[0].summary
    assert len({alert.id for alert in detector.alerts}) == 1
    assert detector.open() == {}


def test_loss_is_told_in_per_cent() -> None:
    """People read a share of lost packets so; the evidence keeps the ratio."""
    detector = Detector()

    detector.take(*rounds(lambda _: {"received": 7, "loss_ratio": 0.3}, 8))

    alert = detector.open()["high-loss-198-18-0-11"]
    assert alert.summary.endswith("loses packets: 30 % (threshold 25)")
    assert (alert.evidence.value, alert.evidence.unit) == (0.3, "loss ratio")


def test_worse_than_usual_is_told_again() -> None:
    """A link that always loses three of ten and now loses six is news, half a day later."""
    detector = Detector()
    detector.take(*rounds(lambda _: {"received": 7, "loss_ratio": 0.3}, 14 * HOUR))
    assert detector.open() == {}

    detector.take(*rounds(lambda _: {"received": 4, "loss_ratio": 0.6}, 10, 14 * HOUR + 1))

    alert = detector.open()["high-loss-198-18-0-11"]
    assert alert.evidence.threshold == pytest.approx(1.5 * 0.3, rel=0.11)


def test_a_busy_resolver_is_usual() -> None:
    """700 DNS frames/s all the time: reported once, and closed after hours."""
    detector = Detector()

    for second in range(0, 4 * 3600, 10):
        detector.take(window(second, plain(ATTACKER, packets=7000, dns=7000), length_s=10))

    assert [alert.close_reason for alert in detector.alerts if alert.state == "closed"] == ["usual"]
    assert detector.open() == {}


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("syn-flood", lambda rate: syns(10 * rate)),
        ("icmp-flood", lambda rate: echoes(10 * rate)),
        ("dhcp-starvation", lambda rate: plain(ATTACKER, packets=10 * rate, dhcp=10 * rate)),
    ],
)
def test_a_ramp_cannot_lift_the_floor_of_a_flood(rule: str, row: Callable[[int], Any]) -> None:
    """One per cent a minute more from a tenth of the floor: open at the end, however long."""
    detector = Detector()
    floor = {"syn-flood": 100.0, "icmp-flood": 50.0, "dhcp-starvation": 30.0}[rule]

    rate = floor / 10
    for second in range(0, 14 * 3600, 10):
        rate *= 1.01 ** (1 / 6)
        detector.take(window(second, row(round(rate)), length_s=10))

    alert = next(one for one in detector.open().values() if one.rule == rule)
    assert alert.evidence.threshold <= 4 * floor


def test_a_ramp_of_what_may_become_usual_is_told_at_each_step() -> None:
    """DNS that grows for half a day: whenever it is half as much again as what was usual."""
    detector = Detector()

    detector.core._learning.devices.restore({ATTACKER: {"dns": (10.0, 9999.0)}}, 0.0)
    rate = 450.0
    for second in range(0, 9 * 3600, 10):
        rate *= 1.01 ** (1 / 6)
        row = plain(ATTACKER, packets=round(10 * rate), dns=round(10 * rate))
        detector.take(window(second, row, length_s=10))

    opened = {alert.id: alert.evidence.threshold for alert in detector.alerts}
    assert len(opened) >= 3


@given(st.lists(st.tuples(st.floats(0.001, 1e6), st.floats(0.1, 4000.0)), min_size=1, max_size=60))
def test_a_level_lies_between_what_was_seen(steps: list[tuple[float, float]]) -> None:
    """Never over the highest value seen by more than a class, and never lowered by less time."""
    habit, now_s = Habit(), 0.0
    for value, passed_s in steps:
        now_s += passed_s
        habit.add(value, 10.0, now_s)
        assert 0 <= habit.open_s <= now_s + 120.0
    habit.learn()

    values = [value for value, _ in steps]
    assert habit.level is not None
    assert min(values) * 0.999 <= habit.level <= max(values) * 1.1001


def test_a_level_that_is_not_reached_for_a_week_is_forgotten() -> None:
    """A device that was noisy in spring is news in autumn."""
    habits = Habits()
    finding = Finding(subject="x", value=600.0, threshold=100.0, text="x")
    while habits.add("k", 600.0, 60.0, 60.0, 60.0) is None:
        pass

    assert habits.held_against("k", finding, 61.0).threshold > MARGIN * 600
    assert habits.held_against("k", finding, 9 * 86400.0) == finding


def test_habits_are_bounded() -> None:
    """Ever new subjects fill the table once."""
    habits = Habits()
    for n in range(3 * MAX_HABITS):
        habits.add(f"k{n}", 600.0, 1.0, n / 1000, 3600.0)

    assert len(habits) <= MAX_HABITS
