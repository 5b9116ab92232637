"""The kernel's tables without a wire: the counting program is run over frames at hand."""

from __future__ import annotations

import ctypes
import os
import select
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.capture.test_contenders import FLOODER, VICTIM, arp, syn
from tests.capture.windows import mac

from monitorpi_capture.engine.ebpf import rights
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import PROGRAM, load_object
from monitorpi_capture.engine.ebpf.geometry import Geometry
from monitorpi_capture.engine.ebpf.memory import CONTROL
from monitorpi_capture.engine.ebpf.table import Table
from monitorpi_capture.items import COLUMN, PACKETS, FloodSums, MacCounts, flood_sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitorpi_capture.engine.ebpf.reading import Reading

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs needs root")

ROWS = 64
RESERVE = 4


class Counted:
    """One interface's table and the program that counts into it."""

    def __init__(self, parts: int = 1, rows: int = ROWS) -> None:
        self.geometry = Geometry(
            parts=parts, rows=rows, floods=16, factor=0x9E3779B97F4A7C15, salt=0x5EED,
            reserve=RESERVE,
        )  # fmt: skip
        self._control = system.create_array("control", CONTROL.size, 1)
        self._control.write(self.geometry.control())
        self.table = Table(self.geometry)
        compiled = load_object()
        code = compiled.linked(PROGRAM, self.table.descriptors | {"control": self._control.fd})
        self._program = system.load_program(code, "mp_test", compiled.licence)
        self._epoch = 0
        self.table.prepare(0)
        self.table.prepare(1)
        self._run = system.TestRun(self._program)

    def count(self, frames: Iterable[bytes]) -> None:
        """Let the program see frames."""
        for frame in frames:
            self._run.run(frame)

    def sums(self) -> FloodSums:
        """Return the flood sums of the running window."""
        return self.table.sums(self._epoch)

    def ring_after(self, frames: int) -> None:
        """Have the bell rung in the running window."""
        self.table.ring_after(self._epoch, frames)

    def peek(self) -> Reading:
        """Return what the running window holds so far."""
        return self.table.peek(self._epoch)

    def window(self) -> Reading:
        """End the window and return it."""
        retired, self._epoch = self._epoch, 1 - self._epoch
        self.table.prepare(self._epoch)
        with self._control.mapped(0, CONTROL.size) as control:
            ctypes.c_uint32.from_buffer(control).value = self._epoch
        return self.table.take(retired)

    def close(self) -> None:
        """Give everything back to the kernel."""
        os.close(self._program)
        self._control.close()
        self.table.close()


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Return a table of one part, which all CPUs share."""
    made = Counted()
    yield made
    made.close()


def row(found: Reading, who: bytes) -> MacCounts:
    """Return the row of a MAC."""
    return next(one for one in found.rows if one.mac == who)


def unlisted(found: Reading) -> int:
    """Return the frames on the wire that no row has."""
    return found.wire[PACKETS] - sum(one.tx[PACKETS] for one in found.rows if one.tx)


def test_a_window_has_each_frame_once(counted: Counted) -> None:
    """For its source and its destination; the windows behind it have none of them."""
    counted.count([syn(FLOODER)] * 5 + [syn(VICTIM, FLOODER)] * 2)
    found = counted.window()

    assert {one.mac for one in found.rows} == {FLOODER, VICTIM}
    assert (row(found, FLOODER).tx[PACKETS], row(found, FLOODER).rx[PACKETS]) == (5, 2)
    assert (row(found, VICTIM).tx[PACKETS], row(found, VICTIM).rx[PACKETS]) == (2, 5)
    assert (found.wire[PACKETS], found.wire[1], found.source_macs) == (7, 7 * 60, 2)
    peer = row(found, FLOODER).syn_peer
    assert peer is not None
    assert (peer.mac, peer.port, peer.packets) == (VICTIM, 80, 5)
    for _ in range(3):
        later = counted.window()
        assert (later.rows, later.wire[PACKETS], later.source_macs) == ([], 0, 0)


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_sketches_and_votes_begin_anew_with_each_window(counted: Counted, windows: int) -> None:
    """What a MAC was aimed at before is no part of its spread now."""
    for _ in range(windows):
        counted.count(syn(FLOODER, port=number) for number in range(1, 21))
        first = counted.window()
    counted.count([syn(FLOODER, mac(9), port=22)] * 2)
    again = [counted.window(), counted.window()]
    counted.count([syn(FLOODER, mac(8), port=23)])
    again.append(counted.window())

    spread = row(first, FLOODER).spread
    assert spread is not None
    assert spread.dst_ports == 20
    for found, port in ((again[0], 22), (again[2], 23)):
        assert row(found, FLOODER).spread == (1, 1, 1)
        peer = row(found, FLOODER).syn_peer
        assert peer is not None
        assert peer.port == port


def test_who_floods_when_all_rows_are_taken_has_one_of_the_reserved(counted: Counted) -> None:
    """Within the window, beside its rows; no frame is lost or counted twice."""
    counted.count(arp(mac(number)) for number in range(200))
    counted.count([syn(FLOODER)] * 100)
    sums, looked = counted.sums(), counted.peek()
    found = counted.window()

    for one in (found, looked):
        assert 60 <= row(one, FLOODER).tx[COLUMN["syn"]] <= 100
        assert row(one, FLOODER).tx[COLUMN["syn"]] + one.overflow_tx[COLUMN["syn"]] == 100
        assert one.wire[PACKETS] == 300
        assert unlisted(one) == one.overflow_tx[PACKETS] > 0
        assert len(one.rows) <= ROWS
        assert one.source_macs == pytest.approx(201, rel=0.1)
        assert one.overflown
    assert sums == FloodSums(syn=100)
    for _ in range(3):
        later = counted.window()
        assert later.rows == []
        assert (later.overflow_tx[PACKETS], later.overflow_rx[PACKETS], later.source_macs) == (
            0, 0, 0,
        )  # fmt: skip


def test_who_flooded_so_is_a_guest_of_the_windows_that_follow(counted: Counted) -> None:
    """With a row from the first frame on: exact, whatever fills the table."""
    for _ in range(3):
        counted.count(arp(mac(number)) for number in range(200))
        counted.count([syn(FLOODER)] * 50)
        found = counted.window()

    assert row(found, FLOODER).tx[COLUMN["syn"]] == 50


def test_who_contended_in_vain_is_told(counted: Counted) -> None:
    """With its votes; what sends less than sixteen frames deserved no row."""
    counted.count(arp(mac(number)) for number in range(200))
    for number in range(8):
        counted.count([arp(mac(1000 + number))] * 40)
    counted.count([syn(FLOODER)] * 15)
    found = counted.window()

    promoted = {mac(1000 + number) for number in range(8)} & {one.mac for one in found.rows}
    assert len(promoted) == RESERVE
    assert all(16 <= votes <= 40 for votes in found.refused.values())
    assert len(found.refused.keys() & {mac(1000 + number) for number in range(8)} - promoted) > 0
    assert FLOODER not in found.refused


def test_known_devices_have_rows_whatever_fills_the_table(counted: Counted) -> None:
    """From the next window on; those that are silent have none that is handed over."""
    counted.table.pin([mac(500), mac(501), mac(502)])
    counted.window()
    for _ in range(3):
        counted.count(arp(mac(number)) for number in range(200))
        counted.count([arp(mac(500)), arp(mac(500)), syn(mac(1), mac(501))])
        found = counted.window()

        assert row(found, mac(500)).tx[PACKETS] == 2
        assert row(found, mac(501)).rx[PACKETS] == 1
        assert mac(502) not in {one.mac for one in found.rows}
        assert len(found.rows) <= ROWS


def test_at_most_three_quarters_of_the_rows_are_for_known_devices(counted: Counted) -> None:
    """The best of them; the others come as anybody."""
    counted.table.pin([mac(number) for number in range(100)])
    counted.window()
    counted.count(arp(mac(number)) for number in range(1000, 1200))
    counted.count(arp(mac(number)) for number in range(100))
    found = {one.mac for one in counted.window().rows}

    known = [number for number in range(100) if mac(number) in found]
    assert known == list(range(48))


def test_frames_without_addresses_count_for_the_wire(counted: Counted) -> None:
    """One that is too short for an Ethernet header has no sender, and nobody lost it."""
    counted.count([bytes(10), syn(FLOODER)])
    found = counted.window()

    assert found.wire[PACKETS] == 2
    assert found.wire[COLUMN["malformed"]] == 1
    assert (found.overflow_tx[PACKETS], found.source_macs, found.overflown) == (0, 1, False)


@pytest.mark.parametrize("strangers", [0, 200])
def test_sums_of_a_running_window_are_those_of_its_wire(counted: Counted, strangers: int) -> None:
    """Of rows, reserved rows and what found none; each window's anew."""
    answer = syn(VICTIM, FLOODER)[:47] + b"\x12" + syn(VICTIM, FLOODER)[48:]
    counted.table.pin([VICTIM])
    for _ in range(3):
        counted.window()
        counted.count(syn(mac(number)) for number in range(strangers))
        counted.count([syn(FLOODER)] * 30 + [answer] * 20)

        assert counted.sums() == FloodSums(syn=30 + strangers, syn_ack=20)
        assert flood_sums(counted.peek().wire) == counted.sums()
    assert counted.window().wire[COLUMN["syn"]] == 30 + strangers


def rung(one: Counted, frames: Iterable[bytes]) -> bool:
    """Let the program see frames; return whether the bell was rung by then."""
    bell = select.poll()
    bell.register(one.table.bell.fd, select.POLLIN)
    one.count(frames)
    return bool(bell.poll(0))


PINGED = (
    VICTIM + FLOODER + bytes.fromhex("0800 4500001c 00000000 40010000 01010101 02020202 0800")
    + bytes(24)
)  # fmt: skip


@pytest.mark.parametrize("asks", [[syn(FLOODER)] * 5, [PINGED] * 5, [syn(FLOODER), PINGED] * 2])
def test_the_bell_is_rung_after_as_many_requests_as_were_asked_for(
    counted: Counted, asks: list[bytes]
) -> None:
    """Once, and not before it was asked for; what was there before counts for nothing."""
    *most, last = asks
    assert not rung(counted, asks * 20)

    counted.ring_after(len(asks))

    assert not rung(counted, most)
    assert rung(counted, [last])
    counted.table.bell.silence()
    assert not rung(counted, asks * 20)


def test_what_asks_for_nothing_rings_no_bell(counted: Counted) -> None:
    """Answers, ARP and what has no address."""
    answer = syn(VICTIM, FLOODER)[:47] + b"\x12" + syn(VICTIM, FLOODER)[48:]
    counted.ring_after(1)

    assert not rung(counted, [answer, arp(FLOODER), bytes(10)])


def test_strangers_without_a_row_ring_the_bell(counted: Counted) -> None:
    """Nobody hides behind a full table."""
    counted.count(syn(mac(number)) for number in range(ROWS))
    counted.ring_after(100)

    assert not rung(counted, [syn(mac(1000 + number)) for number in range(99)])
    assert rung(counted, [syn(mac(2000))])


def test_a_new_window_rings_no_bell_by_itself(counted: Counted) -> None:
    """It is asked for anew in each: the counters begin anew."""
    counted.ring_after(10)
    counted.window()

    assert not rung(counted, [syn(FLOODER)] * 20)


def test_a_look_takes_nothing(counted: Counted) -> None:
    """The running window goes on, and has what was looked at."""
    counted.count([syn(FLOODER)] * 5)
    first = counted.peek()
    counted.count([syn(FLOODER)] * 3)

    assert row(first, FLOODER).tx[PACKETS] == 5
    assert row(first, FLOODER).spread == (1, 1, 1)
    assert row(counted.peek(), FLOODER).tx[PACKETS] == 8
    assert row(counted.window(), FLOODER).tx[PACKETS] == 8


def test_what_two_cpus_counted_is_one_window() -> None:
    """Rows, spread, votes and what found no row are put together."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        pytest.skip("this machine has one CPU")
    one = Counted(parts=cpus[1] + 1)

    def on(cpu: int, frames: list[bytes]) -> None:
        os.sched_setaffinity(0, {cpu})
        one.count(frames)

    with ThreadPoolExecutor(1) as thread:
        for n, cpu in enumerate(cpus):
            noise = [arp(mac(1000 * n + number)) for number in range(200)]
            mine = [syn(FLOODER, port=10 * n + port) for port in range(1, 11)]
            thread.submit(on, cpu, [*mine, *[syn(FLOODER)] * 20, *noise]).result()
        sums = one.sums()
        found = one.window()
        later = one.window()
    one.close()

    attacker = row(found, FLOODER)
    assert attacker.tx[COLUMN["syn"]] == sums.syn == 60
    assert attacker.spread is not None
    assert attacker.spread.dst_ports == 21
    assert attacker.syn_peer is not None
    assert (attacker.syn_peer.mac, attacker.syn_peer.port) == (VICTIM, 80)
    assert row(found, VICTIM).rx[PACKETS] == 60
    assert len(found.rows) <= ROWS
    assert found.wire[PACKETS] == 460
    assert unlisted(found) == found.overflow_tx[PACKETS]
    assert found.source_macs == pytest.approx(401, rel=0.15)
    assert (later.rows, later.wire[PACKETS]) == ([], 0)


# --- the kernel's permission ----------------------------------------------------------------------


@pytest.mark.parametrize("capability", [system.CAP_NET_RAW, system.CAP_BPF])
def test_a_thread_gives_up_one_capability(capability: int) -> None:
    """For itself alone: the others keep it."""

    def without() -> tuple[int, int]:
        before = system.effective_capabilities()
        system.drop_capability(capability)
        return before, system.effective_capabilities()

    with ThreadPoolExecutor(1) as thread:
        before, after = thread.submit(without).result()

    status = Path("/proc/self/status").read_text(encoding="ascii")
    assert f"CapEff:\t{before:016x}\n" in status
    assert after == before & ~(1 << capability)
    assert system.effective_capabilities() == before


def test_what_only_the_opening_needs_is_given_up() -> None:
    """Packet sockets need one of them later; programs and maps are there by then."""

    def given_up() -> int:
        before = system.effective_capabilities()
        rights.relinquish()
        return before & ~system.effective_capabilities()

    with ThreadPoolExecutor(1) as thread:
        gone = thread.submit(given_up).result()

    opening = system.CAP_BPF, system.CAP_PERFMON, system.CAP_SYS_ADMIN, system.CAP_NET_ADMIN
    wanted = sum(1 << one for one in opening)
    assert gone == system.effective_capabilities() & wanted
