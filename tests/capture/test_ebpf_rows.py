"""Rows of the kernel engine: bounded, exact for devices, one for each MAC."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from tests.capture.ebpf_rig import TAG, counting, flood_frame, rows

from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import parts
from monitorpi_capture.frame.classify import classify
from monitorpi_capture.items import COLUMN, PACKETS
from monitorpi_dev.sender import DESTINATION, INTERFACE, Sender, source

if TYPE_CHECKING:
    from monitorpi_lab.namespace import Namespace


pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]


def test_known_devices_stay_exact_in_a_flood_of_addresses(
    namespace: Namespace, sender: Sender
) -> None:
    """A million random source addresses fill the table; seeded devices keep rows of their own."""
    known = [source(number) for number in range(200)]

    with counting(namespace, pinned=[*known, DESTINATION]) as engine:
        namespace.call(sender.send, 500_000, macs=0)
        namespace.call(sender.send, 20_000, macs=200)
        namespace.call(sender.send, 500_000, macs=0)
        (window,) = namespace.call(engine.close_windows)

    found = rows(window)
    assert len(found) <= 4096
    assert [found[mac].tx[PACKETS] for mac in known] == [100] * 200
    assert found[DESTINATION].rx[PACKETS] == 1_020_000 == window.wire[PACKETS]
    listed = sum(row.tx[PACKETS] for row in window.rows if row.tx)
    assert listed + window.overflow_tx[PACKETS] == 1_020_000
    assert window.source_macs == pytest.approx(1_000_200, rel=0.1)


def test_rows_are_bounded_and_the_rest_is_summed(namespace: Namespace, sender: Sender) -> None:
    """More MACs than rows: the frames of those without one are in the overflow."""
    with counting(namespace, max_rows=64) as engine:
        namespace.call(sender.send, 1000, macs=100, cpu=0)
        (window,) = namespace.call(engine.close_windows)
        namespace.call(sender.send, 100, macs=10)
        (later,) = namespace.call(engine.close_windows)

    assert len(window.rows) == 64
    assert sum(row.tx[PACKETS] for row in window.rows if row.tx) == 63 * 10
    assert window.overflow_tx[PACKETS] == 37 * 10
    assert pytest.approx(window.source_macs, abs=4) == 100
    assert later.overflow_tx[PACKETS] == 0
    assert len(later.rows) == 11


def test_a_mac_on_several_cpus_has_one_row(namespace: Namespace, sender: Sender) -> None:
    """What the CPUs counted of one MAC is put together, sketches and votes as well."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("this machine has one CPU")

    with counting(namespace) as engine:
        for cpu in cpus[:2]:
            namespace.call(sender.send, 10_000, macs=1, spread=10_000, cpu=cpu)
        (window,) = namespace.call(engine.close_windows)

    row = rows(window)[source(0)]
    assert 20_000 == row.tx[PACKETS] == row.tx[COLUMN["syn"]]
    assert row.spread is not None
    assert row.spread.src_ips == pytest.approx(10_000, rel=0.1)
    assert row.syn_peer is not None
    assert row.syn_peer.packets == 20_000


def test_spread_and_top_peer(namespace: Namespace, sender: Sender) -> None:
    """A flood's spread is estimated and its target named, for SYNs and echo requests apart."""
    with counting(namespace) as engine:
        namespace.call(sender.send, 100_000, macs=2, kinds=2, spread=50_000)
        (window,) = namespace.call(engine.close_windows)

    row = rows(window)[source(0)]
    assert row.spread is not None
    assert row.spread.src_ips == pytest.approx(25_000, rel=0.1)
    assert (row.spread.dst_ips, row.spread.dst_ports) == (1, 1)
    assert row.syn_peer == (DESTINATION, bytes((198, 19, 0, 1)), 99, 25_000)
    assert row.echo_peer == (DESTINATION, bytes((198, 19, 0, 1)), None, 25_000)


def test_a_row_found_is_the_row_seeded(namespace: Namespace, sender: Sender) -> None:
    """The kernel finds the cells that were written for pinned, whatever their order and number."""
    pinned = [source(number) for number in range(4095)]

    with counting(namespace, pinned=pinned) as engine:
        namespace.call(sender.send, 3 * 4095, macs=4095)
        (window,) = namespace.call(engine.close_windows)

    found = rows(window)
    assert window.overflow_tx[PACKETS] == 0
    assert [found[mac].tx[PACKETS] for mac in pinned] == [3] * 4095


def test_a_full_window_is_read_in_time(namespace: Namespace, sender: Sender) -> None:
    """A full window costs no more CPU time a row than a small one: the time grows with the rows.

    How long it takes is the benchmark's to tell: here it would measure who else runs.
    """
    best: dict[int, float] = {}

    with counting(namespace) as engine:
        for macs in (4095, 255):
            taken = []
            for _ in range(5):
                namespace.call(sender.send, 3 * macs, macs=macs)
                engine._grace = _NoWait()  # type: ignore[assignment]  # nothing runs any more
                start = time.process_time()
                (window,) = namespace.call(engine.close_windows)
                taken.append(time.process_time() - start)
                assert macs + 1 == len(window.rows)
            best[macs] = min(taken)

    assert best[4095] / 4095 < 1.5 * best[255] / 255


class _NoWait:
    """Stands for a grace period that is over."""

    def wait(self) -> None:
        """Return at once."""

    def close(self) -> None:
        """Hold nothing."""


def test_reference_agrees_with_the_engine(namespace: Namespace) -> None:
    """A frame run through the counting program lands in the columns the reference names."""
    data = flood_frame(7, tags=TAG)
    mask = classify(data, len(data))[0]

    with counting(namespace) as engine:
        namespace.call(system.TestRun(engine.programs[INTERFACE]).run, data)
        (window,) = namespace.call(engine.close_windows)

    tx = rows(window)[source(7)].tx
    assert [mask >> bit & 1 for bit in range(len(tx) - 2)] == list(tx[2:])


def test_sharing_memory_among_many_cpus() -> None:
    """The parts are as many as CPUs, and never more than are allowed."""
    assert 1 <= parts() <= max(memory.MAX_PARTS, os.cpu_count() or 1)
