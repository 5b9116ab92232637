"""The clock is set while capture runs: nobody is absent, new or gone by that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.capture.windows import BOOT, SENDER, core, traffic, window

from monitorpi_capture.items import Sighting
from monitorpi_common.messages import Device, Publication, Tombstone
from monitorpi_common.service import Tick

if TYPE_CHECKING:
    from collections.abc import Iterator

T = 1_800_000_000.0
STEPS = (-10 * 86_400.0, -86_400.0, -3600.0, 3600.0, 86_400.0, 10 * 86_400.0, 4e8)


class Rig:
    """A core, with a device that says who it is each second, and a clock that can be set."""

    def __init__(self) -> None:
        self.core = core()
        self.second = 0.0
        self.step_s = 0.0
        self.said: list[object] = []

    def pass_(self, seconds: int, *, windows: bool = True) -> None:
        """Let time pass: each second a frame, a tick, and the window that ended before it."""
        for _ in range(seconds):
            self.second += 1
            wall_s = T + self.second + self.step_s
            self._take(Sighting(SENDER.mac, wall_s, "eth0", ips=("192.0.2.7",)))
            tick = Tick(datetime.fromtimestamp(wall_s, UTC), BOOT + T + self.second,
                        clock_synced=True)  # fmt: skip
            self._take(tick)
            if windows:
                self._take(window(T + self.second, SENDER, step=self.step_s))

    def _take(self, item: object) -> None:
        self.said += self.core.handle(item)

    def devices(self) -> Iterator[Device]:
        """Yield what was said of devices."""
        for one in self.said:
            assert not isinstance(one, Tombstone)
            if isinstance(one, Publication) and isinstance(one.message, Device):
                yield one.message


def seen(device: Device, step_s: float) -> tuple[float, float, float]:
    """Return since when a device is there and has its address, by the clock before a step."""
    (held,) = device.addresses
    times = (device.first_seen, held.since, held.claimed_at)
    first, since, claimed = (round(one.timestamp() - step_s - T, 3) for one in times if one)
    return first, since, claimed


@pytest.mark.parametrize("step_s", STEPS)
def test_a_device_stays_what_it_is_whatever_the_clock_is_set_to(step_s: float) -> None:
    """Present, seen first when it was, and its address is not taken by itself."""
    rig = Rig()
    rig.pass_(70)
    before = list(rig.devices())[-1]
    rig.said.clear()

    rig.step_s = step_s
    rig.pass_(130)

    assert all(one.present for one in rig.devices())
    after = list(rig.devices())[-1]
    assert seen(after, step_s)[:2] == seen(before, 0.0)[:2]
    assert 0 <= T + rig.second + step_s - after.last_seen.timestamp() <= 61


@pytest.mark.parametrize("step_s", STEPS)
def test_a_clock_that_is_set_while_no_window_comes_is_followed(step_s: float) -> None:
    """The interface is away: a tick's clock will do, and the next window's is the same."""
    rig = Rig()
    rig.pass_(70)
    before = list(rig.devices())[-1]
    rig.step_s = step_s
    rig.pass_(30, windows=False)
    rig.said.clear()

    rig.pass_(100)

    after = list(rig.devices())[-1]
    assert after.first_seen.timestamp() - step_s == before.first_seen.timestamp()
    assert all(one.present for one in rig.devices())


@pytest.mark.parametrize("step_s", STEPS)
def test_a_window_in_which_the_clock_was_set_lasts_as_long_as_it_did(step_s: float) -> None:
    """It ends by the new clock, and begins by it, too."""
    rig = Rig()
    rig.pass_(3)
    rig.step_s = step_s

    told = traffic(rig.core.handle(window(T + 4, SENDER, step=step_s, start=window(T + 4).start)))

    assert (told.end - told.start).total_seconds() == pytest.approx(1.0, abs=0.01)
