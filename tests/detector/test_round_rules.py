"""What a prober's rounds say of targets."""

from __future__ import annotations

import pytest
from tests.detector.windows import (
    ID,
    ROUTER,
    VICTIM,
    Detector,
    answer,
    device,
    probe,
    repeated,
    syns,
    window,
)

from monitorpi_common.service import Presence
from monitorpi_common.topics import Topic


def test_a_device_that_was_up_is_told_of_when_it_is_down() -> None:
    """Down after up opens, up again closes; what never answered cannot go down."""
    detector, never = Detector(), Detector()
    down = answer(state="down", received=0, loss_ratio=1.0, rtt_p50_ms=None, jitter_ms=None)

    never.take(probe(10, down), probe(20, down))
    detector.take(probe(10, answer()), probe(20, down), probe(30, down))
    assert list(detector.open()) == ["device-down-198-18-0-11"]
    detector.take(*[probe(40 + 10 * n, answer()) for n in range(5)])

    assert never.alerts == []
    assert detector.open() == {}


def test_a_phone_that_leaves_is_not_down() -> None:
    """Private MAC addresses are of devices that come and go."""
    detector = Detector()
    phone = {"mac": "06:00:00:00:00:01"}

    detector.take(probe(10, answer(**phone)), probe(20, answer(**phone, state="down", received=0)))

    assert detector.alerts == []


def test_a_device_that_a_flood_takes_down_is_linked_to_it() -> None:
    """The victim of an open flood that goes down names the flood as the cause."""
    detector = Detector()
    detector.take(probe(1, answer()), *repeated(4, syns(1000)))

    detector.take(probe(4, answer(state="down", received=0, loss_ratio=1.0)))

    alert = detector.open()["device-down-198-18-0-11"]
    assert (alert.caused_by, alert.severity) == (f"syn-flood-{ID}", "info")


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("high-loss", {"received": 6, "loss_ratio": 0.4}),
        ("high-delay", {"rtt_p50_ms": 180.0}),
        ("high-jitter", {"jitter_ms": 60.0}),
    ],
)
def test_a_bad_line_is_told_of_when_it_lasts(rule: str, bad: dict[str, float]) -> None:
    """One bad round is nothing, several in a row open, good rounds close."""
    detector = Detector()
    detector.take(probe(10, answer()), probe(20, answer(**bad)), probe(30, answer()))
    assert detector.open() == {}

    detector.take(*[probe(40 + 10 * n, answer(**bad)) for n in range(6)])
    assert list(detector.open()) == [f"{rule}-198-18-0-11"]
    detector.take(*[probe(100 + 10 * n, answer()) for n in range(9)])

    assert detector.open() == {}


@pytest.mark.parametrize("rule", ["device-down", "high-delay"])
def test_what_a_flood_does_beyond_the_router_is_linked_by_its_address(rule: str) -> None:
    """A target without a MAC of its own on this wire is known as a victim by its address."""
    detector = Detector()
    away = {"address": "203.0.113.9", "mac": None}
    bad = {"state": "down"} if rule == "device-down" else {"rtt_p50_ms": 900.0}
    flood = syns(1000, peer=ROUTER, ip="203.0.113.9")
    detector.take(probe(1, answer(**away)), *repeated(4, flood))

    detector.take(probe(4, answer(**away | bad)))

    alert = detector.open()[f"{rule}-203-0-113-9"]
    assert (alert.caused_by, alert.severity) == (f"syn-flood-{ID}", "info")


@pytest.mark.parametrize(
    ("rule", "usual", "bad"),
    [
        ("high-loss", {"received": 8, "loss_ratio": 0.15}, {"received": 6, "loss_ratio": 0.4}),
        ("high-delay", {"rtt_p50_ms": 90.0}, {"rtt_p50_ms": 180.0}),
        ("high-jitter", {"jitter_ms": 25.0}, {"jitter_ms": 60.0}),
    ],
)
def test_a_line_that_is_always_so_is_held_against_its_own_habit(
    rule: str, usual: dict[str, float], bad: dict[str, float]
) -> None:
    """What opens an alert on a good line is less than three times what this one is used to.

    After a restart of the detector, too.
    """
    watched = Detector()
    watched.take(*[probe(60 * n, answer(**usual)) for n in range(1, 20)])
    watched.core.close()
    next_one = Detector(kept=watched.kept[-1])

    for detector, opened in (
        (Detector(), [f"{rule}-198-18-0-11"]), (watched, []), (next_one, []),
    ):  # fmt: skip
        detector.take(*[probe(1200 + 60 * n, answer(**bad)) for n in range(6)])
        assert list(detector.open()) == opened


def test_a_lost_prober_closes_what_it_told() -> None:
    """When the prober goes offline its alerts close as sensor-lost."""
    detector = Detector()
    detector.take(probe(10, answer()), probe(20, answer(state="down", received=0)))

    published = detector.take(Presence(Topic("lab", "prober", "status", "main"), online=False))

    assert [(one.state, one.close_reason) for one in published] == [("closed", "sensor-lost")]


def test_a_victims_delay_stands_in_the_alert() -> None:
    """Round-trip time, jitter and loss of a round that overlaps the flood are its evidence."""
    detector = Detector()
    detector.take(device(VICTIM, 0, "198.18.0.11"), probe(1.5, answer(rtt_avg_ms=87.5)))

    evidence = detector.take(window(1, syns(1000)))[0].evidence

    assert (evidence.victim_rtt_ms, evidence.victim_jitter_ms) == (87.5, 0.1)
    assert evidence.victim_loss_ratio == 0.0


def test_rounds_before_and_after_a_flood_say_nothing_of_it() -> None:
    """Only a round that overlaps the flood counts, also when it ends after the flood."""
    detector = Detector()
    detector.take(device(VICTIM, 0, "198.18.0.11"), probe(0.9, answer(rtt_avg_ms=1.0)))
    opened = detector.take(window(1, syns(1000)))[0]
    detector.take(window(2, syns(1000)))

    detector.take(probe(5, answer(rtt_avg_ms=87.5)), *[window(second) for second in range(3, 14)])
    detector.take(probe(14, answer(rtt_avg_ms=2.0)))
    closed = detector.take(*[window(second) for second in range(14, 25)])[-1]

    assert opened.evidence.victim_rtt_ms is None
    assert (closed.state, closed.evidence.victim_rtt_ms) == ("closed", 87.5)


def test_one_round_of_ten_probes_says_nothing_of_jitter() -> None:
    """Three replies of ten, one of them late: a sensor that saves power, and no news."""
    detector = Detector()
    usual = answer(jitter_ms=10.0)
    odd = answer(received=3, loss_ratio=0.7, jitter_ms=750.0)

    detector.take(*[probe(10 * n, odd if n % 8 == 0 else usual) for n in range(1, 400)])

    assert detector.alerts == []
