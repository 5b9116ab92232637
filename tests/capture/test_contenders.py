"""Whoever floods has a row of his own, whatever others did to fill the table."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.windows import mac

from monitorpi_capture.count.contenders import (
    GUEST_WINDOWS,
    PROMOTE,
    Guests,
    kept_rows,
    most_pinned,
)
from monitorpi_capture.count.sketch import Frequent
from monitorpi_capture.count.tally import Tally
from monitorpi_capture.frame.classify import classify
from monitorpi_capture.items import COLUMN, PACKETS, WIDTH, Instant, MacCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_capture.items import WindowCounts

ROWS = 64
FLOODER, VICTIM = b"\x06\0\0\0\0\x01", b"\x06\0\0\0\0\x02"
NOW = Instant(0, None)


def syn(source: bytes, target: bytes = VICTIM, port: int = 80) -> bytes:
    """Return a SYN of 60 bytes."""
    network = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source[2:], target[2:])
    return target + source + b"\x08\x00" + network + struct.pack(
        "!HHIIBBHHH", 1024, port, 0, 0, 0x50, 2, 0, 0, 0
    ) + bytes(6)  # fmt: skip


def arp(source: bytes) -> bytes:
    """Return an ARP request of 60 bytes."""
    return b"\xff" * 6 + source + b"\x08\x06" + bytes(46)


def window(tally: Tally, frames: Iterable[bytes]) -> WindowCounts:
    """Count frames and end the window."""
    for frame in frames:
        tally.add(frame, classify(frame, len(frame)), len(frame))
    return tally.close_window(NOW, NOW, 1.0)


def found(one: WindowCounts, who: bytes) -> MacCounts | None:
    """Return the row of a MAC."""
    return next((row for row in one.rows if row.mac == who), None)


def among(noise: list[bytes], frames: list[bytes]) -> list[bytes]:
    """Return the frames spread evenly behind the first of the noise."""
    step = max(len(noise) // (len(frames) + 1), 1)
    mixed = list(noise)
    for number, frame in enumerate(frames):
        mixed.insert((number + 1) * (step + 1), frame)
    return mixed


def test_a_flooder_has_a_row_within_the_window_though_strangers_took_all() -> None:
    """Ten thousand addresses send a frame each; who floods beside them is counted apart."""
    noise = [arp(mac(number)) for number in range(10_000)]

    one = window(Tally("eth0", "file", ROWS), among(noise, [syn(FLOODER)] * 300))

    row = found(one, FLOODER)
    assert row is not None
    assert row.tx[COLUMN["syn"]] >= 300 - PROMOTE
    assert row.spread is not None
    assert row.syn_peer is not None
    assert row.syn_peer.mac == VICTIM
    victim = found(one, VICTIM)
    assert victim is not None
    assert victim.rx[COLUMN["syn"]] >= 300 - PROMOTE
    assert len(one.rows) <= ROWS
    assert PROMOTE == 16


def test_known_devices_leave_rows_for_strangers() -> None:
    """However many devices are known, a newcomer has a row at once."""
    tally = Tally("eth0", "file", ROWS)
    tally.pin([mac(number) for number in range(1000)])

    one = window(tally, [arp(FLOODER)])

    assert found(one, FLOODER) is not None
    assert most_pinned(ROWS) < ROWS


def test_a_guest_has_its_row_from_the_next_windows_first_frame_on() -> None:
    """Who flooded without a row of its own is exact from the following window on."""
    tally = Tally("eth0", "file", ROWS)
    noise = [arp(mac(number)) for number in range(10_000)]
    window(tally, among(noise, [syn(FLOODER)] * 300))

    one = window(tally, among(noise, [syn(FLOODER)] * 50))

    row = found(one, FLOODER)
    assert row is not None
    assert row.tx[COLUMN["syn"]] == 50


def test_who_floods_most_is_a_guest_when_many_want_to_be() -> None:
    """Hundreds that flood a little cannot keep out the one that floods more."""
    tally = Tally("eth0", "file", ROWS)
    decoys = [arp(mac(number)) for number in range(300) for _ in range(2 * PROMOTE)]
    for _ in range(2):
        one = window(tally, [*decoys, *[syn(FLOODER)] * 300])

    row = found(one, FLOODER)
    assert row is not None
    assert row.tx[COLUMN["syn"]] == 300


def test_no_frame_is_lost_or_counted_twice_by_promotion() -> None:
    """The rows and the overflow together are the wire, whoever was promoted."""
    noise = [syn(mac(number), mac(number + 50_000)) for number in range(20_000)]

    one = window(Tally("eth0", "file", ROWS), among(noise, [syn(FLOODER)] * 200))

    for overflow, side in ((one.overflow_tx, "tx"), (one.overflow_rx, "rx")):
        rows = [getattr(row, side) for row in one.rows if getattr(row, side)]
        total = [sum(column) for column in zip(overflow, *rows, strict=True)]
        assert total == list(one.wire)


def sent(who: bytes, frames: int) -> MacCounts:
    """Return the row of a MAC that sent SYNs."""
    tx = [0] * WIDTH
    tx[PACKETS] = tx[COLUMN["syn"]] = frames
    return MacCounts(who, tx, ())


def test_a_guest_that_is_silent_leaves() -> None:
    """After ten windows without a flood the place is free."""
    guests = Guests(4)
    guests.learn([sent(FLOODER, 100)], {}, frozenset(), overflown=True)

    stays = []
    for _ in range(GUEST_WINDOWS):
        stays.append(FLOODER in guests.macs)
        guests.learn([], {}, frozenset(), overflown=False)

    assert stays == [True] * GUEST_WINDOWS
    assert guests.macs == ()
    assert GUEST_WINDOWS == 10


def test_nobody_is_a_guest_where_everybody_found_room() -> None:
    """On an ordinary wire nothing changes from window to window."""
    guests = Guests(4)

    assert not guests.learn([sent(FLOODER, 100)], {}, frozenset(), overflown=False)
    assert guests.macs == ()


def test_a_known_device_needs_no_place() -> None:
    """Who has a row anyway takes no guest's."""
    guests = Guests(1)
    known = frozenset({mac(1)})
    guests.learn([sent(mac(1), 900), sent(FLOODER, 100)], {}, known, overflown=True)

    assert guests.macs == (FLOODER,)


@pytest.mark.parametrize("rows", [16, 64, 4096, 65_536])
def test_there_is_always_a_share_for_whom(rows: int) -> None:
    """Known devices, strangers and contenders all have rows at every size."""
    assert 0 < most_pinned(rows) < rows
    assert kept_rows(rows) >= 4


@given(st.lists(st.integers(0, 40), max_size=400), st.integers(1, 12))
def test_votes_are_never_too_many_and_at_most_a_share_too_few(items: list[int], most: int) -> None:
    """Misra and Gries: with so many counters at most ``all / most`` are missed of any item."""
    frequent = Frequent(most)
    for item in items:
        frequent.add(mac(item))

    for item in set(items):
        votes = frequent.votes(mac(item))
        assert items.count(item) - len(items) / most <= votes <= items.count(item)
    assert len(frequent.over(0)) <= 2 * most
