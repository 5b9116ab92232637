"""The kernel engine at work: exact counts at every rate, no gap, nothing left behind."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.capture.cable import plug
from tests.capture.ebpf_rig import TAG, counting, flood_frame, rows

from monitorpi_capture.engine.choice import BEST_FIRST
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_capture.engine.ebpf.tcx import TcxEngine
from monitorpi_capture.items import BYTES, COLUMN, PACKETS, EngineRefusedError
from monitorpi_common.service import ResourceError
from monitorpi_dev.sender import DESTINATION, FRAME_BYTES, INTERFACE, Sender, source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_capture.items import Engine, WindowCounts
    from monitorpi_lab.namespace import Namespace

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]


def descriptors() -> int:
    """Return how many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("make", [EbpfEngine, TcxEngine])
def test_a_bell_ends_the_wait(namespace: Namespace, sender: Sender, make: type[EbpfEngine]) -> None:
    """As soon as so many SYNs and echo requests came, however long the wait was to be."""
    engine = make((INTERFACE,), 64)
    namespace.call(engine.open)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(
                engine.count_until, time.clock_gettime(time.CLOCK_BOOTTIME) + 60, {INTERFACE: 100}
            )
            namespace.call(sender.send, 1000, macs=20)
            waiting.result()
        took_s = time.monotonic() - began
        (sums,) = engine.sums().values()
    finally:
        engine.close()

    assert sums.syn + sums.icmp_echo >= 100
    assert took_s < 30


@pytest.mark.parametrize("make", BEST_FIRST.values(), ids=BEST_FIRST)
def test_an_engine_gives_every_descriptor_back(
    namespace: Namespace, make: Callable[[Sequence[str], int], Engine]
) -> None:
    """After its end, after a second end, and where there is nothing to count on."""
    before = descriptors()
    engine = make((INTERFACE,), 64)
    namespace.call(engine.open)
    engine.count_until(0.0)
    engine.close_windows()
    engine.stop()
    engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 60)
    engine.close()
    engine.close()
    engine.stop()
    after = descriptors()
    nowhere = make(("nowhere0",), 64)
    with pytest.raises(ResourceError):
        namespace.call(nowhere.open)

    assert after == before
    assert descriptors() == before


@pytest.mark.parametrize("per_second", [1_000, 148_800, 1_488_000])
def test_counts_are_what_was_sent(namespace: Namespace, sender: Sender, per_second: int) -> None:
    """At every rate each MAC has exactly the frames of each class that it sent."""
    macs, rounds = 50, max(per_second // 200, 8)
    frames = macs * rounds

    with counting(namespace) as engine:
        namespace.call(sender.send, frames, per_second=per_second, macs=macs, kinds=4)
        (window,) = namespace.call(engine.close_windows)

    kinds = Counter(number % 4 for number in range(rounds))
    found = rows(window)
    assert frames == window.wire[PACKETS] == found[DESTINATION].rx[PACKETS]
    assert frames * FRAME_BYTES == window.wire[BYTES]
    for number in range(macs):
        tx = found[source(number)].tx
        assert rounds == tx[PACKETS] == tx[COLUMN["ipv4"]]
        assert kinds[0] == tx[COLUMN["syn"]]
        assert kinds[1] == tx[COLUMN["icmp_echo"]] == tx[COLUMN["icmp"]]
        assert kinds[2] == tx[COLUMN["dns"]] == tx[COLUMN["udp"]]
        assert kinds[0] + kinds[3] == tx[COLUMN["tcp"]]


def test_a_signal_does_not_cut_a_run_of_the_sender_short(
    namespace: Namespace, sender: Sender
) -> None:
    """The kernel ends a run at a signal; the sender goes on where it was."""
    frames = 60_000
    thread = namespace.call(threading.get_ident)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)

    try:
        with counting(namespace) as engine:
            sending = namespace.submit(sender.send, frames, per_second=100_000)
            for _ in range(20):
                time.sleep(0.02)
                signal.pthread_kill(thread, signal.SIGUSR1)
            sent = sending.result(30)
            (window,) = namespace.call(engine.close_windows)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert sent.frames == frames == window.wire[PACKETS]


def test_no_frame_between_windows(namespace: Namespace, sender: Sender) -> None:
    """Frames sent at full speed across many cuts are in exactly one window each."""
    frames = 2_000_000
    windows: list[WindowCounts] = []

    with counting(namespace) as engine:
        sending = threading.Thread(
            target=lambda: namespace.call(sender.send, frames, macs=50), daemon=True
        )
        sending.start()
        while sending.is_alive():
            windows += engine.close_windows()
        windows += engine.close_windows()

    assert len(windows) > 5
    assert frames == sum(window.wire[PACKETS] for window in windows)
    sent = Counter[bytes]()
    for window in windows:
        sent.update({row.mac: row.tx[PACKETS] for row in window.rows if row.tx})
    assert {source(number): frames // 50 for number in range(50)} == dict(sent)


def test_interfaces_are_counted_apart(namespace: Namespace, sender: Sender) -> None:
    """Windows of two interfaces are cut at one moment; no frame gets into the other's counts."""
    plug(namespace)
    windows: list[WindowCounts] = []

    with (
        counting(namespace, INTERFACE, "vb") as engine,
        namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock,
    ):
        sock.bind(("va", 0))
        for _ in range(10):
            namespace.call(sender.send, 50_000, macs=50)
            for _ in range(30):
                sock.send(flood_frame(99))
            windows += namespace.call(engine.close_windows)

    here, there = ([one for one in windows if one.interface == name] for name in (INTERFACE, "vb"))
    assert [one.wire[PACKETS] for one in here] == [50_000] * 10
    assert [one.wire[PACKETS] for one in there] == [30] * 10
    assert [one.end for one in here] == [one.end for one in there]
    assert [{source(99), DESTINATION}] * 10 == [set(rows(one)) for one in there]
    assert not any(source(99) in rows(one) for one in here)


def test_merged_segments_count_as_on_the_wire(namespace: Namespace) -> None:
    """A frame merged of 3 has 3 frames' bytes: each had headers of its own."""
    headers = 14 + 20 + 20
    data = flood_frame(1, kind=0x10)

    with counting(namespace) as engine:
        run = system.TestRun(engine.programs[INTERFACE])
        namespace.call(run.run, data, gso_segments=3)
        namespace.call(run.run, data)
        (window,) = namespace.call(engine.close_windows)

    tx = rows(window)[source(1)].tx
    assert 4 == tx[PACKETS] == tx[COLUMN["http"]]
    assert len(data) + 2 * headers + len(data) == tx[BYTES]


@pytest.mark.parametrize("data_tags", [0, 1, 2])
def test_tags_on_a_cable(namespace: Namespace, data_tags: int) -> None:
    """The stack takes the outer tag out: the frame still has its bytes and the class vlan."""
    plug(namespace)
    data = flood_frame(1, tags=TAG * data_tags)

    with counting(namespace, "vb") as engine:
        with namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("va", 0))
            for _ in range(5):
                sock.send(data)
        (window,) = namespace.call(engine.close_windows)

    tx = rows(window)[source(1)].tx
    assert 5 * len(data) == tx[BYTES]
    assert (5 if data_tags else 0) == tx[COLUMN["vlan"]]
    assert tx[COLUMN["syn"]] == 5


def test_a_card_goes_and_comes_back(namespace: Namespace) -> None:
    """An interface that vanishes is named as away; when it is back it is counted again."""

    def send() -> None:
        with namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("va", 0))
            sock.send(flood_frame(1))

    plug(namespace)
    with counting(namespace, "vb", INTERFACE) as engine:
        send()
        before = {window.interface: window for window in namespace.call(engine.close_windows)}
        send()
        namespace.run(["ip", "link", "del", "va"])
        at_loss = {window.interface: window for window in namespace.call(engine.close_windows)}
        away = dict(engine.away)
        gone = {window.interface for window in namespace.call(engine.close_windows)}
        plug(namespace)
        namespace.call(engine.close_windows)
        back = dict(engine.away)
        send()
        after = {window.interface: window for window in namespace.call(engine.close_windows)}

    assert rows(before["vb"])[source(1)].tx[PACKETS] == 1
    assert rows(at_loss["vb"])[source(1)].tx[PACKETS] == 1
    assert away == {"vb": "the interface is gone"}
    assert {INTERFACE} == gone
    assert back == {}
    assert rows(after["vb"])[source(1)].tx[PACKETS] == 1


@pytest.mark.parametrize("allowed", [20_480, 10_240])
def test_a_kernel_that_takes_small_filters_only(
    namespace: Namespace, sender: Sender, allowed: int
) -> None:
    """64-bit and 32-bit kernels before 6.7 let a filter be so small: it counts all the same."""
    small = namespace.run(["sysctl", "-qw", f"net.core.optmem_max={allowed}"], check=False)
    if small.returncode:
        pytest.skip("this kernel has one optmem_max for all namespaces (Linux before 6.7)")
    namespace.run(["ip", "link", "set", INTERFACE, "down"])

    with counting(namespace) as engine:
        port = engine._ports[0]
        namespace.call(port.detach)
        namespace.run(["ip", "link", "set", INTERFACE, "up"])
        namespace.call(engine.close_windows)
        namespace.call(sender.send, 5000, macs=5)
        (window,) = namespace.call(engine.close_windows)
        assert port._trampoline is not None

    assert engine.away == {}
    assert [rows(window)[source(number)].tx[PACKETS] for number in range(5)] == [1000] * 5


def test_own_frames_are_not_counted(namespace: Namespace) -> None:
    """What this machine sends on the counted interface is left out."""
    plug(namespace)

    with counting(namespace, "va") as engine:
        with namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("va", 0))
            sock.send(flood_frame(1))
        (window,) = namespace.call(engine.close_windows)

    assert source(1) not in rows(window)


def test_nothing_is_left_behind(namespace: Namespace) -> None:
    """Engines that were closed leave no descriptor, however many there were."""
    before = descriptors()

    for _ in range(20):
        with counting(namespace):
            pass

    assert descriptors() == before


@pytest.mark.parametrize("make", BEST_FIRST.values(), ids=BEST_FIRST)
def test_an_engine_that_could_be_opened_in_part_gives_all_back(
    namespace: Namespace, make: Callable[[Sequence[str], int], Engine]
) -> None:
    """Wherever the kernel says no; here it gives no more descriptors, after each number of them."""
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    refused = 0
    for most in range(64):
        engine = make((INTERFACE, "lo"), 64)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 1 + most, hard))
        try:
            namespace.call(engine.open)
        except (EngineRefusedError, ResourceError):
            refused += 1
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            engine.close()
        assert descriptors() == before, f"refused the {most + 1}. descriptor"

    assert 0 < refused < 64
    assert descriptors() == before
