"""Packet sockets, rings and engines on this machine's loopback, with frames nobody else sends."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.capture.test_contenders import arp, syn
from tests.conftest import wait_for

from monitorpi_capture.engine.clock import now
from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_capture.engine.socket_engine import SocketEngine
from monitorpi_capture.items import COLUMN, PACKETS, Caught
from monitorpi_capture.linux.packetsocket import drops, open_packet_socket, receive_frame
from monitorpi_capture.linux.ring import FRAME_HEAD, Ring
from monitorpi_capture.linux.tap import Tap
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.items import MacCounts, WindowCounts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="packet sockets need root")

MINE = b"\x06" + os.getpid().to_bytes(4, "big")
SENDER, TARGET = MINE + b"\x01", MINE + b"\x02"
(_WORD,) = struct.unpack("!I", MINE[:4])
MY_FRAMES = (
    (0x20, 0, 0, 6),  # ld: the first bytes of the source
    (0x15, 0, 1, _WORD),
    (0x06, 0, 0, 0x40000),
    (0x06, 0, 0, 0),
)
"""Classic BPF: what this process sends."""
PROBE = TARGET + SENDER + b"\x88\xb5" + b"x" * 50
TAG = b"\x81\x00\x00\x05"


def send(*frames: bytes) -> None:
    """Send frames on loopback."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("lo", 0))
        for frame in frames:
            wire.send(frame)


# --- sockets --------------------------------------------------------------------------------------


@pytest.fixture
def opened() -> Iterator[socket.socket]:
    """Return a packet socket for our frames."""
    sock = open_packet_socket("lo", MY_FRAMES, receive_buffer=65_536, tags=True)
    yield sock
    sock.close()


def test_a_quiet_socket_has_no_frame_and_holds_nobody_up(opened: socket.socket) -> None:
    """Whoever reads it goes on at once."""
    assert receive_frame(opened, bytearray(2048)) is None
    assert drops(opened) == 0


def test_a_frame_is_caught_once_with_its_length(opened: socket.socket) -> None:
    """What this machine sends is left out: only what comes in; a long one is cut."""
    send(PROBE, PROBE + b"y" * 100)
    buffer = bytearray(100)

    assert receive_frame(opened, buffer) == Caught(PROBE, 64, None)
    assert receive_frame(opened, buffer) == Caught(PROBE + b"y" * 36, 164, None)
    assert receive_frame(opened, buffer) is None


def test_a_tag_that_was_taken_out_is_told(opened: socket.socket) -> None:
    """Its control information, which may well be 0."""
    send(PROBE[:12] + TAG + PROBE[12:], PROBE[:12] + b"\x81\x00\x00\x00" + PROBE[12:])
    buffer = bytearray(2048)

    assert receive_frame(opened, buffer) == Caught(PROBE, 64, 5)
    assert receive_frame(opened, buffer) == Caught(PROBE, 64, 0)


def test_frames_without_room_are_counted_once(opened: socket.socket) -> None:
    """Since the last call."""
    send(*[PROBE + bytes(1400)] * 400)

    lost = drops(opened)
    kept = 0
    while receive_frame(opened, bytearray(64)):
        kept += 1

    assert 0 < lost < 400
    assert lost + kept == 400
    assert drops(opened) == 0


def test_a_tap_gives_frames_until_it_is_closed() -> None:
    """And has none before it is opened; an interface that is not there is none to it."""
    tap, nowhere = Tap("lo", MY_FRAMES), Tap("mp-not-there", MY_FRAMES)
    assert tap.receive() is None
    tap.tend()
    nowhere.open()
    send(PROBE)

    assert tap.receive() == Caught(PROBE, 64, None)
    assert (tap.receive(), nowhere.receive()) == (None, None)
    send(PROBE)
    tap.tend()
    assert tap.receive() == Caught(PROBE, 64, None)
    for one in (tap, nowhere):
        one.close()
        assert one.receive() is None


# --- rings ----------------------------------------------------------------------------------------


def in_ring(ring: Ring, most: int = 4) -> list[tuple[bytes, int]]:
    """Return what is in the blocks that were handed over: data, and length on the wire."""
    found = []
    for place, frames in ring.handed_over(most):
        at = place
        for _ in range(frames):
            following, _, _, held, length, _, offset, _ = FRAME_HEAD.unpack_from(ring.memory, at)
            found.append((ring.memory[at + offset : at + offset + held], length))
            at += following
    return found


def test_a_ring_is_filled_while_it_is_hooked() -> None:
    """In order, each frame once, round and round; nothing before and behind."""
    ring = Ring("lo", MY_FRAMES, block_bytes=4096, blocks=3, retire_ms=10)
    assert ring.index == socket.if_nametoindex("lo")
    send(PROBE)
    for turn in range(4):
        ring.hook()
        frames = [PROBE + bytes([turn, number]) * 300 for number in range(6)]
        send(*frames)
        found: list[tuple[bytes, int]] = []
        wait_for(lambda found=found: found.extend(in_ring(ring)) or len(found) >= 6)  # type: ignore[misc]
        ring.unhook()
        send(PROBE)

        assert found == [(frame, len(frame)) for frame in frames]
    assert ring.drops() == 0
    assert select.select([ring], [], [], 0) == ([], [], [])
    ring.close()


def test_a_full_ring_loses_frames_and_counts_them() -> None:
    """Until its blocks are read; at most so many at once as are asked for."""
    ring = Ring("lo", MY_FRAMES, block_bytes=4096, blocks=2, retire_ms=10)
    ring.hook()
    send(*[PROBE + bytes(1000)] * 20)
    wait_for(lambda: select.select([ring], [], [], 0)[0])

    lost = ring.drops()
    first, rest = in_ring(ring, 1), in_ring(ring, 8)

    assert (len(first), len(rest)) == (3, 3)
    assert lost == 14
    ring.close()


# --- engines --------------------------------------------------------------------------------------

Either = SocketEngine | EbpfEngine


@pytest.fixture(params=[SocketEngine, EbpfEngine])
def engine(request: pytest.FixtureRequest) -> Iterator[Either]:
    """Return each engine, counting on loopback."""
    made: Either = request.param(["lo"], 256)
    made.open()
    yield made
    made.close()


def counted(engine: Either, frames: int) -> list[WindowCounts]:
    """Close windows until so many of our sender's frames were counted."""
    windows: list[WindowCounts] = []

    def is_there() -> bool:
        engine.count_until((now().boot_s or 0.0) + 0.03)
        windows.extend(engine.close_windows())
        return sum(row.tx[PACKETS] for one in windows for row in mine(one)) >= frames

    wait_for(is_there)
    return windows


def mine(window: WindowCounts) -> list[MacCounts]:
    """Return our sender's row, where it sent something."""
    return [row for row in window.rows if row.mac == SENDER and row.tx]


def test_an_engine_counts_what_comes_in_once(engine: Either) -> None:
    """For its sender, with whom it was aimed at; windows follow each other without a gap."""
    begun = now()
    send(*[syn(SENDER, TARGET)] * 5)

    windows = counted(engine, 5)
    last = counted(engine, 0)

    rows = [row for one in windows for row in mine(one)]
    assert sum(row.tx[COLUMN["syn"]] for row in rows) == 5
    assert sum(row.tx[1] for row in rows) == 300
    peer = rows[-1].syn_peer
    assert peer is not None
    assert (peer.mac, peer.port) == (TARGET, 80)
    assert not mine(last[-1])
    for before, after in zip([*windows, *last], [*windows, *last][1:], strict=False):
        assert before.end == after.start
    for one in windows:
        assert (one.interface, one.engine, one.losses.get("socket", 0)) == ("lo", engine.name, 0)
        assert one.length_s == pytest.approx((one.end.boot_s or 0) - (one.start.boot_s or 0))
        assert 0.01 < one.length_s < 10
    assert abs(windows[0].start.wall_s - begun.wall_s) < 5
    assert engine.away == {}


def test_a_tagged_frame_is_as_long_as_on_the_wire(engine: Either) -> None:
    """Though the stack has taken its tag out."""
    frame = syn(SENDER, TARGET)
    send(frame[:12] + TAG + frame[12:])

    (row,) = (row for one in counted(engine, 1) for row in mine(one))

    assert (row.tx[PACKETS], row.tx[1], row.tx[COLUMN["vlan"]]) == (1, 64, 1)
    assert row.tx[COLUMN["syn"]] == 1


def test_a_running_window_can_be_looked_at(engine: Either) -> None:
    """Its sums and its rows; it goes on."""
    send(*[syn(SENDER, TARGET)] * 7)

    def is_there() -> Any:
        engine.count_until((now().boot_s or 0.0) + 0.03)
        return engine.sums()["lo"].syn >= 7 and mine(engine.peek("lo"))

    wait_for(is_there)
    looked = engine.peek("lo")

    assert mine(looked)[0].tx[COLUMN["syn"]] == 7
    assert (looked.interface, looked.engine) == ("lo", engine.name)
    assert 0.01 < looked.length_s < 10
    assert sum(row.tx[PACKETS] for one in counted(engine, 7) for row in mine(one)) == 7


def test_discovery_frames_are_handed_on_beside_their_counts(engine: Either) -> None:
    """Whole, with the tag that was taken out; then none waits."""
    (feed,) = engine.feeds
    frame = arp(SENDER)
    send(frame, frame[:12] + TAG + frame[12:], syn(SENDER, TARGET))
    counted(engine, 3)

    caught = [one for one in iter(feed.receive, None) if one.data[6:12] == SENDER]
    assert caught == [Caught(frame, 60, None), Caught(frame, 60, 5)]
    assert (feed.name, feed.dropped()) == ("lo", 0)


def test_a_known_device_has_its_row(engine: Either) -> None:
    """Silent ones are not handed over."""
    engine.pin([SENDER, TARGET])
    engine.close_windows()
    send(arp(SENDER))

    windows = counted(engine, 1)

    assert [len(mine(one)) for one in windows if mine(one)] == [1]
    assert not any(row.mac == TARGET for one in windows for row in one.rows)


def test_waiting_ends_when_it_is_told_to(engine: Either) -> None:
    """Within moments, also for who begins to wait later."""
    later = threading.Timer(0.1, engine.stop)
    later.start()
    begun_s = time.monotonic()
    engine.count_until((now().boot_s or 0.0) + 50)
    engine.count_until((now().boot_s or 0.0) + 50)
    later.join()

    assert time.monotonic() - begun_s < 20


def test_an_engine_may_be_closed_twice(engine: Either) -> None:
    """Nothing is left to give back the second time."""
    engine.close()
    engine.close()


@pytest.mark.parametrize("make", [SocketEngine, EbpfEngine])
def test_an_interface_that_is_not_there_is_named(make: type[Either]) -> None:
    """With those there are."""
    with pytest.raises(ResourceError, match=r"there is no interface 'mp-not-there'.*\blo\b"):
        make(["lo", "mp-not-there"], 256).open()
