"""What a day of a busy LAN's retained state puts on an SD card, at the block device."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.card import Card
from tests.common.keptstate import NOON, Kept, device

from monitorpi_common.examples import example
from monitorpi_common.log import Log
from monitorpi_common.messages import Target
from monitorpi_common.recordfile import RecordFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICES = 256
TIMES_A_DAY = 8
"""So often each comes, and goes."""
DAY_S = 86_400
BYTES_A_DAY = 30_000_000


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    """Make a card."""
    one = Card(tmp_path / "card.img", tmp_path / "card")
    yield one
    one.remove()


class Written(Kept):
    """A service's state, written to a disk."""

    def __init__(self, service: str, folder: Path) -> None:
        super().__init__(service)
        self.records = RecordFile(folder / f"{service}.retained", Log("test", "error"))


def target(number: int, seconds: float, *, is_up: bool) -> Target:
    """Build what is known of a target."""
    at = NOON + timedelta(seconds=seconds)
    return example(Target).model_copy(
        update={
            "address": f"192.0.2.{number}", "state": "up" if is_up else "down", "since": at,
            "at": at,
        }
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_what_capture_and_prober_keep_is_few_bytes_a_day(card: Card) -> None:
    """256 devices come and go eight times a day, evenly spread: the most writes there can be.

    Each write is handed to the card before the next, with all that the file system does for it.
    """
    capture, prober = Written("capture", card.folder), Written("prober", card.folder)
    change_s = DAY_S / (2 * TIMES_A_DAY * DEVICES)
    before, changes, writes = card.written(), 0, 0

    for now_s in range(DAY_S):
        while changes * change_s <= now_s:
            number, is_there = changes % DEVICES, changes // DEVICES % 2 == 0
            mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
            capture.take(device(now_s, mac, present=is_there), now_s)
            prober.take(target(number, now_s, is_up=is_there), now_s)
            changes += 1
        for service in (capture, prober):
            write = service.tick(now_s)
            if write is not None:
                service.records.write_now(write)
                assert service.records.error is None
                writes += 1
                card.written()
    written = card.written() - before

    records = sum(service.records.written_bytes for service in (capture, prober))
    sys.stdout.write(
        f"retained state: {written / 1e6:.1f} MB a day, {writes} writes, "
        f"records {records / 1e6:.1f} MB\n"
    )
    assert changes == 2 * TIMES_A_DAY * DEVICES
    assert written <= BYTES_A_DAY
