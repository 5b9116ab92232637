"""What the listener has time for: its own processor time counts, not the machine's."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.capture.windows import BOOT, core, counts, mac, window
from tests.drive import drive, messages

from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import Caught, MacCounts, Sighting
from monitorpi_capture.sources.listener import BUSY_S, Listener, Read
from monitorpi_capture.sources.pacing import PacedCore, Sightings
from monitorpi_common.messages import Device
from monitorpi_common.service import Tick
from monitorpi_lab import discovery, frames

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


@dataclass
class Waiting:
    """An interface whose frames have all come before they are read."""

    frames: list[bytes]
    name: str = field(default="none", init=False)

    def receive(self) -> Caught | None:
        """Hand the next one over."""
        one = self.frames.pop(0) if self.frames else None
        return None if one is None else Caught(one, len(one), None)

    def dropped(self) -> int:
        """There was room for all."""
        return 0


def listen(until_s: float) -> int:
    """Hand the frames over; return how many were read."""
    listener = Listener([], Dissector(), 1000)
    read = listener._listen(
        "none", [Read(one, 1.0, classify(one.data, one.length)) for one in FRAMES], until_s
    )
    assert listener._dropped == len(FRAMES) - len(read)
    return len(read)


def test_a_machine_that_is_busy_drops_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass between two looks at the clock: an ACK or a claim must not be lost by it."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    assert listen(time.thread_time() + 50 * BUSY_S) == len(FRAMES)
    assert BUSY_S == 0.02


def test_what_costs_too_much_is_dropped_and_counted() -> None:
    """Crafted frames have no more than their share of the processor."""
    assert listen(time.thread_time() - 1.0) == 0


def test_what_waited_is_told_in_the_order_in_which_it_came() -> None:
    """A lease that changes, read in one slot with what its client said before it."""
    old, new = "198.18.0.7", "198.18.1.77"
    server, client = ("02:00:00:00:00:01", "198.18.0.1"), "02:00:00:00:00:07"
    acks = [
        discovery.dhcp_answer(discovery.DHCP_ACK, server, client, ip, mask="255.255.0.0")
        for ip in (old, new)
    ]
    listener = Listener(
        [Waiting([frames.arp_request(client, old, server[1]), *acks])], Dissector(), 1000
    )
    told: list[Sightings] = []

    def take(item: object) -> None:
        assert isinstance(item, Sightings)
        told.append(item)
        listener.stop()

    listener.run(take)

    about = [one for one in told[0].each if one.mac[-1] == 7]
    assert [(one.ips, one.named) for one in about] == [((old,), ()), ((), (old,)), ((), (new,))]
    assert sorted({one.at_s for one in about}) == [one.at_s for one in about]


def test_of_a_slot_is_learned_what_is_learned_of_each_frame() -> None:
    """What a slot says comes in one piece, and leaves the same devices behind."""
    macs = [mac(number) for number in range(1, 5)]
    windows = [
        window(second, *(MacCounts(one, counts(packets=1), ()) for one in macs))
        for second in (5, 20)
    ]
    said = [
        Sighting(one, 19.5, "eth0", ips=(f"198.18.0.{number}",), asks="198.18.0.9")
        for number, one in enumerate(macs, start=1)
    ]
    tick = Tick(datetime.fromtimestamp(20, UTC), BOOT + 20, True, None)

    slot = drive(PacedCore(core()), [tick, *windows, Sightings(said), tick])
    singly = drive(core(), [tick, *windows, *said, tick])

    assert slot == singly
    devices = [one for one in messages(slot) if isinstance(one, Device)]
    assert sorted(one.ips for one in devices) == [[ip] for one in said for ip in one.ips]
