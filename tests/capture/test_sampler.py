"""The sampler's ring in a namespace of its own: what is hooked gets frames, what is not none."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from monitorpi_capture.items import SNAPPED
from monitorpi_capture.sources.sampler import SampleRing
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.items import SampledFrame

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
]

FRAME = bytes.fromhex("04000000000204000000000188b5").ljust(300, b"x")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """Make a namespace whose loopback is up."""
    one = Namespace("sampler")
    one.run(["ip", "link", "set", "lo", "up"])
    yield one
    one.close()


def exchange(ring: SampleRing, count: int) -> list[SampledFrame]:
    """Send frames and return what the ring got of them."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((ring.interface, 0))
        for _ in range(count):
            wire.send(FRAME)
    time.sleep(0.15)  # the kernel hands over a block that is not full after 60 ms
    return list(ring.take(0))


def in_turns() -> list[list[SampledFrame]]:
    """Hook and unhook a ring, and hook it again, with frames in between."""
    ring = SampleRing("lo")
    try:
        report = [exchange(ring, 5)]
        for _ in range(2):
            ring.hook()
            report.append(exchange(ring, 5))
            ring.unhook()
            report.append(exchange(ring, 5))
    finally:
        ring.close()
    return report


def test_a_ring_gets_frames_only_while_it_is_hooked(namespace: Namespace) -> None:
    """Unhooked, the kernel passes it by: that is what a busy wire pays nothing for."""
    report = namespace.call(in_turns)

    assert [len(frames) for frames in report] == [0, 5, 0, 5, 0]
    assert {one.length for one in report[1]} == {len(FRAME)}
    assert {one.data for one in report[1]} == {FRAME[:SNAPPED]}
    assert abs(report[1][0].at_s - time.time()) < 60
    assert SNAPPED == 128


def flooded() -> int:
    """Send more than the ring holds; return how many frames it took."""
    ring = SampleRing("lo")
    try:
        ring.hook()
        return len(exchange(ring, 5000))
    finally:
        ring.close()


def test_a_flood_fills_the_ring_and_no_more(namespace: Namespace) -> None:
    """What finds no room is gone: a sample is bounded."""
    assert 64 <= namespace.call(flooded) <= 256


def switched_off() -> list[bool]:
    """Tell whether a ring has something to read: switched off, and after it was read."""
    ring = SampleRing("lo")
    poll = select.poll()
    poll.register(ring, select.POLLIN)
    try:
        ring.hook()
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        report = [bool(poll.poll(2000))]
        assert list(ring.take(0)) == []
        report.append(bool(poll.poll(100)))
    finally:
        ring.close()
    return report


def test_a_ring_whose_interface_is_switched_off_is_looked_at_once(namespace: Namespace) -> None:
    """The socket's error wakes its reader, and is taken with that."""
    assert namespace.call(switched_off) == [True, False]
