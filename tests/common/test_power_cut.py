"""The power goes below the file system: what a disk image holds at that moment is all there is.

A small ext4 on a loop device is copied, block by block, while a service writes; the copy has what
the file system has handed to its device and nothing of what waits in memory. It is mounted, its
journal played back, and a new process starts from it.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.disks import make_disk, mounted

from monitorpi_common.log import Log
from monitorpi_common.messages import Device
from monitorpi_common.recordfile import RecordFile
from monitorpi_common.retained import PAUSE_S, RetainedState
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DISK_MB = 24


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Make a small disk."""
    return make_disk(tmp_path / "disk", DISK_MB)


def device(serial: int, seconds: float) -> Device:
    """Build one device."""
    return Device(
        mac=f"02:00:00:00:{serial >> 8:02x}:{serial & 255:02x}",
        hostname="host-" + "x" * (serial % 40),
        first_seen=NOON + timedelta(seconds=serial),
        last_seen=NOON + timedelta(seconds=seconds),
        present=serial % 3 > 0,
    )


class Living:
    """A service whose clock runs as it is told, writing to a real disk."""

    def __init__(self, folder: Path) -> None:
        self.file = RecordFile(folder / "state" / "capture-main.retained", Log("capture"))
        self.state = RetainedState("lab", "capture")
        self.now_s = 0.0
        self.said: dict[str, float] = {}
        """When each device was published first."""
        records = self.file.read().records.values()
        self.useless = self.state.restore(records, 0, NOON.timestamp(), is_set=True)
        self.found = {one.topic.id: one.message for one in self.state.hand_on(0)}

    def live(self, seconds: int, publish: int) -> None:
        """Let time pass; a new device every so often, all of them each minute."""
        for _ in range(seconds):
            self.now_s += 1
            if self.now_s % publish == 0:
                self._publish(len(self.said))
            if self.now_s % 60 == 0:
                for serial in range(len(self.said)):
                    self._publish(serial)
            write = self.state.due(self.now_s, NOON.timestamp())
            if write is not None:
                self.file.write_now(write)

    def _publish(self, serial: int) -> None:
        one = device(serial, self.now_s)
        id_ = one.mac.replace(":", "")
        self.said.setdefault(id_, self.now_s)
        topic = Topic("lab", "capture", "device", id_)
        self.state.take(topic, one, one.encode(), 7 * 86400, self.now_s)


def cut(tmp_path: Path, image: Path, living: Living) -> None:
    """Take the power, start anew from what the disk holds, and compare."""
    copy = tmp_path / "copy"
    copy.write_bytes(image.read_bytes())
    with mounted(copy, tmp_path / "after") as folder:
        again = Living(folder)

    due = {id_ for id_, at_s in living.said.items() if at_s < living.now_s - PAUSE_S - 1}
    assert due <= again.found.keys() <= living.said.keys()
    assert again.useless == 0
    for id_, message in again.found.items():
        assert isinstance(message, Device)
        assert message.first_seen == device(int(id_[8:], 16), 0).first_seen


def test_at_most_a_minute_is_lost_when_the_power_goes(tmp_path: Path, image: Path) -> None:
    """Whenever it goes, three times: all devices older than a minute are back, sound."""
    _cut_often(tmp_path, image, 3)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_at_most_a_minute_is_lost_thirty_times(tmp_path: Path, image: Path) -> None:
    """The same, thirty times, at moments of chance."""
    _cut_often(tmp_path, image, 30)


def _cut_often(tmp_path: Path, image: Path, times: int) -> None:
    chance = random.Random(times)  # noqa: S311 - the moments are to be the same each time
    with mounted(image, tmp_path / "before") as folder:
        living = Living(folder)
        for _ in range(times):
            living.live(chance.randrange(20, 400), publish=chance.choice([1, 7, 30]))
            time.sleep(chance.choice([0, 0, 0.05]))
            cut(tmp_path, image, living)
