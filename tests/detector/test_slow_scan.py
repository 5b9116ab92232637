"""Scans that stay under every window's floor, and clients that only try again."""

from __future__ import annotations

import pytest
from tests.detector.windows import ATTACKER, ID, ROUTER, START, Detector, plain, syns, window

from monitorpi_detector.minute import MAX_MACS, Minute
from monitorpi_detector.view import WindowView


def refused(count: int, **more: int) -> dict[str, int]:
    """Return what a sender of SYNs to closed ports is sent."""
    return {"packets": count, "tcp": count, "rst": count} | more


def test_ten_ports_a_second_are_a_slow_scan_within_half_a_minute() -> None:
    """395 ports of one host in 40 s are under every floor, and in vain."""
    detector = Detector()

    for second in range(40):
        detector.take(window(second, syns(10, ports=10, rx=refused(10))))

    (alert,) = detector.open().values()
    assert f"slow-scan-{ID}" == alert.key
    assert (alert.opened_at - START).total_seconds() <= 30
    assert "198.18.0.11" in alert.summary


def test_hosts_tried_slowly_are_a_slow_scan() -> None:
    """Eight hosts a second at one port, none of which answers; others' connections come to life."""
    detector = Detector()
    router = plain(ROUTER, packets=1, tcp=1, syn_ack=1).model_copy(update={"role": "router"})

    for second in range(40):
        detector.take(window(second, syns(8, ports=1, hosts=8), router))

    assert [f"slow-scan-{ID}"] == list(detector.open())


def test_a_slow_scan_closes_when_it_is_over() -> None:
    """After two minutes of quiet."""
    detector = Detector()
    for second in range(40):
        detector.take(window(second, syns(10, ports=10, rx=refused(10))))

    for second in range(40, 240):
        detector.take(window(second, plain(ROUTER, packets=5, tcp=5)))

    assert detector.open() == {}


def test_a_fast_scan_is_told_of_once() -> None:
    """By the rule that names fast ones."""
    detector = Detector()

    for second in range(30):
        detector.take(window(second, syns(100, ports=100, rx=refused(100))))

    assert [f"port-scan-{ID}"] == list(detector.open())


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(syns(2, ports=2, rx=refused(2)), id="two ports that are closed, all day"),
        pytest.param(syns(30, ports=30, hosts=30), id="peers of file sharing, one port each"),
        pytest.param(
            syns(10, ports=10, fin=10, rx={"packets": 60, "tcp": 60, "syn_ack": 10, "fin": 10}),
            id="ten services that answer",
        ),
        pytest.param(syns(8, ports=1, hosts=8), id="the uplink is away: nobody is answered"),
        pytest.param(syns(10, ports=10, role="router", rx=refused(10)), id="a router's many hosts"),
    ],
)
def test_what_is_no_slow_scan(row: object) -> None:
    """Not after two minutes of it either."""
    detector = Detector()

    for second in range(120):
        detector.take(window(second, row))  # type: ignore[arg-type]  # a row of the table above

    assert [key for key in detector.open() if key.startswith("slow-scan")] == []


def test_the_minutes_memory_is_bounded() -> None:
    """However many MAC addresses are invented."""
    detector = Detector()
    minute = detector.core._minute

    for second in range(20):
        rows = [syns(9, f"02:00:00:{second:02x}:{n >> 8:02x}:{n & 255:02x}", ports=9)
                for n in range(300)]  # fmt: skip
        detector.take(window(second, *rows))

    assert len(minute) <= MAX_MACS


def test_a_minute_forgets() -> None:
    """What was tried longer ago is no part of the sum."""
    detector = Detector()
    minute = Minute()
    view = WindowView(
        window(0, syns(9, ports=9)), detector.core._inventory, detector.core._baseline, 1000.0
    )

    minute.see(view)

    assert (minute.of(ATTACKER, 1000.0).ports, minute.of(ATTACKER, 1000.0).hosts) == (9.0, 0.0)
    assert minute.of(ATTACKER, 1055.0).ports == 9.0
    assert minute.of(ATTACKER, 1070.0).ports == 0.0
