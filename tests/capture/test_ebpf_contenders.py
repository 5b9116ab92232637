"""In the kernel too whoever floods has a row of its own, whatever fills the table."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from tests.capture.test_contenders import FLOODER, VICTIM, arp, found, syn
from tests.capture.windows import mac

from monitorpi_capture.count.contenders import GUEST_WINDOWS, PROMOTE, kept_rows
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf import table
from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_capture.items import COLUMN, PACKETS
from monitorpi_dev.sender import INTERFACE, Sender
from monitorpi_lab.namespace import LabError, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitorpi_capture.engine.ebpf.parts import LayoutPart
    from monitorpi_capture.engine.ebpf.reading import Reading
    from monitorpi_capture.items import WindowCounts

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
]

LINE_RATE = 1_488_000
"""Smallest frames a second on gigabit (IEEE 802.3)."""


class Kernel:
    """The counting program, and frames run through it at hand."""

    def __init__(self, rows: int) -> None:
        self.space = Namespace("ebpf-crowd")
        self.space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
        self.space.run(["ip", "link", "set", INTERFACE, "up"])
        self.engine = EbpfEngine([INTERFACE], rows)
        self.space.call(self.engine.open)
        self._run = system.TestRun(self.engine.programs[INTERFACE])

    def count(self, frames: Iterable[bytes]) -> None:
        """Let the program see frames."""
        self.space.call(lambda: [self._run.run(frame) for frame in frames])

    def close_window(self) -> WindowCounts:
        """End the window."""
        (window,) = self.space.call(self.engine.close_windows)
        return window

    def close(self) -> None:
        """Give everything back."""
        self.space.call(self.engine.close)
        self.space.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """Return the program with 256 rows."""
    made = Kernel(256)
    yield made
    made.close()


def fill(kernel: Kernel, macs: int = 2000) -> None:
    """Take every open row, of every CPU's part."""
    kernel.count(arp(mac(number)) for number in range(macs))


def one_cpu() -> None:
    """Stay where we are: a table has a part for each CPU."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.fixture(autouse=True)
def pinned(kernel: Kernel) -> None:
    """Let the namespace's thread stay on one CPU."""
    kernel.space.call(one_cpu)


def test_a_flooder_has_a_row_within_the_window_though_strangers_took_all(kernel: Kernel) -> None:
    """Sender and victim are counted apart after a few frames, with spread and top peer."""
    fill(kernel)
    kernel.count([syn(FLOODER)] * 300)
    window = kernel.close_window()

    row, victim = found(window, FLOODER), found(window, VICTIM)
    assert row is not None
    assert victim is not None
    assert row.tx[COLUMN["syn"]] >= 300 - 2 * PROMOTE
    assert victim.rx[COLUMN["syn"]] >= 300 - 2 * PROMOTE
    assert row.syn_peer is not None
    assert row.syn_peer.mac == VICTIM
    assert row.spread is not None
    assert row.spread.dst_ips == 1
    assert len(window.rows) <= 256


def test_a_guest_is_exact_in_the_windows_that_follow(kernel: Kernel) -> None:
    """What was promoted once has its row from the first frame of a later window on."""
    for _ in range(3):
        fill(kernel)
        kernel.count([syn(FLOODER)] * 40)
        window = kernel.close_window()

    row = found(window, FLOODER)
    assert row is not None
    assert row.tx[COLUMN["syn"]] == 40


def test_what_is_not_made_of_floods_wins_no_row_but_counts_in_one(kernel: Kernel) -> None:
    """Data frames are not votes; once promoted, all frames of a MAC count for it."""
    data = syn(FLOODER)[:47] + b"\x10" + syn(FLOODER)[48:]
    fill(kernel)
    kernel.count([data] * 200)
    without = kernel.close_window()
    fill(kernel)
    kernel.count([syn(FLOODER)] * 40 + [data] * 200)
    promoted = kernel.close_window()

    assert found(without, FLOODER) is None
    row = found(promoted, FLOODER)
    assert row is not None
    assert row.tx[PACKETS] >= 240 - 2 * PROMOTE


def test_who_floods_most_becomes_a_guest_when_the_kept_rows_are_gone(kernel: Kernel) -> None:
    """Decoys take all kept rows; who contended in vain with more votes has a row all the same.

    A decoy that was promoted has the flooder's cell in one window of 64, and guests come a window
    late: after five windows, one run of 250,000 has seen no contest that counts.
    """
    decoys = [arp(mac(10_000 + number)) for number in range(8 * kept_rows(256))]
    for _ in range(5):
        fill(kernel)
        kernel.count(frame for frame in decoys for _ in range(2 * PROMOTE))
        kernel.count([syn(FLOODER)] * 300)
        window = kernel.close_window()

    row = found(window, FLOODER)
    assert row is not None
    assert row.tx[COLUMN["syn"]] == 300


def test_who_shares_a_cell_with_a_winner_has_the_one_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promoted within the window all the same; behind winners of both cells it contends in vain."""
    factor = 0x9E3779B97F4A7C15
    monkeypatch.setattr(secrets, "randbits", lambda _: factor)
    monkeypatch.setattr(secrets, "token_bytes", bytes)  # no draw
    sizes: list[int] = []
    read = table.reading

    def spy(parts: Sequence[LayoutPart], *rest: Any) -> Reading:
        sizes.append(len(parts[0].contenders) // 8)
        return read(parts, *rest)

    monkeypatch.setattr(table, "reading", spy)
    kernel = Kernel(256)
    try:
        kernel.space.call(one_cpu)
        kernel.close_window()
        bits = 65 - sizes[0].bit_length()

        def cell(who: bytes) -> int:
            """Return where a MAC contends, as the program does."""
            mixed = int.from_bytes(who, "little") * factor & ~(-1 << 64)
            return ((mixed ^ mixed >> 32) * factor & ~(-1 << 64)) >> bits

        there, beside = cell(FLOODER), cell(FLOODER) ^ 1
        decoys = {cell(mac(number)): mac(number) for number in range(10_000, 30_000)}
        found_in = []
        for winners in ([there], [there, beside]):
            fill(kernel)
            kernel.count(arp(decoys[place]) for place in winners for _ in range(2 * PROMOTE))
            kernel.count([syn(FLOODER)] * 300)
            found_in.append(found(kernel.close_window(), FLOODER))
            for _ in range(2 * GUEST_WINDOWS + 2):  # guests leave
                kernel.close_window()
    finally:
        kernel.close()

    first, second = found_in
    assert first is not None
    assert first.tx[COLUMN["syn"]] >= 300 - 2 * PROMOTE
    assert second is None


def test_nobody_meets_the_same_contenders_window_after_window(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell is drawn anew each time: who shares one with a promoted decoy soon does no more."""
    places: list[set[int]] = []
    read = table.reading

    def spy(parts: Sequence[LayoutPart], *rest: Any) -> Reading:
        cells = [memoryview(part.contenders).cast("Q") for part in parts]
        wanted = int.from_bytes(FLOODER, "little")
        places.append({n for one in cells for n, cell in enumerate(one) if cell >> 16 == wanted})
        return read(parts, *rest)

    monkeypatch.setattr(table, "reading", spy)
    for _ in range(6):
        fill(kernel)
        kernel.count([syn(FLOODER)] * (PROMOTE - 1))
        kernel.close_window()

    assert all(places)
    assert len(set.union(*places)) > 1


def test_no_frame_is_lost_or_counted_twice_by_promotion(kernel: Kernel) -> None:
    """Rows and overflow together are the wire; the next window begins with nothing."""
    fill(kernel)
    kernel.count([syn(FLOODER)] * 100)
    window, later = kernel.close_window(), kernel.close_window()
    kernel.close_window()
    again = kernel.close_window()

    listed = sum(row.tx[PACKETS] for row in window.rows if row.tx)
    assert listed + window.overflow_tx[PACKETS] == 2100 == window.wire[PACKETS]
    assert not later.rows
    assert not again.rows


@pytest.mark.parametrize("noise", ["a million random addresses", "line rate"])
def test_a_flood_of_300_is_found_among_random_addresses(noise: str) -> None:
    """In the same window, of a full-sized table, while each frame brings an address of its own."""
    try:
        sender = Sender()
    except LabError as error:
        pytest.skip(str(error))
    kernel = Kernel(4096)
    frames, pieces = (1_000_000 if noise != "line rate" else LINE_RATE), 60
    try:
        for _ in range(pieces):
            kernel.space.call(sender.send, frames // pieces, macs=0)
            kernel.count([syn(FLOODER)] * (300 // pieces))
        window = kernel.close_window()
    finally:
        kernel.close()
        sender.close()

    row = found(window, FLOODER)
    assert row is not None
    assert row.tx[COLUMN["syn"]] > 150
