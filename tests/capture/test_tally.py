"""Counting frames into rows: both directions, bounds, spread and top peers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.windows import mac

from monitorpi_capture.count.listing import sum_of
from monitorpi_capture.count.sketch import Distinct, Vote
from monitorpi_capture.count.tally import Tally
from monitorpi_capture.frame.classify import classify
from monitorpi_capture.items import (
    FloodSums,
    Instant,
    MacCounts,
    WindowCounts,
    counts_by_name,
    flood_sums,
)

START, END = Instant(0.0, None), Instant(1.0, None)


def syn(src: int, dst: int = 2, *, port: int = 80, src_ip: int = 1, dst_ip: int = 2) -> bytes:
    """Return a SYN as a frame of 60 bytes."""
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40, 0, 0, 64, 6, 0, src_ip, dst_ip)
    tcp = struct.pack(">HHIIBBHHH", 40000, port, 0, 0, 0x50, 2, 0, 0, 0)
    return mac(dst) + mac(src) + b"\x08\0" + ip + tcp + bytes(6)


def counted(*frames: bytes, rows: int = 4096, pinned: tuple[bytes, ...] = ()) -> WindowCounts:
    """Return the window of these frames."""
    tally = Tally("eth0", "file", rows)
    tally.pin(pinned)
    for data in frames:
        tally.add(data, classify(data, len(data)), len(data))
    return tally.close_window(START, END, 1.0)


def row(window: WindowCounts, number: int) -> MacCounts:
    """Return one MAC's row."""
    return next(one for one in window.rows if one.mac == mac(number))


def test_the_source_sends_and_the_destination_is_sent() -> None:
    """A frame counts as tx of its source and as rx of its destination, never the other way."""
    window = counted(syn(1, 2), syn(1, 2), syn(2, 1))

    assert counts_by_name(row(window, 1).tx)["syn"] == 2
    assert counts_by_name(row(window, 1).rx)["syn"] == 1
    assert counts_by_name(row(window, 2).tx)["syn"] == 1
    assert counts_by_name(row(window, 2).rx)["packets"] == 2
    assert counts_by_name(window.wire) == {
        "packets": 3,
        "bytes": 180,
        "syn": 3,
        "tcp": 3,
        "ipv4": 3,
        "http": 3,
    }


def test_a_group_address_is_no_device() -> None:
    """Broadcasts count for their sender and the wire; a forged group address as source is a row."""
    window = counted(
        b"\xff" * 6 + mac(1) + b"\x08\x06" + bytes(46),
        mac(1) + b"\xff" * 6 + b"\x08\x06" + bytes(46),
    )

    assert {one.mac for one in window.rows} == {mac(1), b"\xff" * 6}
    assert counts_by_name(window.wire)["broadcast"] == 1


def test_igmp_before_any_icmp() -> None:
    """The order of protocols does not matter: the first frame of all may be IGMP."""
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28, 0, 0, 1, 2, 0, 1, 2)
    window = counted(b"\x01\0\x5e\0\0\x01" + mac(1) + b"\x08\0" + ip + bytes(8))

    assert counts_by_name(window.wire)["igmp"] == 1


def test_a_flood_of_strangers_fills_the_table_and_loses_no_frame() -> None:
    """What finds no row is summed; wire = rows + overflow, and the number of MACs is estimated."""
    frames = [syn(number, 2) for number in range(10, 5010)]

    window = counted(*frames, rows=100)

    assert len(window.rows) == 100
    total = sum_of([window.overflow_tx, *(one.tx for one in window.rows)])
    assert total == list(window.wire)
    assert window.source_macs == pytest.approx(5000, rel=0.1)


def test_known_devices_keep_their_rows_in_a_flood() -> None:
    """Seeded MACs are counted exactly however many strangers came first."""
    known = tuple(mac(number) for number in range(1, 50))
    flood = [syn(number, 1) for number in range(1000, 30_000)]
    own = [syn(number, 1) for number in range(1, 50)]

    window = counted(*flood, *own, rows=100, pinned=known)

    assert all(row(window, number).tx[0] == 1 for number in range(1, 50))
    assert all(row(window, number).spread is not None for number in range(1, 50))
    assert row(window, 1).rx[0] == len(flood) + len(own)
    assert sum_of([window.overflow_tx, *(one.tx for one in window.rows)]) == list(window.wire)
    assert sum_of([window.overflow_rx, *(one.rx for one in window.rows)]) == list(window.wire)


def test_a_cut_begins_anew() -> None:
    """Nothing is counted twice; pinned stay but silent ones have no row."""
    tally = Tally("eth0", "file", 100)
    tally.pin([mac(1)])
    data = syn(5)
    tally.add(data, classify(data, 60), 60)

    first, second = tally.close_window(START, END, 1.0), tally.close_window(START, END, 1.0)

    assert first.wire[0] == 1
    assert second.wire[0] == 0
    assert not second.rows
    assert tally.empty


def test_a_tally_is_read_and_goes_on() -> None:
    """What was read of a running window does not change any more; the window has all of it."""
    tally = Tally("eth0", "socket")
    frame = syn(1)

    def count(frames: int) -> None:
        for _ in range(frames):
            tally.add(frame, classify(frame, len(frame)), len(frame))

    count(30)
    sums = tally.sums()
    looked = tally.peek(Instant(0, 0), Instant(0.5, 0.5), 0.5)
    count(20)

    assert sums == FloodSums(30, 0, 0) == flood_sums(looked.wire)
    assert tally.sums() == FloodSums(50, 0, 0)
    window = tally.close_window(Instant(0, 0), Instant(1, 1), 1.0)
    assert flood_sums(window.wire) == FloodSums(50, 0, 0)
    assert [row.tx[0] for row in looked.rows if row.tx] == [30]
    assert tally.sums() == FloodSums()


def test_where_a_flood_is_aimed() -> None:
    """Spread counts what differs, the top peer is who got most of it."""
    aimed = [syn(1, 2, port=80, src_ip=number) for number in range(100)]
    astray = [syn(1, 3, port=number, dst_ip=9) for number in range(30)]

    one = row(counted(*aimed, *astray), 1)

    assert one.spread is not None
    assert one.spread.src_ips == pytest.approx(100, rel=0.1)
    assert one.spread.dst_ips == 2
    assert one.spread.dst_ports == 31
    assert one.syn_peer is not None
    assert one.syn_peer.mac == mac(2)
    assert one.syn_peer.ip == b"\0\0\0\2"
    assert one.syn_peer.port == 80
    assert 100 - 30 <= one.syn_peer.packets <= 100
    assert one.echo_peer is None


def test_a_scan_of_all_ports_has_a_victim_but_no_port() -> None:
    """Where no port has the majority none is named."""
    one = row(counted(*(syn(1, port=number) for number in range(1, 1001))), 1)

    assert one.syn_peer is not None
    assert (one.syn_peer.mac, one.syn_peer.packets) == (mac(2), 1000)
    assert one.spread is not None
    assert one.spread.dst_ports == pytest.approx(1000, rel=0.1)


def test_who_sends_no_flood_frames_has_no_spread() -> None:
    """An ordinary host costs no sketch."""
    assert row(counted(syn(1, 2)), 2).spread is None


@pytest.mark.parametrize("count", [1, 32, 33, 500, 5_000, 100_000])
@pytest.mark.parametrize("size", [2, 4, 16])
def test_distinct_is_within_ten_percent(count: int, size: int) -> None:
    """Consecutive addresses, the worst case for a weak hash, are counted within the promise."""
    distinct = Distinct()
    base = 0 if size == 2 else 0x0A000000
    count = min(count, 65_536 if size == 2 else count)

    for number in range(count):
        distinct.add((base + number).to_bytes(size, "big"))

    assert distinct.count() == pytest.approx(count, rel=0.1)


@given(st.lists(st.integers(0, 5), max_size=60))
def test_a_majority_is_always_found(peers: list[int]) -> None:
    """A destination with more than half of the frames wins, and is not said to have got more."""
    vote = Vote()
    for peer in peers:
        vote.add(mac(peer), b"\0\0\0\1", 80)
    winner = vote.winner(with_port=True)

    for peer in set(peers):
        if peers.count(peer) * 2 > len(peers):
            assert winner is not None
            assert winner.mac == mac(peer)
    if winner is not None:
        assert winner.packets <= sum(mac(peer) == winner.mac for peer in peers)
