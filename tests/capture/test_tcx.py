"""Counting at an interface's way in: what passes, what stays behind, what the ring holds."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.capture.test_feeds import ASKED, OTHER, all_windows, closed, plug, send
from tests.conftest import wait_for

from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf import tcx
from monitorpi_capture.engine.ebpf.memory import LARGE_FRAME, SMALL_FRAME
from monitorpi_capture.engine.ebpf.ring import RING_BYTES
from monitorpi_capture.engine.ebpf.tcx import TcxEngine
from monitorpi_capture.items import COLUMN, PACKETS
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

PROG_QUERY = 16
COUNT = """
import sys, time
from monitorpi_capture.engine.ebpf.tcx import TcxEngine
engine = TcxEngine(["vb"], 64)
engine.open()
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture
def counting(namespace: Namespace) -> Iterator[TcxEngine]:
    """Count what comes in at vb."""
    plug(namespace)
    engine = TcxEngine(["vb"], 64)
    namespace.call(engine.open)
    yield engine
    namespace.call(engine.close)


def arp(length: int) -> bytes:
    """Return a frame of ARP that is so long."""
    return ASKED[:42].ljust(length, b"\xaa")


def hooked() -> int:
    """Return how many programs stand at the way in of vb (bpf(2), BPF_PROG_QUERY)."""
    index = socket.if_nametoindex("vb")
    question = ctypes.create_string_buffer(struct.pack("=II", index, tcx.TCX_INGRESS), 128)
    number = system._number(system._NUMBERS)
    address = ctypes.addressof(question)
    system._checked(system._libc.syscall(number, PROG_QUERY, address, len(question)))
    return int(struct.unpack_from("=I", question, 24)[0])


def test_frames_go_on_to_the_stack_and_to_other_programs(
    namespace: Namespace, counting: TcxEngine
) -> None:
    """Nothing is taken from anybody: whoever else listens there gets all of it."""
    second = TcxEngine(["vb"], 64)
    namespace.call(second.open)
    listener = namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    listener.bind(("vb", 3))
    listener.settimeout(5)

    namespace.call(send, "va", ASKED)
    got = listener.recv(2048)
    counts = [all_windows(namespace, one, 1)[-1].wire[PACKETS] for one in (counting, second)]
    namespace.call(second.close)
    listener.close()

    assert got == ASKED
    assert counts == [1, 1]


def test_nothing_stays_behind_a_process_that_is_killed(namespace: Namespace) -> None:
    """The program goes with the link, which was an open file of that process."""
    plug(namespace)
    before = namespace.call(hooked)
    process = namespace.popen([sys.executable, "-c", COUNT], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    during = namespace.call(hooked)

    process.kill()
    process.wait()
    process.stdout.close()

    assert (before, during) == (0, 1)
    wait_for(lambda: namespace.call(hooked) == 0, 5, "the program to go")


def test_the_card_is_asked_for_all_frames_as_long_as_we_count(namespace: Namespace) -> None:
    """As by any sniffer, and no longer."""

    def promiscuity() -> str:
        shown = namespace.run(["ip", "-d", "link", "show", "vb"]).stdout.split()
        return shown[shown.index("promiscuity") + 1]

    plug(namespace)
    engine = TcxEngine(["vb"], 64)
    before = promiscuity()
    namespace.call(engine.open)
    during = promiscuity()
    namespace.call(engine.close)

    assert (before, during, promiscuity()) == ("0", "1", "0")


def test_an_interface_that_went_elsewhere_and_came_back(
    namespace: Namespace, counting: TcxEngine
) -> None:
    """Into another namespace, as containers take theirs: it is away, then it counts again."""
    other = Namespace("other")
    try:
        namespace.run(["ip", "link", "set", "vb", "netns", other.path])
        closed(namespace, counting)
        away = dict(counting.away)
        other.run(["ip", "link", "set", "vb", "netns", namespace.path])
        namespace.run(["ip", "link", "set", "vb", "up"])
        wait_for(lambda: closed(namespace, counting) is not None and not counting.away, 5, "vb")
        namespace.call(send, "va", OTHER)
        (window,) = all_windows(namespace, counting, 1)
    finally:
        other.close()

    assert away == {"vb": "the interface is gone"}
    assert window.wire[PACKETS] == 1


LENGTHS = [
    42,
    60,
    SMALL_FRAME - 1,
    SMALL_FRAME,
    SMALL_FRAME + 1,
    LARGE_FRAME - 1,
    LARGE_FRAME,
    3000,
]


def test_frames_of_every_length_are_handed_over(namespace: Namespace, counting: TcxEngine) -> None:
    """Whole as far as the largest room goes; how long a longer one was is told."""
    for end in ("va", "vb"):
        namespace.run(["ip", "link", "set", end, "mtu", "4000"])
    (feed,) = counting.feeds
    namespace.call(send, "va", *map(arp, LENGTHS))
    all_windows(namespace, counting, len(LENGTHS))
    found = list(iter(feed.receive, None))

    assert [one.length for one in found] == LENGTHS
    assert [one.data for one in found] == [arp(length)[: LARGE_FRAME - 1] for length in LENGTHS]
    assert LARGE_FRAME == 2048


def test_the_ring_goes_round(namespace: Namespace, counting: TcxEngine) -> None:
    """Read in time nothing is missed, however often it comes to its end; lengths mixed."""
    (feed,) = counting.feeds
    lengths = [60, 1000, 200, 300] * 10
    rounds = 4 * RING_BYTES // sum(264 if one < SMALL_FRAME else 2056 for one in lengths) + 2
    for _ in range(rounds):
        namespace.call(send, "va", *map(arp, lengths))
        found = [wait_for(feed.receive, 5, "a frame").length for _ in lengths]
        assert found == lengths

    assert feed.dropped() == 0
    windows = all_windows(namespace, counting, rounds * len(lengths))
    assert sum(one.wire[COLUMN["arp"]] for one in windows) == rounds * len(lengths)
    assert (SMALL_FRAME, RING_BYTES) == (256, 131_072)
