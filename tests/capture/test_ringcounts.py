"""Counting where frames lie: the same as classifying each of them by itself."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from tests.capture.ebpf_frames import frames as odd_frames
from tests.capture.test_classify_anything import valid_frames
from tests.capture.test_tally import END, START, syn
from tests.capture.windows import mac

from monitorpi_capture.count.ringcounts import MOST, Layout, RingCounts
from monitorpi_capture.count.tally import Tally
from monitorpi_capture.frame.classify import classify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_capture.items import WindowCounts

LAYOUT = Layout(following=0, length=4, merged=12, frame=16, tag_out=0x10)
HEAD = struct.Struct("=IIIBxxx")
ROOM = 128
"""Bytes of a frame that an entry holds."""


class Bench:
    """Ring counts over entries of our own making, and who counts what it hands back."""

    def __init__(self, *, tally: Tally | None = None) -> None:
        self.tally = tally or Tally("eth0", "socket", 4096)
        self.unfolded = RingCounts(LAYOUT, self._count)
        self.handed_back = 0
        self._memory = b""

    def read(self, entries: Sequence[tuple[bytes, bool]]) -> None:
        """Read frames, each with whether a tag was taken out."""
        self._memory = b"".join(
            HEAD.pack(HEAD.size + ROOM, len(data), 0x11 if tagged else 1, 0)
            + data[:ROOM].ljust(ROOM, b"\xaa")
            for data, tagged in entries
        )
        self.unfolded.read(self._memory, 0, len(entries))

    def _count(self, place: int) -> None:
        self.handed_back += 1
        _, length, status, _ = HEAD.unpack_from(self._memory, place)
        start = place + HEAD.size
        data = self._memory[start : start + min(length, ROOM)]
        count(self.tally, data, length, tagged=bool(status & 0x10))

    def window(self) -> WindowCounts:
        """Close the window."""
        self.unfolded.fold(self.tally, most=0)
        return self.tally.close_window(START, END, 1.0)


def count(tally: Tally, data: bytes, length: int, *, tagged: bool) -> None:
    """Count a frame as the reference does."""
    if len(data) < 14:
        tally.add_unlinked(classify(data, length)[0], length)
    else:
        tally.add(data, classify(data, length, tagged), length + 4 * tagged)


def by_mac(window: WindowCounts) -> dict[bytes, tuple[object, ...]]:
    """Return what each MAC has, but for the votes, which hang on the order of frames."""
    return {row.mac: (list(row.tx), list(row.rx), row.spread) for row in window.rows}


ORDINARY = st.builds(
    lambda layer, size, last: bytes(
        Ether(src="04:00:00:00:00:01", dst="04:00:00:00:00:02") / IP() / layer / Raw(bytes(size))
    )[: last or None],
    st.one_of(
        st.builds(
            lambda sport, dport, flags, words: TCP(
                sport=sport, dport=dport, flags=flags, dataofs=words
            ),
            st.sampled_from([53, 80, 443, 5353, 9]), st.sampled_from([53, 80, 443, 67, 9]),
            st.integers(0, 255), st.sampled_from([5, 5, 5, 4, 6, 15]),
        ),
        st.builds(
            lambda sport, dport, length: UDP(sport=sport, dport=dport, len=length),
            st.sampled_from([53, 443, 67, 5353, 9]), st.sampled_from([53, 443, 68, 5353, 9]),
            st.sampled_from([None, 0, 7, 8, 30]),
        ),
        st.builds(lambda kind: ICMP(type=kind), st.sampled_from([0, 8, 11])),
    ),
    st.integers(0, 40),
    st.sampled_from([0, 0, 0, -1, -10]),
)  # fmt: skip


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.one_of(ORDINARY, valid_frames(), odd_frames()), st.booleans()), max_size=12
    )
)
def test_it_counts_what_the_reference_counts(entries: list[tuple[bytes, bool]]) -> None:
    """Whatever frames lie there: classes, bytes, rows, spread."""
    bench, reference = Bench(), Tally("eth0", "socket", 4096)

    bench.read(entries)
    for data, tagged in entries:
        count(reference, data[:ROOM], len(data), tagged=tagged)

    found, expected = bench.window(), reference.close_window(START, END, 1.0)
    assert list(found.wire) == list(expected.wire)
    assert by_mac(found) == by_mac(expected)


@pytest.mark.parametrize(
    "layer",
    [TCP(flags="S"), TCP(flags="A") / Raw(b"x" * 900), UDP(dport=443), ICMP(), ICMP(type=0)],
    ids=lambda layer: layer.summary(),
)
def test_ordinary_frames_are_not_handed_back(layer: TCP) -> None:
    """That is what makes it fast; only the last of a block is, for what is behind it."""
    data = bytes(Ether(src="04:00:00:00:00:01") / IP() / layer).ljust(60, b"\0")
    bench = Bench()

    bench.read([(data, False)] * 50)

    assert bench.handed_back == 1


def test_what_waits_is_bounded() -> None:
    """A flood of addresses is folded before it fills the memory."""
    bench = Bench()

    bench.read([(syn(number, src_ip=number), False) for number in range(MOST + 2)])
    before = bench.tally.sums().syn
    bench.unfolded.fold(bench.tally)

    assert (before, bench.tally.sums().syn) == (1, MOST + 2)
    assert bench.window().wire[0] == MOST + 2
    assert MOST == 8192


def test_a_majority_of_a_flood_is_its_top_peer() -> None:
    """The vote counts frames, whoever's end comes first."""
    frames = [syn(1, 3, dst_ip=3)] * 5 + [syn(1, 2, dst_ip=2, port=443)] * 9 + [syn(1, 4)] * 3
    bench = Bench()

    bench.read([(data, False) for data in frames])

    peer = next(row.syn_peer for row in bench.window().rows if row.mac == mac(1))
    assert peer is not None
    assert (peer.mac, peer.port) == (mac(2), 443)
    assert 1 <= peer.packets <= 9
