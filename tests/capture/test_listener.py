"""What the listener has time for: its own processor time counts, not the machine's."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from tests.capture.test_contenders import mac

from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import Caught
from monitorpi_capture.sources.listener import BUSY_S, Listener

if TYPE_CHECKING:
    import pytest

FRAMES = [
    Caught(
        b"\xff" * 6 + mac(number) + bytes.fromhex("0806 0001 0800 06 04 0001") + mac(number)
        + bytes((198, 18, 0, number)) + bytes(6) + bytes((198, 18, 0, 1)),
        42, None,
    )
    for number in range(1, 101)
]  # fmt: skip


def listen(until_s: float) -> int:
    """Hand the frames over; return how many were read."""
    read: list[object] = []
    listener = Listener([], Dissector(), 1000)
    listener._listen("none", FRAMES, until_s, read.append)
    assert listener._dropped == len(FRAMES) - len(read)
    return len(read)


def test_a_machine_that_is_busy_drops_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass between two looks at the clock: an ACK or a claim must not be lost by it."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    assert listen(time.thread_time() + 50 * BUSY_S) == len(FRAMES)


def test_what_costs_too_much_is_dropped_and_counted() -> None:
    """Crafted frames have no more than their share of the processor."""
    assert listen(time.thread_time() - 1.0) == 0
