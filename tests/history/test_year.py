"""A year with a clock that runs as fast as it is lived: the budget holds, and so do the tiers."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest
from tests.history.world import NOON, World, mac

from monitorpi_common.log import Log
from monitorpi_common.messages import CLASSES
from monitorpi_history.items import COVERED, DAY_S, HOUR_S, Batch, Columns, Series, Stretch
from monitorpi_history.sinks.archive import RESERVE_BYTES, Archive

if TYPE_CHECKING:
    from pathlib import Path

BUDGET = RESERVE_BYTES + 8_000_000
DEVICES = 4
SLOTS = 360
LOG_BYTES = 10_000_000
"""The log beside the file: copied each 8 MB, and larger while an hour is written."""


class Year:
    """A small site, an hour at a time."""

    def __init__(self, folder: Path, days: int) -> None:
        self.file = folder / "history.sqlite"
        self.begin = int(NOON.timestamp()) // DAY_S * 24
        self.days = days
        self.chance = random.Random(days)  # noqa: S311 - the same each time
        self.pool = [[self.chance.randrange(200) for _ in range(SLOTS)] for _ in range(40)]
        self.largest = 0
        self.archive = self.open()

    def open(self) -> Archive:
        """Begin, or begin again."""
        archive = Archive(self.file, BUDGET, None, Log("history", "error"))
        assert archive.open() is None
        return archive

    def stretch(self, hour: int) -> Stretch:
        """Return what is counted in an hour."""
        wire: Columns = {COVERED: [10_000] * SLOTS, "packets": self.chance.choice(self.pool)}
        series: dict[Series, Columns] = {Series("wire", "eth0"): wire}
        for device in range(DEVICES):
            series[Series("device", "eth0", mac(device))] = {
                f"tx_{name}": self.chance.choice(self.pool) for name in CLASSES[:6]
            }
        return Stretch(hour, 0, SLOTS, series)

    def live(self) -> None:
        """Live all days; twice a year the power goes."""
        for hour in range(self.begin, self.begin + 24 * self.days):
            assert self.archive.save(Batch([self.stretch(hour)])) is None
            now_s = (hour + 1) * HOUR_S + 150
            while self.archive.work(now_s, is_set=True):
                pass
            self.archive.work(now_s, is_set=True)
            if hour % 24 == 0:
                self.largest = max(self.largest, self.size())
            if hour % 4000 == 0:
                self.archive = self.open()

    @property
    def end_s(self) -> int:
        """When it ends."""
        return (self.begin + 24 * self.days) * HOUR_S

    def size(self) -> int:
        """Return what it takes on the disk now."""
        return sum(one.stat().st_size for one in self.file.parent.glob("history.sqlite*"))


def asked_s(world: World, **asked: str) -> float:
    """Return how long a question takes, at best."""
    took = []
    for _ in range(9):
        begin = time.perf_counter()
        world.ask("traffic", mac=mac(1), **asked)
        took.append(time.perf_counter() - begin)
    return min(took)


def sent(world: World, step: str) -> int:
    """Return all that a device sent in the last ten days, of every class."""
    found = json.loads(world.ask("traffic", mac=mac(1), from_="-10d", step=step))["series"]
    (one,) = [series for series in found if series["kind"] == "device"]
    return sum(sum(values) for values in one["columns"].values())


def test_days_add_up(tmp_path: Path) -> None:
    """The sums of the last ten days are the same by minutes and by hours."""
    lived = Year(tmp_path, 11)
    lived.live()
    lived.archive.close()
    world = World(tmp_path)
    world.now = NOON.fromtimestamp(lived.end_s, NOON.tzinfo)

    assert sent(world, "60") == sent(world, "3600") > 0


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_a_year(tmp_path: Path) -> None:
    """The file stays within its budget, each tier reaches as far as its goal's share, answers stay.

    The sums of the last ten days are the same by minutes and by hours.
    """
    month, year = Year(tmp_path / "month", 32), Year(tmp_path / "year", 365)
    month.live()
    year.live()

    assert year.largest <= BUDGET + LOG_BYTES
    state = year.archive.state(year.end_s)
    tiers = state["tiers"]
    assert isinstance(tiers, dict)
    reach_s = {step: int(one["reaches_s"]) for step, one in tiers.items()}  # type: ignore[index,call-overload,arg-type]
    shares = [reach_s["10"] / DAY_S, reach_s["60"] / (30 * DAY_S)]
    assert reach_s["3600"] >= 364 * DAY_S
    assert max(shares) / min(shares) < 1.2
    assert min(shares) > 0.8

    worlds = []
    for one in (month, year):
        one.archive.close()
        world = World(one.file.parent)
        world.now = NOON.fromtimestamp(one.end_s, NOON.tzinfo)
        worlds.append(world)
    for asked in ({"from_": "-30d"}, {"from_": "-20d", "step": "3600"}):
        assert asked_s(worlds[1], **asked) < 2 * asked_s(worlds[0], **asked) + 0.005
    assert sent(worlds[1], "60") == sent(worlds[1], "3600") > 0
