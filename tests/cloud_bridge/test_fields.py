"""What each field of a channel holds, and the edges of what the core keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.corebridge import START, Bridge
from tests.cloud_bridge.test_bridge import Full

from monitorpi_cloud_bridge.core import MAX_ALERTS, MAX_UNWRITTEN
from monitorpi_cloud_bridge.mapping import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable
FIELDS = [
    ("traffic", 1, "capture/wire/+", ["totals.broadcast"], "sum", 1),
    ("traffic", 2, "capture/wire/+", ["totals.dhcp"], "sum", 1),
    ("traffic", 3, "capture/wire/+", ["totals.dns"], "sum", 1),
    ("traffic", 4, "capture/wire/+", ["totals.arp"], "sum", 1),
    ("traffic", 5, "capture/wire/+", ["totals.icmp"], "sum", 1),
    ("traffic", 6, "capture/wire/+", ["totals.igmp"], "sum", 1),
    ("traffic", 7, "capture/wire/+", ["totals.syn"], "sum", 1),
    ("traffic", 8, "capture/wire/+", ["totals.http", "totals.https"], "sum", 1),
    ("health", 1, "prober/probe/+", "targets[state=up].#", "last", 1),
    ("health", 2, "prober/probe/+", "targets[].rtt_avg_ms", "mean", 1),
    ("health", 3, "prober/probe/+", "targets[].rtt_p95_ms", "max", 1),
    ("health", 4, "prober/probe/+", "targets[].jitter_ms", "mean", 1),
    ("health", 5, "prober/probe/+", "targets[state=up].loss_ratio", "mean", 100),
    ("health", 6, "capture/wire/+", "totals.bytes", "rate", 8e-6),
    ("health", 7, "capture/wire/+", "kernel_drops", "sum", 1),
    ("health", 8, "detector/health/+", "detail.open_alerts", "last", 1),
]


def test_a_field_goes_on_to_hold_what_it_held() -> None:
    """A channel is years of history: a number that moves or another unit spoils it."""
    found = [(one.channel, one.field, one.topic, one.path, one.aggregate, one.scale)
             for one in DEFAULTS]  # fmt: skip

    assert [(*one[:3], list(one[3]) if not isinstance(one[3], str) else one[3], *one[4:])
            for one in found] == FIELDS  # fmt: skip


def test_alerts_that_find_no_room_on_disk_are_bounded(bridge: Callable[..., Bridge]) -> None:
    """512 wait; then they are told as far as the quota goes."""
    one = bridge()
    store = Full()
    one.core.store = store
    one.tick(START, 100.0)
    for number in range(600):
        one.alert("open", f"syn-flood-{number}", number)

    assert len(one.core._unreported) == MAX_ALERTS == 512
    store.full = False
    one.tick(START + 1, 101.0)

    assert len(store.rows) == 64
    assert one.core._unreported == {}
    assert one.core.detail()["alerts_passed_over_total"] == 512 - 64


def test_rows_that_find_no_room_on_disk_are_bounded(bridge: Callable[..., Bridge]) -> None:
    """The newest thousand wait, and what was lost is counted."""
    one = bridge()
    store = Full()
    one.core.store = store
    for number in range(1003):
        one.window(START + 20 * number + 1, 1, number + 1)
        one.tick(START + 20 * number + 23, 100.0 + 20 * number)

    detail = one.core.detail()
    assert (detail["unwritten"], MAX_UNWRITTEN) == (1000, 1000)
    store.full = False
    one.tick(START + 20 * 1003 + 23, 100.0 + 20 * 1003)
    assert next(row.second for row in store.rows) == START + 20 * 4


@pytest.mark.parametrize(("step_s", "shifts"), [(0.5, []), (-0.5, []), (0.75, [0.75]),
                                                (-0.75, [-0.75])])  # fmt: skip
def test_half_a_second_is_no_step_of_the_clock(
    bridge: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch, step_s: float,
    shifts: list[float],
) -> None:  # fmt: skip
    """While it is not set, what is held moves with a real step only."""
    one = bridge()
    seen: list[float] = []
    monkeypatch.setattr(type(one.core.builder), "shift", lambda _, by_s: seen.append(by_s))

    one.tick(START, 100.0, synced=False)
    one.tick(START + 1 + step_s, 101.0, synced=False)

    assert seen == shifts
