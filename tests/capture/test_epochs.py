"""Epochs and numbers: when a count begins anew."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.capture.windows import BOOT, SENDER, core, traffic, window

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.messages import Reset
from monitorpi_common.service import CommandReceived, Tick


def test_totals_and_numbers_run_within_an_epoch() -> None:
    """A lost message loses no count: the next one's totals hold it."""
    one = core()

    messages = [traffic(one.handle(window(second, SENDER))) for second in (1, 2, 3)]

    assert [message.seq for message in messages] == [0, 1, 2]
    assert [message.totals["syn"] for message in messages] == [30, 60, 90]
    assert [message.new_macs for message in messages] == [1, 0, 0]


def test_each_interface_has_its_own_numbers() -> None:
    """Two interfaces count apart and have ids of the topics' alphabet."""
    one = core()
    one.handle(window(1, SENDER))

    said, _ = one.handle(window(1, SENDER, interface="eth0.100"))

    assert said.id == "eth0-100"
    assert traffic([said]).seq == 0


@pytest.mark.parametrize("step", [0.6, -0.6, 1e6, -3600.0])
def test_a_step_of_the_wall_clock_begins_an_epoch(step: float) -> None:
    """Totals never span a step; the windows themselves go on."""
    one = core()
    list(one.handle(window(1, SENDER)))

    before = traffic(one.handle(window(2, SENDER, step=0.4)))
    after = traffic(one.handle(window(3, SENDER, step=0.4 + step)))
    later = traffic(one.handle(window(4, SENDER, step=0.4 + step)))

    assert (before.epoch, before.seq) == ("e", 1)
    assert (after.epoch, after.seq, after.totals["syn"]) == ("e-1", 0, 30)
    assert (later.epoch, later.seq, later.totals["syn"]) == ("e-1", 1, 60)


def test_two_interfaces_share_one_step() -> None:
    """A step seen by several interfaces is one new epoch."""
    one = core()
    for name in ("eth0", "eth1"):
        list(one.handle(window(1, SENDER, interface=name)))

    found = [
        traffic(one.handle(window(2, SENDER, interface=name, step=9))) for name in ("eth0", "eth1")
    ]

    assert [message.epoch for message in found] == ["e-1", "e-1"]


def test_a_file_whose_times_go_back_begins_an_epoch_and_a_gap_does_not() -> None:
    """Two captures in one file are told apart; hours of silence are not a step."""
    one = CaptureCore("e", CaptureSettings())

    found = [
        traffic(one.handle(window(second, SENDER, live=False))).epoch
        for second in (10, 11, 5000, 20, 21)
    ]

    assert found == ["e", "e", "e", "e-1", "e-1"]


def test_reset_begins_an_epoch() -> None:
    """A person may start the totals anew."""
    one = core()
    list(one.handle(window(1, SENDER)))

    said = list(one.handle(CommandReceived("reset", Reset(), "1")))
    message = traffic(one.handle(window(2, SENDER)))

    assert said == []
    assert (message.epoch, message.seq, message.totals["syn"], message.new_macs) == (
        "e-1",
        0,
        30,
        1,
    )


def test_the_clock_is_as_trusted_as_the_last_tick_says() -> None:
    """``clock_synced`` stands in each message."""
    one = core()

    before = traffic(one.handle(window(1, SENDER)))
    list(one.handle(Tick(datetime.fromtimestamp(1, UTC), BOOT, clock_synced=True)))
    after = traffic(one.handle(window(2, SENDER)))

    assert (before.clock_synced, after.clock_synced) == (False, True)
