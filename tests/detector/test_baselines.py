"""What is usual, and what all rules have in common."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.detector.windows import (
    ATTACKER,
    ID,
    Detector,
    answer,
    at,
    echoes,
    probe,
    syns,
    window,
)

from monitorpi_detector.baseline import MATURE_S, Baseline
from monitorpi_detector.rules import RULES


def test_a_device_that_always_pings_has_a_higher_threshold() -> None:
    """After some hours the threshold follows what is usual for a device, frozen while it floods."""
    detector = Detector()
    for second in range(3 * 3600):
        detector.take(window(second, echoes(40)))
    key = f"icmp-flood-{ID}"
    assert detector.open() == {}

    for second in range(3 * 3600, 3 * 3600 + 10):
        detector.take(window(second, echoes(90)))
    assert detector.open() == {}
    for second in range(3 * 3600 + 10, 3 * 3600 + 200):
        detector.take(window(second, echoes(1000)))

    alert = detector.open()[key]
    assert alert.evidence.baseline == pytest.approx(40, abs=5)
    assert alert.evidence.threshold == pytest.approx(4 * 40, abs=20)


def test_an_open_alert_freezes_the_baseline_in_both_directions() -> None:
    """While an alert is open neither its low values nor its length change what is usual."""
    detector = Detector()
    detector.core._learning.devices.restore({ATTACKER: {"icmp_echo": (20.0, 9999.0)}}, 0.0)
    for second in range(3600):
        # over the close level of the threshold of 80, below the floor of 50 for learning
        detector.take(window(second, echoes(1000 if second < 5 else 45)))
    assert list(detector.open()) == [f"icmp-flood-{ID}"]

    for second in range(3600, 3630):
        detector.take(window(second, echoes(20)))
    usual = detector.core._learning.devices.of(ATTACKER, "icmp_echo", 0.0)

    assert detector.open() == {}
    assert usual == pytest.approx(20.0, abs=0.5)


def test_a_floods_victim_keeps_its_usual_delay() -> None:
    """Rounds that overlap a flood teach nothing of its victim."""
    detector = Detector()
    detector.take(*[probe(60 * n, answer()) for n in range(1, 20)])
    for second in range(1200, 1800):
        detector.take(window(second, syns(1000)))
        if second % 60 == 0:
            detector.take(probe(second, answer(rtt_p50_ms=90.0)))

    usual = detector.core._learning.targets.of("198.18.0.11", "rtt_ms", 0.0)

    assert usual == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("away_s", [90_000, 90 * 86400])
def test_time_that_nobody_watched_is_no_silence(away_s: int) -> None:
    """A night without power, or a clock that is set at last, leaves what is usual as it was."""
    detector = Detector()
    detector.core._learning.devices.restore({ATTACKER: {"icmp_echo": (40.0, 9999.0)}}, 0.0)
    detector.take(*[window(second, echoes(40)) for second in range(30)])

    for second in range(away_s, away_s + 30):
        detector.take(window(second, echoes(40), epoch="e2"))

    assert detector.core._learning.devices.of(ATTACKER, "icmp_echo", 0.0) == pytest.approx(
        40, abs=1
    )


def test_a_baseline_speaks_only_when_it_has_watched_long_enough() -> None:
    """A new device uses the mean of the LAN's, and nothing where there is none."""
    baseline = Baseline()
    assert baseline.of("a", "syn", 0.0) is None

    for step in range(1, int(MATURE_S) + 2):
        baseline.learn("a", [("syn", 8.0)], 1.0, float(step))

    now_s = MATURE_S + 100
    assert baseline.of("a", "syn", now_s) == baseline.of("new", "syn", now_s)
    again = Baseline()
    again.restore(baseline.saved(), now_s)
    assert again.of("a", "syn", now_s) == pytest.approx(baseline.of("a", "syn", now_s), abs=0.001)


def test_every_rule_has_sane_limits_and_a_name_for_topics() -> None:
    """Every rule can be raised, closed and named."""
    for name, rule in RULES.items():
        limits = rule.defaults
        assert name == rule.name
        assert limits.raise_m <= limits.raise_n
        assert 0 < limits.close_ratio <= 1
        assert limits.quiet_s > 0
    assert len(RULES) >= 16 + 22


def test_time_of_the_day_is_not_needed() -> None:
    """Windows an hour apart are no gap that brings two weak windows together."""
    detector = Detector()

    for hour in range(10):
        one = window(hour * 3600, syns(120))
        detector.take(one.model_copy(update={"end": one.end + timedelta(milliseconds=1)}))

    assert detector.alerts == []
    assert at(0) < at(1)
