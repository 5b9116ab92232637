"""One event seen twice is one alert: interfaces, sources, side effects."""

from __future__ import annotations

from tests.detector.floods import KEY, flood
from tests.detector.windows import (
    ATTACKER,
    VICTIM,
    Detector,
    echoes,
    plain,
    probe,
    syns,
    window,
)

from monitorpi_common.messages import (
    Copies,
    ProbeResult,
)


def test_a_window_that_is_delivered_twice_counts_once() -> None:
    """Quality of service 1 may repeat a message: two of three windows must be two windows."""
    detector = Detector()

    assert detector.take(*[window(0, syns(150))] * 3) == []


def test_two_interfaces_that_see_one_attacker_tell_of_it_once() -> None:
    """A flood that two interfaces both show is one alert with one rate, until both are quiet."""
    detector = Detector()
    both = Copies(elsewhere=0.5)
    for second in range(5):
        detector.take(
            window(second, syns(500), copies=both),
            window(second, syns(480), interface="eth1", copies=both),
        )
    for second in range(5, 40):
        detector.take(window(second), window(second, syns(480), interface="eth1"))

    assert {KEY} == set(detector.open())
    assert detector.open()[KEY].evidence.peak == 500
    assert len({one.id for one in detector.alerts}) == 1


def test_the_interface_that_sees_more_is_believed() -> None:
    """Of one moment an alert tells the higher rate, whichever interface comes last."""
    detector = Detector()
    both = Copies(elsewhere=0.5)
    for second in range(40):
        rows = [[syns(500)], [syns(480)]] if second < 5 else [[], []]
        detector.take(
            window(second, *rows[0], copies=both),
            window(second, *rows[1], interface="eth1", copies=both),
        )

    assert (detector.alerts[-1].state, detector.alerts[-1].evidence.value) == ("closed", 500)


def test_halves_on_two_interfaces_add_up() -> None:
    """Half a flood on each of two mirror ports is a flood, reported once, of the whole rate."""
    detector = Detector()
    for second in range(5):
        detector.take(window(second, syns(80)), window(second, syns(70), interface="eth1"))

    assert {KEY} == set(detector.open())
    assert detector.open()[KEY].evidence.value == 150


def test_what_two_interfaces_both_show_does_not_add_up() -> None:
    """Half a flood that two taps both show is half a flood."""
    detector = Detector()
    both = Copies(elsewhere=0.5)
    for second in range(5):
        detector.take(
            window(second, syns(80), copies=both),
            window(second, syns(80), interface="eth1", copies=both),
        )

    assert detector.alerts == []


def test_three_sources_of_one_victim_are_one_attack() -> None:
    """Three or more sources with the same busiest destination make the victim the subject."""
    detector = Detector()
    macs = [f"04:00:00:00:01:{n:02x}" for n in range(50)]

    published = detector.take(window(0, *[syns(20, mac) for mac in macs]))

    assert [one.key for one in published] == ["syn-flood-victim-04000000000b"]
    assert len(published[0].evidence.sources) == 32
    assert published[0].evidence.victims[0].mac == VICTIM


def test_a_victims_alert_replaces_the_first_attackers() -> None:
    """When more sources join, the attacker's alert closes as replaced by the victim's."""
    detector = Detector()
    macs = [ATTACKER, *[f"04:00:00:00:01:{n:02x}" for n in range(5)]]
    flood(detector, 0, 3)
    for second in range(3, 8):
        detector.take(window(second, *[syns(1000, mac) for mac in macs]))

    assert {"syn-flood-victim-04000000000b"} == set(detector.open())
    assert "replaced" in {one.close_reason for one in detector.alerts}


def test_what_a_device_explains_is_not_told_of_the_wire() -> None:
    """Only what no source explains has the wire as its subject."""
    with_source = Detector().take(window(0, syns(1000)))
    nobody = Detector().take(window(0, counts={"syn": 1000, "tcp": 1000}))

    assert [one.key for one in with_source] == [KEY]
    assert [one.key for one in nobody] == ["syn-flood-wire-eth0"]


# --- side effects ---------------------------------------------------------------------------------


def test_side_effects_of_a_flood_are_linked() -> None:
    """A surge at the victim of an open flood names the flood as its cause and is only info."""
    detector = Detector()
    for second in range(5):
        victim = plain(VICTIM, rx={"syn": 9000, "tcp": 9000}, packets=9000, rst=9000, tcp=9000)
        detector.take(window(second, syns(9000), victim))

    surge = detector.open()["surge-rst-04000000000b"]
    assert (surge.caused_by, surge.severity) == (KEY, "info")
    assert len(detector.open()) == 2


def test_an_effect_that_is_told_of_first_is_linked_when_its_flood_is() -> None:
    """A device that is down a moment before its flood is known is told of anew, with its cause."""
    detector = Detector()
    up = ProbeResult(
        name="x", address="198.18.0.11", mac=VICTIM, origin="configured", state="up", sent=1,
        received=1,
    )  # fmt: skip
    detector.take(probe(1, up), window(0), probe(3, up.model_copy(update={"state": "down"})))
    before = detector.open()["device-down-198-18-0-11"]

    detector.take(window(4, syns(1000)))

    after = detector.open()["device-down-198-18-0-11"]
    assert (before.severity, before.caused_by) == ("warning", None)
    assert (after.severity, after.caused_by) == ("info", KEY)


def test_a_flood_is_not_told_twice_of_its_source() -> None:
    """The frames of a flood, counted under another name too, open no second alert."""
    detector = Detector()

    for second in range(10):
        detector.take(window(second, echoes(100_000)))

    assert list(detector.open()) == ["icmp-flood-04000000000a"]
