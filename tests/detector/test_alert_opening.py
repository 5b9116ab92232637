"""What opens an alert: levels, windows and their lengths."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.detector.floods import KEY, flood, quiet
from tests.detector.windows import (
    ATTACKER,
    START,
    Detector,
    at,
    device,
    echoes,
    syns,
    window,
)


@pytest.mark.parametrize(
    ("counts", "opens_after"),
    [
        ([99, 99], None),
        ([100, 100], 2),
        ([100, 0, 100], 3),
        ([100, 0, 0, 100], None),
        ([174], None),
        ([175], 1),
        ([20, 200], 2),
        ([0, 150, 150], 3),
    ],
)
def test_one_strong_window_or_two_of_three_raise(
    counts: list[int], opens_after: int | None
) -> None:
    """A flood near twice the floor opens at once, else when two of three windows reach it."""
    detector = Detector()
    opened = None

    for second, count in enumerate(counts):
        if detector.take(window(second, *([syns(count)] if count else []))):
            opened = opened or second + 1

    assert opens_after == opened


def test_a_partial_window_uses_its_counts() -> None:
    """A window of 50 ms with 20 echo requests is 20, not 400 a second; 500 of them are a flood."""
    detector = Detector()

    weak = detector.take(window(0, echoes(20), length_s=0.05))
    strong = detector.take(window(1, echoes(500), length_s=0.25))

    assert weak == []
    assert [alert.evidence.value for alert in strong] == [500.0]


def test_a_long_window_is_a_rate() -> None:
    """A window of ten seconds with 490 SYNs is 49 a second: below every level that raises."""
    detector = Detector()

    assert detector.take(*[window(10 * n, syns(490), length_s=10.0) for n in range(3)]) == []


def test_what_stays_below_the_threshold_adds_up() -> None:
    """A flood that hides at nine tenths of the threshold is found by the sum over time (CUSUM)."""
    detector = Detector()

    flood(detector, 0, 30, count=90)

    assert KEY in detector.open()
    assert at(5) < detector.open()[KEY].opened_at < at(12)


def test_at_most_32_alerts_are_open_and_one_counts_the_rest() -> None:
    """Beyond 32 open alerts of a rule a summary alert counts the further subjects."""
    detector = Detector()
    rows = [
        syns(1000, f"04:00:00:00:02:{n:02x}", peer=f"04:00:00:00:03:{n:02x}", ip=f"198.18.3.{n}")
        for n in range(50)
    ]

    for second in range(12):
        detector.take(window(second, *rows))

    keys = detector.open()
    assert len(keys) == 33
    assert keys["syn-flood-others"].evidence.value == 18
    quiet(detector, 12, 40)
    assert detector.open() == {}


def test_severity_rises_with_the_excess() -> None:
    """A flood at three times its threshold is a warning, at ten times critical; it never falls."""
    detector = Detector()

    flood(detector, 0, 2, count=300)
    flood(detector, 2, 4, count=1500)
    flood(detector, 4, 20, count=150)

    assert [one.severity for one in detector.alerts] == ["warning", "critical", "critical"]
    assert detector.alerts[-1].evidence.peak == 1500


def test_every_alert_says_over_which_time_it_measured() -> None:
    """The one sentence names source, destination, rate, interval and threshold."""
    detector = Detector()
    detector.take(device(ATTACKER, 0, "198.18.0.10"))

    published = detector.take(window(0, syns(1000), kernel_drops=7))

    assert published[0].summary == (
        "SYN flood from 04:00:00:00:00:0a to 198.18.0.11 port 80 (04:00:00:00:00:0b): 1000 SYN/s "
        "over 1 s (threshold 100), 0% answered; 7 frames lost in the sensor"
    )
    assert published[0].evidence.sources[0].ip == "198.18.0.10"
    assert published[0].opened_at == START + timedelta(seconds=1)
