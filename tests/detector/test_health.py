"""What the detector says of itself, and how well a target's line answered of late."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.windows import VICTIM, Detector, device, plain, syns, window

from monitorpi_detector.interfaces import MAX_LOST
from monitorpi_detector.targets.line import TargetLine


def test_health_counts_what_was_seen_and_what_was_lost() -> None:
    """Windows, those that never came, alerts by rule, and subjects beyond the limit."""
    detector = Detector()
    rows = [
        syns(1000, f"04:00:00:00:02:{n:02x}", peer=f"04:00:00:00:03:{n:02x}", ip=f"198.18.3.{n}")
        for n in range(50)
    ]
    before: Any = detector.core.detail()
    assert (before["windows_total"], before["windows_lost_total"], before["open_alerts"]) == (
        0, 0, 0)  # fmt: skip
    assert (before["opened_total"], before["beyond_limit_total"], before["open"]) == (0, 0, {})

    for second in (0, 1, 2, 6):
        detector.take(window(second, *rows))

    detail: Any = detector.core.detail()
    assert (detail["windows_total"], detail["windows_lost_total"]) == (4, 3)
    assert list(detail["interfaces"].values()) == [
        {"sees_replies": detail["interfaces"]["eth0"]["sees_replies"], "lost": 3}]  # fmt: skip
    assert detail["open"]["syn-flood"] == detail["open_alerts"] == 33
    assert detail["opened_total"] == 33
    assert detail["beyond_limit_total"] >= 18
    assert detail["beyond_limit_total"] % 18 == 0


def test_windows_that_never_came_are_counted_on_each_interface() -> None:
    """The total is their sum; a number that jumps by more than a day's windows says nothing."""
    detector = Detector()
    for number in (0, 3, 3 + MAX_LOST):
        detector.take(window(number), window(number, interface="eth1"))
    lost = 2 + MAX_LOST - 1
    assert detector.core.detail()["windows_lost_total"] == 2 * lost

    far = 3 + 2 * MAX_LOST + 1
    detector.take(window(far), window(far + 1, interface="eth1"))

    detail: Any = detector.core.detail()
    assert {name: one["lost"] for name, one in detail["interfaces"].items()} == {
        "eth0": lost, "eth1": lost}  # fmt: skip
    assert detail["windows_lost_total"] == 2 * lost
    assert detail["windows_total"] == 8


def test_health_counts_whom_it_knows() -> None:
    """Devices with usual rates, and devices."""
    detector = Detector()
    detector.take(*[window(second, syns(10), plain(VICTIM, packets=1)) for second in range(20)])
    detector.take(device(VICTIM, 20, "198.18.0.11"))

    detail: Any = detector.core.detail()
    assert (detail["baselines"], detail["devices"]) == (2, 2)


@pytest.mark.parametrize(("counts", "bits"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_a_round_counts_as_so_many_bad_ones(counts: int, bits: int) -> None:
    """In a line that was well."""
    line = TargetLine()
    for number in range(64):
        line.take(0, float(number))
    assert (line.bad, line.was_well) == (0, True)

    line.take(counts, 64.0)

    assert line.bad == bits


def test_four_bad_rounds_of_eight_turn_a_line_that_was_well() -> None:
    """When the fourth came; eight good ones make it well again; silence says nothing of it."""
    line = TargetLine()
    assert (line.bad, line.was_well, line.turned_at) == (8, False, None)
    for number in range(8):
        assert not line.was_well
        line.take(0, float(number))
    for number in range(10, 13):
        line.take(1, float(number))
        assert (line.was_well, line.turned_at) == (True, None)

    line.take(None, 13.0)
    assert (line.bad, line.is_silent) == (0, True)
    line.take(1, 14.0)
    assert (line.bad, line.was_well, line.turned_at) == (4, False, 14.0)
    line.take(1, 15.0)
    assert line.turned_at == 14.0
    for number in range(20, 28):
        assert not line.was_well
        line.take(0, float(number))
    assert (line.bad, line.was_well, line.turned_at) == (0, True, None)
