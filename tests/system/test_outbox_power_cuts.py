"""The power goes while an outbox is written: what the disk holds then is whole and in order.

What the kernel writes back within half a minute a test hands to the disk by hand, at moments of
chance; whatever was written before such a moment must be there after a cut.
"""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING, Final, Protocol

import pytest
from tests.disks import make_disk, mounted
from tests.notifier.test_folding import change

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_notifier.items import Letter, ReportedAlert
from monitorpi_notifier.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LANE: Final = "thingspeak/traffic"
BEGAN: Final = 1_800_000_000


class Writer(Protocol):
    """What writes an outbox, and knows what it has written."""

    def live(self, steps: int) -> None:
        """Write so many things."""

    def is_handed_on(self) -> None:
        """Note that all so far is on the disk."""

    def check(self, folder: Path) -> None:
        """Compare what a disk holds with what was written."""

    def close(self) -> None:
        """End."""


class Rows:
    """A cloud bridge: rows come, some are sent, some of those are seen at the cloud."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.outbox = RowOutbox(folder / "outbox.sqlite")
        self.chance = chance
        self.written = 0
        self.surely = 0

    def live(self, steps: int) -> None:
        """Write so many rows."""
        for _ in range(steps):
            self.written += 1
            row = OutboxRow(LANE, BEGAN + self.written, {"field1": str(self.written)})
            self.outbox.add([row], {"newest": self.written})
            if self.chance.random() < 0.3:
                sent = [one.second for one in self.outbox.take(LANE, 14)]
                there = [one for one in sent if self.chance.random() < 0.9]
                self.outbox.acknowledge(LANE, there, set(sent) - set(there))

    def is_handed_on(self) -> None:
        """Note that all so far is on the disk."""
        self.surely = self.written

    def check(self, folder: Path) -> None:
        """All rows up to one are there, each as it was, and what was remembered with it."""
        again = RowOutbox(folder / "outbox.sqlite")
        with again._database.reading() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = db.execute("SELECT second, fields, state FROM row ORDER BY second").fetchall()
        newest = again.recall("newest") or 0
        waiting = {one.second for one in again.take(LANE, 10_000)}
        again.close()

        assert isinstance(newest, int)
        assert self.surely <= newest <= self.written
        seconds = [second for second, _, _ in rows]
        assert seconds == list(range(seconds[0], BEGAN + newest + 1)) if rows else not newest
        assert all(text == f'{{"field1": "{second - BEGAN}"}}' for second, text, _ in rows)
        assert waiting == {second for second, _, state in rows if state == 0}

    def close(self) -> None:
        """End."""
        self.outbox.close()


class Letters:
    """A notifier: alerts come, letters are sealed, posted, noted and closed."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.outbox = Outbox(folder / "outbox.sqlite")
        self.chance = chance
        self.written = 0
        self.surely = 0
        self.posted: set[int] = set()
        """The changes that went out; after a cut each is done, or said to be doubtful."""

    def live(self, steps: int) -> None:
        """Write so many changes."""
        for _ in range(steps):
            self.written += 1
            told = ReportedAlert(f"k{self.written}", "id", "open", "info", BEGAN + self.written)
            self.outbox.add([change(self.written)], [told])
            self.outbox.remember({"alive_at": float(self.written)})
            if self.chance.random() < 0.4:
                changes = tuple(self.outbox.waiting("phone")[: self.chance.randint(1, 3)])
                number = self.outbox.seal(Letter("phone", "t", "b", changes), 1, BEGAN)
                self.posted |= {one.id for one in changes}
                if self.chance.random() < 0.8:
                    self.outbox.close_letter(number, is_delivered=True)

    def is_handed_on(self) -> None:
        """Note that all so far is on the disk."""
        self.surely = self.written

    def check(self, folder: Path) -> None:
        """Nothing is missing in between; whatever went out is not sent again as if it were new."""
        again = Outbox(folder / "outbox.sqlite")
        with again._database.reading() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        told = [int(one.key[1:]) for one in again.reported()]
        waiting = {one.id for one in again.waiting("phone")}
        again.close()

        assert told == list(range(1, len(told) + 1))
        assert self.surely <= len(told) <= self.written
        assert not waiting & self.posted
        assert waiting >= {n for n in range(1, self.surely + 1) if n not in self.posted}

    def close(self) -> None:
        """End."""
        self.outbox.close()


@pytest.mark.parametrize("writer", [Rows, Letters])
@pytest.mark.parametrize("times", [3, pytest.param(30, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_power_cut_leaves_an_outbox_whole(
    tmp_path: Path, writer: Callable[[Path, random.Random], Writer], times: int
) -> None:
    """Whenever it goes: the file is sound, without holes, and at most the last moments are lost."""
    image = make_disk(tmp_path / "disk", 24)
    chance = random.Random(times)  # noqa: S311 - the moments are to be the same each time
    with mounted(image, tmp_path / "before") as folder:
        one = writer(folder, chance)
        try:
            for _ in range(times):
                one.live(chance.randrange(1, 200))
                if chance.random() < 0.5:
                    subprocess.run(["sync", "-f", str(folder)], check=True)
                    one.is_handed_on()
                one.live(chance.randrange(60))
                copy = tmp_path / "copy"
                copy.write_bytes(image.read_bytes())
                with mounted(copy, tmp_path / "after") as after:
                    one.check(after)
        finally:
            one.close()
