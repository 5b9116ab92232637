"""The classifier against scapy's opinion, and on any bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from tests.capture.packets import HOST, PEER, classes

from monitorpi_capture.frame.classify import class_names, classify, flood_ends

# --- properties ---------------------------------------------------------------------------------

PORTS = st.one_of(st.sampled_from([53, 67, 68, 80, 443, 546, 547, 5353]), st.integers(1, 65535))
TARGETS = st.sampled_from([PEER, "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "01:00:5e:00:00:01"])
TCPS = st.builds(
    lambda sport, dport, flags, size: TCP(sport=sport, dport=dport, flags=flags) / Raw(b"x" * size),
    PORTS, PORTS, st.integers(0, 255), st.integers(0, 30),
)  # fmt: skip
UDPS = st.builds(
    lambda sport, dport, size: UDP(sport=sport, dport=dport) / Raw(b"\0" * size),
    PORTS, PORTS, st.integers(0, 30),
)  # fmt: skip
PINGS = st.builds(lambda kind: ICMP(type=kind) / Raw(b"x" * 20), st.sampled_from([0, 3, 8, 11, 13]))
PINGS6 = st.sampled_from([ICMPv6EchoRequest(), ICMPv6EchoReply(), ICMPv6ND_NS(), ICMPv6MLReport()])
EXTENSIONS = st.lists(
    st.sampled_from(
        [
            IPv6ExtHdrHopByHop(),
            IPv6ExtHdrDestOpt(),
            IPv6ExtHdrRouting(addresses=["2001:db8::9"]),
            IPv6ExtHdrFragment(m=0),
        ]
    ),
    max_size=4,
)


@st.composite
def valid_frames(draw: st.DrawFn) -> bytes:
    """Frames as a well-behaved network carries them."""
    link = Ether(src=HOST, dst=draw(TARGETS))
    for _ in range(draw(st.integers(0, 2))):
        link = link / Dot1Q(vlan=draw(st.integers(1, 4094)))
    kind = draw(st.sampled_from(["arp", "ipv4", "ipv6"]))
    if kind == "arp":
        return bytes(link / ARP()).ljust(60, b"\0")
    if kind == "ipv4":
        upper = draw(st.one_of(TCPS, UDPS, PINGS))
        options = draw(st.sampled_from([[], [b"\x94\x04\0\0"]]))
        return bytes(
            link / IP(options=options, flags=draw(st.sampled_from(["", "DF", "MF"]))) / upper
        )
    packet: Any = IPv6()
    for extension in draw(EXTENSIONS):
        packet = packet / extension
    return bytes(link / packet / draw(st.one_of(TCPS, UDPS, PINGS6)))


def scapys_opinion(data: bytes) -> set[str]:  # noqa: C901, PLR0912 - the table of the docs, once more
    """Classify by scapy's dissection."""
    seen: set[str] = set()
    dissected = Ether(data)
    if dissected.dst == "ff:ff:ff:ff:ff:ff":
        seen.add("broadcast")
    elif data[0] & 1:
        seen.add("multicast")
    for layer, name in ((Dot1Q, "vlan"), (ARP, "arp"), (IP, "ipv4"), (IPv6, "ipv6")):
        if dissected.haslayer(layer):
            seen.add(name)
    if dissected.haslayer(IPv6ExtHdrFragment) or (IP in dissected and dissected[IP].flags.MF):
        seen.add("fragment")
    if ICMP in dissected:
        seen.add("icmp")
        if dissected[ICMP].type == 8:
            seen.add("icmp_echo")
    for layer in (ICMPv6EchoRequest, ICMPv6EchoReply, ICMPv6ND_NS, ICMPv6MLReport):
        if layer in dissected:
            seen.add("icmp")
    if ICMPv6EchoRequest in dissected:
        seen.add("icmp_echo")
    if ICMPv6MLReport in dissected:
        seen.add("igmp")
    for layer, ports in (
        (TCP, {53: "dns", 80: "http", 443: "https"}),
        (UDP, {53: "dns", 443: "https", 5353: "mdns"}),
    ):
        if layer in dissected:
            upper = dissected[layer]
            seen.add("tcp" if layer is TCP else "udp")
            seen |= {ports[port] for port in (upper.sport, upper.dport) if port in ports}
    if UDP in dissected:
        own = {67, 68} if IP in dissected else {546, 547}
        if own & {dissected[UDP].sport, dissected[UDP].dport}:
            seen.add("dhcp")
    if TCP in dissected:
        flags = dissected[TCP].flags
        if flags.S:
            seen.add("syn_ack" if flags.A else "syn")
        seen |= {name for flag, name in ((flags.R, "rst"), (flags.F, "fin")) if flag}
    return seen


@settings(max_examples=400)
@given(valid_frames())
def test_agrees_with_scapy(data: bytes) -> None:
    """On valid frames the classifier and scapy's dissection see the same."""
    assert classes(data) == scapys_opinion(data)


@settings(max_examples=300)
@given(valid_frames(), st.data())
def test_a_cut_frame_shows_no_more_than_the_whole(data: bytes, choice: st.DataObject) -> None:
    """Cutting a capture only hides classes; cutting the frame itself only adds malformed."""
    size = choice.draw(st.integers(0, len(data)))
    whole = classes(data)

    assert classes(data[:size], len(data)) <= whole
    assert classes(data[:size]) - {"malformed"} <= whole


@settings(max_examples=1000)
@given(st.binary(max_size=200), st.integers(0, 3000), st.booleans())
def test_no_bytes_break_it(data: bytes, more: int, stripped: bool) -> None:
    """Whatever comes from the wire, the answer is a mask."""
    mask, network, transport = classify(data, len(data) + more, stripped)

    assert 0 <= mask < 1 << 22
    assert 0 <= network <= len(data)
    assert 0 <= transport <= len(data)


@settings(max_examples=500)
@given(valid_frames(), st.data())
def test_no_mutation_breaks_it(data: bytes, choice: st.DataObject) -> None:
    """A few wrong bytes in a valid frame never raise, and what a flood is aimed at can be read."""
    changed = bytearray(data)
    for _ in range(choice.draw(st.integers(1, 4))):
        changed[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    found = classify(bytes(changed), len(changed))

    if {"syn", "icmp_echo"} & set(class_names(found[0])):
        source, target, _ = flood_ends(bytes(changed), found)
        assert len(source) == len(target)
