"""What an engine hands the inventory beside its counts: never at their expense."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6, IPv6ExtHdrDestOpt, PadN
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from tests.capture import livewire
from tests.capture.cable import await_carrier, plug
from tests.conftest import wait_for

from monitorpi_capture.engine.choice import BEST_FIRST
from monitorpi_capture.frame.classify import class_names, classify
from monitorpi_capture.items import COLUMN, PACKETS, counts_by_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_capture.items import Engine, WindowCounts
    from monitorpi_lab.namespace import Namespace

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

ASKED = bytes.fromhex(livewire.frame("0806", livewire.ARP))
OTHER = bytes.fromhex(livewire.frame("88b5", "00"))


def send(interface: str, *frames: bytes) -> None:
    """Send frames in the calling thread's namespace, one after the other."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for one in frames:
            sock.send(one)


def closed(namespace: Namespace, engine: Engine) -> Sequence[WindowCounts]:
    """Let the engine count for a moment, and close its windows."""
    engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 0.2)
    return namespace.call(engine.close_windows)


def all_windows(namespace: Namespace, engine: Engine, frames: int) -> list[WindowCounts]:
    """Close windows until so many frames were counted."""
    windows: list[WindowCounts] = []

    def counted() -> bool:
        windows.extend(closed(namespace, engine))
        return sum(one.wire[PACKETS] for one in windows) >= frames

    wait_for(counted)
    return windows


@pytest.mark.parametrize("name", BEST_FIRST)
def test_a_reader_that_sleeps_costs_no_count(namespace: Namespace, name: str) -> None:
    """Of 2,000 ARP frames that nobody reads all count; a bounded number waits, the rest is told."""
    plug(namespace)
    engine = BEST_FIRST[name](["vb"], 64)
    namespace.call(engine.open)
    (feed,) = engine.feeds

    namespace.call(send, "va", *[ASKED, OTHER] * 2_000)
    windows = all_windows(namespace, engine, 4_000)
    dropped = feed.dropped()
    waiting = list(iter(feed.receive, None))
    namespace.call(engine.close)

    assert (feed.name, sum(one.losses.get("socket", 0) for one in windows)) == ("vb", 0)
    assert sum(one.wire[COLUMN["arp"]] for one in windows) == 2_000
    assert {(one.data, one.length, one.tag) for one in waiting} == {(ASKED, len(ASKED), None)}
    assert 50 < len(waiting) < 1_000
    assert len(waiting) + dropped == 2_000


MIXED = [
    bytes(Ether(src="04:00:00:00:00:01", dst="04:00:00:00:00:02") / one).ljust(60, b"\0")
    for one in (
        IP() / TCP(dport=80, flags="S"), IP() / TCP(sport=443, flags="SA"), IP() / TCP(flags="R"),
        IP() / TCP(dport=443, flags="PA") / Raw(bytes(1_000)), IP(frag=9) / Raw(bytes(50)),
        IP(options=[IPOption(b"\x94\x04\x00\x00")]) / TCP(flags="F"), IP(len=900) / UDP(),
        IP() / UDP(sport=53) / Raw(bytes(20)), IP() / UDP(sport=68, dport=67) / Raw(bytes(240)),
        IP() / UDP(sport=9, dport=9, len=7), IP() / ICMP(), IP() / ICMP(type=0), IP(proto=2),
        IPv6() / TCP(dport=80, flags="S"), IPv6() / ICMPv6EchoRequest(), IPv6() / ICMPv6ND_NS(),
        IPv6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(240))] * 8) / UDP(dport=53),
        Dot1Q(vlan=5) / IP() / TCP(dport=80, flags="S"), Dot1Q(vlan=5) / Dot1Q(vlan=6) / ARP(),
        ARP(), Raw(bytes(46)),
    )
]  # fmt: skip


@pytest.mark.parametrize("name", BEST_FIRST)
def test_frames_on_a_cable_count_as_the_reference_says(namespace: Namespace, name: str) -> None:
    """Of every kind three, one behind the other: classes, packets and bytes."""
    plug(namespace)
    for end in ("va", "vb"):
        namespace.run(["ip", "link", "set", end, "mtu", "4000"])
    engine = BEST_FIRST[name](["vb"], 64)
    namespace.call(engine.open)
    expected: Counter[str] = Counter()
    for data in MIXED * 3:
        expected.update(["packets", *class_names(classify(data, len(data))[0])])

    namespace.call(send, "va", *MIXED * 3)
    windows = all_windows(namespace, engine, 3 * len(MIXED))
    namespace.call(engine.close)

    found: Counter[str] = Counter()
    for window in windows:
        found.update(counts_by_name(window.wire))
    assert found.pop("bytes") == 3 * sum(map(len, MIXED))
    assert found == expected


@pytest.mark.parametrize("name", BEST_FIRST)
def test_a_feed_goes_on_with_its_interface(namespace: Namespace, name: str) -> None:
    """While it is away nothing waits; when it is back its frames are handed over again."""
    plug(namespace)
    engine = BEST_FIRST[name](["vb"], 64)
    namespace.call(engine.open)
    (feed,) = engine.feeds
    namespace.call(send, "va", ASKED)
    all_windows(namespace, engine, 1)
    before = feed.receive()

    namespace.run(["ip", "link", "del", "va"])
    closed(namespace, engine)
    away = (feed.receive(), feed.dropped())
    plug(namespace)
    closed(namespace, engine)
    namespace.call(send, "va", OTHER, ASKED)
    all_windows(namespace, engine, 2)
    after = [feed.receive(), feed.receive()]
    namespace.call(engine.close)

    assert before == after[0] == (ASKED, len(ASKED), None)
    assert away == (None, 0)
    assert [after[1], feed.receive(), feed.dropped()] == [None, None, 0]


@pytest.mark.parametrize("name", BEST_FIRST)
def test_an_interface_that_is_switched_off_is_waited_for(namespace: Namespace, name: str) -> None:
    """The socket's error is taken, not looked at again and again; switched on it counts on."""
    plug(namespace)
    engine = BEST_FIRST[name](["vb"], 64)
    namespace.call(engine.open)
    namespace.run(["ip", "link", "set", "vb", "down"])
    begun_s = time.thread_time()
    engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 1.0)
    busy_s = time.thread_time() - begun_s
    namespace.call(engine.close_windows)
    namespace.run(["ip", "link", "set", "vb", "up"])
    await_carrier(namespace)
    wait_for(lambda: namespace.call(engine.close_windows) != [] and not engine.away, 5, "up again")
    namespace.call(send, "va", ASKED)
    (window,) = all_windows(namespace, engine, 1)
    namespace.call(engine.close)

    assert busy_s < 0.2
    assert window.wire[PACKETS] == 1
