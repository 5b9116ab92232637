"""What the program that counts hands up to the inventory, run by the kernel itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_RA,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from tests.capture.test_dissect_differential import frames, ours

from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import EbpfEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scapy.packet import Packet

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs needs root")


@pytest.fixture(scope="module")
def passes() -> Iterator[Callable[[bytes], bool]]:
    """Return whether the program that counts hands a frame up, whole."""
    engine = EbpfEngine(["lo"], 64)
    engine.open()
    run = system.TestRun(engine.programs["lo"])
    yield lambda frame: run.run(frame) >= len(frame)
    engine.close()


ADVERTISED = IPv6(src="fe80::1", hlim=255) / ICMPv6ND_RA()
LINKS = [
    Ether(),
    Ether() / Dot1Q(vlan=5),
    Ether() / Dot1AD(vlan=100) / Dot1Q(vlan=5),
    Ether(type=0x9100) / Dot1Q(vlan=100, type=0x8100) / Dot1Q(vlan=5),
]


@pytest.mark.parametrize("link", LINKS, ids=["plain", "vlan", "802.1ad", "9100"])
@pytest.mark.parametrize(
    "payload",
    [
        ARP(),
        IP(options=b"\x01" * 8) / UDP(sport=68, dport=67),
        IP() / UDP(sport=67, dport=68),
        IP() / UDP(sport=5353, dport=5353) / DNS(),
        IPv6() / UDP(sport=5353, dport=5353) / DNS(),
        IPv6() / UDP(sport=546, dport=547) / b"\x01",
        IPv6() / UDP(sport=547, dport=546) / b"\x07",
        ADVERTISED,
        IPv6(src="fe80::1", hlim=255) / IPv6ExtHdrDestOpt() / ICMPv6ND_RA(),
        IPv6(src="fe80::1", hlim=255) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / ICMPv6ND_RA(),
    ],
    ids=lambda payload: payload.summary(),
)
def test_what_tells_of_a_device_comes_through(
    passes: Callable[[bytes], bool], link: Packet, payload: Packet
) -> None:
    """Behind no tag, one and two."""
    assert passes(bytes(link / payload))


@pytest.mark.parametrize("link", LINKS, ids=["plain", "vlan", "802.1ad", "9100"])
@pytest.mark.parametrize(
    "payload",
    [
        IP() / TCP(dport=67),
        IP() / UDP(sport=53, dport=53) / DNS(),
        IP(frag=100) / UDP(sport=67, dport=68),
        IP() / ICMP(),
        IPv6() / TCP(dport=546),
        IPv6() / ICMPv6EchoRequest(),
        IPv6(src="fe80::1", hlim=64) / ICMPv6ND_RA(),
        IPv6(src="fe80::1", hlim=1) / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(),
        IPv6(src="fe80::1", hlim=255) / IPv6ExtHdrFragment() / ICMPv6ND_RA(),
        b"\x42\x42\x03" + bytes(40),
        b"",
    ],
    ids=lambda payload: payload.summary() if hasattr(payload, "summary") else repr(payload[:3]),
)
def test_what_tells_nothing_stays_in_the_kernel(
    passes: Callable[[bytes], bool], link: Packet, payload: Packet
) -> None:
    """Ordinary traffic, and what neighbour discovery must not be, costs no copy."""
    assert not passes(bytes(link / payload))


def test_three_tags_are_too_many(passes: Callable[[bytes], bool]) -> None:
    """Two are looked through, as where frames are counted."""
    assert not passes(bytes(LINKS[2] / Dot1Q() / ARP()))


@settings(max_examples=300)
@given(frames())
def test_whatever_says_something_comes_through(
    passes: Callable[[bytes], bool], data: bytes
) -> None:
    """No frame that a file's reader makes something of is lost to a live one."""
    assert passes(data) or not ours(data)
