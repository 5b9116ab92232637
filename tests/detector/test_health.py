"""What the detector says of itself, and how well a target's line answered of late."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.windows import Detector, syns, window

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
