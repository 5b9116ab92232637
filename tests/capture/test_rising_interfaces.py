"""Onsets of the interfaces of an engine: whose they are, and what is published."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.capture.test_rising import LOOK_S
from tests.capture.windows import counts, mac, window

from monitorpi_capture.count.onset import Onsets
from monitorpi_capture.items import COLUMN, FloodSums, MacCounts, flood_sums


def test_each_interface_rings_by_itself() -> None:
    """The next look is due when the most restless one wants it."""
    onsets = Onsets()
    assert onsets.pause_s == 0.05
    assert onsets.rings_after == {}

    for at_s, count in ((0.0, 0), (0.02, 45), (0.04, 87)):
        assert onsets.look(at_s, {"a": FloodSums(), "b": FloodSums(icmp_echo=count)}) == []

    assert onsets.pause_s == 0.015
    assert onsets.rings_after is None
    assert onsets.look(0.06, {"a": FloodSums(), "b": FloodSums(icmp_echo=120)}) == ["b"]


def begun(sent: int) -> MacCounts:
    """Return the row of who sends echo requests."""
    return MacCounts(mac(1), counts(packets=sent, icmp_echo=sent), ())


def test_a_flood_of_the_running_window_is_published_alone() -> None:
    """What the window before held is told no second time."""
    onsets = Onsets()
    quiet = window(10, MacCounts(mac(1), counts(packets=9), ()))
    assert onsets.close(10.0, quiet) == 0
    for n in range(20):
        onsets.look(10.5 + n * LOOK_S, {"eth0": FloodSums(icmp_echo=n * 20)})
    running = window(10.8125, begun(400), length_s=0.8125)

    found = onsets.counts(10.8125, running)

    assert found.window == replace(running, late_syn=0)
    assert found.rise_s == pytest.approx(0.3125, abs=0.01)
    assert found.before == FloodSums()


def test_a_flood_that_began_in_the_window_before_is_published_with_it() -> None:
    """Both windows are one then, from the start of the first."""
    onsets = Onsets()
    onsets.close(9.0, window(9))
    for n in range(16):
        onsets.look(9.75 + n * LOOK_S, {"eth0": FloodSums(icmp_echo=n * 20)})
    last = window(10, begun(320))
    onsets.close(10.0, last)
    onsets.look(10.02, {"eth0": FloodSums(icmp_echo=25)})
    running = window(10.02, begun(25), length_s=0.02)

    found = onsets.counts(10.02, running)

    assert (found.window.start, found.window.end) == (last.start, running.end)
    assert found.window.length_s == pytest.approx(1.02)
    assert flood_sums(found.window.wire) == FloodSums(icmp_echo=345)
    assert [row.tx[COLUMN["icmp_echo"]] for row in found.window.rows] == [345]
    assert found.rise_s == pytest.approx(0.27, abs=0.01)


def test_a_rise_is_never_of_no_time() -> None:
    """Rates are made of it: it is four milliseconds at least."""
    onsets = Onsets()
    for at_s, count in ((0.0, 0), (0.001, 3000), (0.002, 6000)):
        onsets.look(at_s, {"eth0": FloodSums(syn=count)})

    assert onsets.counts(0.002, window(0.002, length_s=0.002)).rise_s == 0.004
