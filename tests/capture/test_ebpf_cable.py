"""The kernel's program on frames of a real cable, merged ones too, and its cost."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    PadN,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw
from tests.capture.cable import plug
from tests.capture.ebpf_frames import SOURCES, frames

from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import PROGRAM, EbpfEngine, load_object
from monitorpi_capture.engine.ebpf.ring import Bell
from monitorpi_capture.frame.classify import classify
from monitorpi_capture.items import PACKETS
from monitorpi_common.messages import CLASSES
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs needs root"),
]

INSTRUCTIONS_NOW: Final = {"all capabilities": 12_700, "CAP_BPF alone": 17_100}
"""What the verifier walked when this was written (Linux 6.18); the limit is 1,000,000. Without
CAP_PERFMON it also walks what a processor might run ahead of time."""
MARGIN: Final = 2.5


@pytest.fixture(scope="module")
def cable() -> Iterator[tuple[Namespace, EbpfEngine, socket.socket]]:
    """Return a namespace, the engine at one end of a cable in it, and a socket at the other."""
    space = Namespace("ebpf-cable")
    space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    plug(space)
    engine = EbpfEngine(["vb"], 4096)
    space.call(engine.open)
    sock = space.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind(("va", 0))
    yield space, engine, sock
    sock.close()
    space.call(engine.close)
    space.close()


def received(data: bytes) -> int:
    """Return the class mask the reference gives a frame as the stack hands it over."""
    if data[12:14] in {b"\x81\x00", b"\x88\xa8"}:
        return classify(data[:12] + data[16:], len(data) - 4, stripped_tag=True)[0]
    return classify(data, len(data))[0]


@pytest.mark.lab
@settings(SOURCES, max_examples=60)
@given(sent=st.lists(frames(), min_size=1, max_size=40))
def test_frames_on_a_cable(
    cable: tuple[Namespace, EbpfEngine, socket.socket], sent: list[bytes]
) -> None:
    """Frame by frame a live interface counts as the reference; the stack takes outer tags out."""
    space, engine, sock = cable
    # a cable pads; the stack drops frames that end inside a tag
    padded = [data.ljust(60, b"\0") for data in sent]
    by_source = {b"\x02\x01" + bytes((0, 0, 0, n)): data for n, data in enumerate(padded)}

    for mac, data in by_source.items():
        sock.send(data[:6] + mac + data[12:])
    (window,) = space.call(engine.close_windows)

    found = {row.mac: row.tx for row in window.rows if row.tx}
    assert by_source.keys() == found.keys()
    for mac, data in by_source.items():
        mask = received(data)
        classes = [mask >> bit & 1 for bit in range(len(CLASSES))]
        assert [1, len(data), *classes] == list(found[mac])


def merged_heads() -> dict[str, bytes]:
    """Return what stands before the payload of frames that receive offload merges."""
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    tcp, udp = TCP(sport=1, dport=443, flags="A"), UDP(sport=1, dport=443)
    return {
        "tcp": bytes(ether / IP() / tcp),
        "tcp with options": bytes(
            ether / IP() / TCP(sport=1, dport=443, flags="A", options=[("NOP", None)] * 12)
        ),
        "ip with options": bytes(ether / IP(options=[IPOption(b"\x94\x04\x00\x00")]) / tcp),
        "tagged twice": bytes(ether / Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP() / tcp),
        "ipv6": bytes(ether / IPv6() / tcp),
        "ipv6 with an extension": bytes(
            ether / IPv6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / tcp
        ),
        "quic": bytes(ether / IP() / udp),
    }


def with_payload(head: bytes, size: int) -> bytes:
    """Return a frame with a payload and the lengths that go with it, as scapy computes them."""
    frame = Ether(head) / Raw(bytes(size))
    for layer, field in ((IP, "len"), (IPv6, "plen"), (UDP, "len")):
        if layer in frame:
            delattr(frame[layer], field)
    return bytes(frame)


@pytest.mark.lab
@pytest.mark.parametrize("kind", list(merged_heads()))
@pytest.mark.parametrize("segments", [2, 3, 44])
def test_merged_segments(
    cable: tuple[Namespace, EbpfEngine, socket.socket], kind: str, segments: int
) -> None:
    """A frame merged of segments counts as those would have, one by one: frames, bytes, classes."""
    space, engine, _ = cable
    head = merged_heads()[kind]
    run = system.TestRun(engine.programs["vb"])

    space.call(run.run, with_payload(head, 70 * segments), gso_segments=segments)
    (merged,) = space.call(engine.close_windows)
    for _ in range(segments):
        space.call(run.run, with_payload(head, 70))
    (apart,) = space.call(engine.close_windows)

    assert list(apart.wire) == list(merged.wire)
    assert merged.wire[PACKETS] == segments


@pytest.mark.parametrize("held", INSTRUCTIONS_NOW)
def test_verifier_effort(held: str) -> None:
    """The verifier walks the program in a small part of what it allows, with few rights too."""
    compiled = load_object()
    maps = {name: system.create_array(name, size, 16) for name, (size, _) in memory.MAPS.items()}
    maps["control"] = system.create_array("control", memory.CONTROL.size, 1)
    bell = Bell()
    descriptors = {name: array.fd for name, array in maps.items()} | {"bell": bell.fd}
    code = compiled.linked(PROGRAM, descriptors)

    def ask() -> str:
        """Ask in a thread: capabilities are a thread's own."""
        if held == "CAP_BPF alone":
            for capability in (system.CAP_PERFMON, system.CAP_SYS_ADMIN):
                system.drop_capability(capability)
        return system.verifier_statistics(code, compiled.licence)

    with ThreadPoolExecutor(1) as threads:
        said = threads.submit(ask).result()

    for array in (*maps.values(), bell):
        array.close()
    assert int(said.split("processed ")[1].split()[0]) < INSTRUCTIONS_NOW[held] * MARGIN
    assert int(said.split("stack depth ")[1].split()[0].split("+")[0]) <= 512
