"""Which interfaces are watched, and what a new epoch of one says of the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.detector.windows import at, window

from monitorpi_detector.interfaces import WatchedInterfaces


@pytest.mark.parametrize("length_s", [1.0, 5.0])
@pytest.mark.parametrize(
    ("later_s", "step_s"),
    [(0.0, 0.0), (2.0, 0.0), (2.5, 2.5), (-2.0, 0.0), (-2.5, -2.5), (3600.0, 3600.0)],
)
def test_a_new_epoch_begins_where_the_old_one_ended(
    length_s: float, later_s: float, step_s: float
) -> None:
    """A window that ends by more than its own length later, or earlier, tells of a clock."""
    watched = WatchedInterfaces()
    watched.take(window(10, interface="eth0"), None)
    watched.take(window(10, interface="eth1"), None)
    ended = watched["eth0"].end
    other = watched["eth1"].end

    begun = (ended - at(0)).total_seconds() + later_s
    new = watched.take(window(0, epoch="e2", length_s=length_s).model_copy(
        update={"end": at(begun + length_s)}), ended)  # fmt: skip

    assert new is not None
    assert new.step == timedelta(seconds=step_s)
    assert watched["eth1"].end == other + timedelta(seconds=step_s)
    assert watched["eth0"].end == at(begun + length_s)
    assert watched["eth0"].first_s == at(begun + length_s).timestamp()
