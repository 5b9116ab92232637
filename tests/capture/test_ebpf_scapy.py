"""The kernel's program against what scapy makes of the same frames."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.igmp import IGMP
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from tests.capture.ebpf_frames import PORTS, SOURCES, in_python

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn
    from scapy.packet import Packet

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs needs root"),
]


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (IP() / TCP(dport=80, flags="SEC"), {"ipv4", "tcp", "syn", "http"}),
        (IP() / TCP(dport=443, flags="SA"), {"ipv4", "tcp", "syn_ack", "https"}),
        (IP() / UDP(sport=53), {"ipv4", "udp", "dns"}),
        (IP() / ICMP(), {"ipv4", "icmp", "icmp_echo"}),
        (IPv6() / ICMPv6EchoRequest(), {"ipv6", "icmp", "icmp_echo"}),
        (IPv6() / IPv6ExtHdrHopByHop() / ICMPv6MLReport(), {"ipv6", "icmp", "igmp"}),
        (Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP() / TCP(flags="R"), {"ipv4", "tcp", "rst", "vlan"}),
        (ARP(), {"arp"}),
        (PPPoE() / PPP() / IP() / TCP(flags="S"), {"ipv4", "tcp", "syn"}),
        (
            Dot1Q(vlan=7) / PPPoE() / PPP() / IPv6() / ICMPv6EchoRequest(),
            {"vlan", "ipv6", "icmp", "icmp_echo"},
        ),
    ],
)
def test_scapy_frames(
    in_kernel: Callable[[bytes], list[str]],
    packet: Ether,
    expected: set[str],
) -> None:
    """Frames that scapy builds have in the kernel the classes that scapy meant."""
    data = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)

    # scapy's default ports are 20, 80 and 53; only those asked for may show
    got = set(in_kernel(data)) - ({"http"} if "http" not in expected else set())
    got -= {"dns"} if "dns" not in expected else set()

    assert expected == got


@st.composite
def dissectable(draw: DrawFn) -> bytes:
    """Return a valid frame that scapy built."""
    source, target = draw(PORTS), draw(PORTS)
    upper = st.sampled_from(
        [
            TCP(
                sport=source, dport=target, flags=draw(st.integers(0, 255)), options=[("MSS", 1460)]
            ),
            TCP(sport=source, dport=target, flags="S"),
            UDP(sport=source, dport=target),
        ]
    )
    four = st.sampled_from([ICMP(type=8), ICMP(type=0), IGMP()])
    six = st.sampled_from([ICMPv6EchoRequest(), ICMPv6EchoReply(), ICMPv6MLReport()])
    extensions = [
        IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]),
        IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]),
        IPv6ExtHdrRouting(),
        IPv6ExtHdrFragment(offset=draw(st.sampled_from([0, 5])), m=draw(st.integers(0, 1))),
    ]
    place: dict[str, Any] = draw(
        st.sampled_from([{}, {}, {"flags": "DF"}, {"flags": "MF"}, {"frag": 7}])
    )
    packet: Packet
    match draw(st.sampled_from(["arp", 4, 4, 6, 6])):
        case "arp":
            packet = ARP()
        case 4:
            options = draw(st.sampled_from([[], [], [IPOption(b"\x94\x04\x00\x00")]]))
            packet = IP(options=options, **place) / draw(st.one_of(upper, four))
        case _:
            packet = IPv6()
            for header in draw(st.lists(st.sampled_from(extensions), max_size=3, unique_by=type)):
                packet = packet / header
            packet = packet / draw(st.one_of(upper, six))
    for vlan in draw(st.sampled_from([[], [], [5], [5, 6]])):
        packet = Dot1Q(vlan=vlan) / packet
    receiver = draw(
        st.sampled_from(["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "02:00:00:00:00:02"])
    )
    return bytes(Ether(src="02:00:00:00:00:01", dst=receiver) / packet)


def by_scapy(data: bytes) -> set[str]:
    """Return the classes that follow from what scapy dissects."""
    frame = Ether(data)
    found = {"ff:ff:ff:ff:ff:ff": {"broadcast"}, "01:00:5e:00:00:fb": {"multicast"}}.get(
        frame.dst, set()
    )
    found |= {"vlan"} if Dot1Q in frame else set()
    if ARP in frame:
        return found | {"arp"}
    if IPv6 in frame:
        part = frame.getlayer(IPv6ExtHdrFragment)
        found |= {"ipv6"} | ({"fragment"} if part else set())
        later = {6: {"tcp"}, 17: {"udp"}, 58: {"icmp"}}.get(part.nh, set()) if part else set()
        is_later = bool(part and part.offset)
    else:
        packet = frame[IP]
        found |= {"ipv4"} | ({"fragment"} if packet.flags.MF or packet.frag else set())
        later = {{6: "tcp", 17: "udp", 1: "icmp", 2: "igmp"}[packet.proto]}
        is_later = bool(packet.frag)
    return found | (later if is_later else transport_by_scapy(frame))


def transport_by_scapy(frame: Ether) -> set[str]:
    """Return the classes of the transport layer."""
    if TCP in frame:
        return {"tcp"} | tcp_by_scapy(frame[TCP])
    if UDP in frame:
        return {"udp"} | udp_by_scapy(frame[UDP], 67 if IP in frame else 546)
    if IGMP in frame:
        return {"igmp"}
    if ICMPv6MLReport in frame:
        return {"icmp", "igmp"}
    echo = ICMPv6EchoRequest in frame or (ICMP in frame and frame[ICMP].type == 8)
    return {"icmp", "icmp_echo"} if echo else {"icmp"}


def tcp_by_scapy(segment: TCP) -> set[str]:
    """Return the classes of flags and ports."""
    flags, ports = segment.flags, {segment.sport, segment.dport}
    found = {name for name, flag in (("rst", flags.R), ("fin", flags.F)) if flag}
    if flags.S:
        found |= {"syn_ack" if flags.A else "syn"}
    return found | {
        name for name, port in (("dns", 53), ("http", 80), ("https", 443)) if port in ports
    }


def udp_by_scapy(datagram: UDP, dhcp: int) -> set[str]:
    """Return the classes of ports."""
    ports = {datagram.sport, datagram.dport}
    known = {"dns": {53}, "https": {443}, "mdns": {5353}, "dhcp": {dhcp, dhcp + 1}}
    return {name for name, wanted in known.items() if ports & wanted}


@SOURCES
@given(data=dissectable())
def test_what_scapy_dissects(in_kernel: Callable[[bytes], list[str]], data: bytes) -> None:
    """On valid frames, kernel and reference say what scapy's own dissection says."""
    expected = by_scapy(data)

    assert expected == set(in_kernel(data))
    assert expected == set(in_python(data))
