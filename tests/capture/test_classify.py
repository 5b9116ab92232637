"""The classifier: every class, the faults of the original, broken frames."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_NS,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE, PPPoED
from scapy.packet import Raw
from tests.capture.packets import HOST, PEER, classes, ipv4, ipv6

from monitorpi_capture.frame.classify import classify, flood_ends


def frame(payload: Any, *, dst: str = PEER, tags: int = 0) -> bytes:
    """Return a frame as it is on the wire, padded to the shortest Ethernet has."""
    link = Ether(src=HOST, dst=dst)
    for vlan in range(tags):
        link = link / Dot1Q(vlan=5 + vlan)
    return bytes(link / payload).ljust(60, b"\0")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(frame(ARP()), {"arp"}, id="arp"),
        pytest.param(frame(ARP(), dst="ff:ff:ff:ff:ff:ff"), {"arp", "broadcast"}, id="broadcast"),
        pytest.param(frame(ARP(), dst="01:00:5e:00:00:fb"), {"arp", "multicast"}, id="multicast"),
        pytest.param(frame(ipv4(ICMP(type=8))), {"ipv4", "icmp", "icmp_echo"}, id="echo"),
        pytest.param(frame(ipv4(ICMP(type=0))), {"ipv4", "icmp"}, id="echo-reply"),
        pytest.param(
            frame(ipv6(ICMPv6EchoRequest())), {"ipv6", "icmp", "icmp_echo"}, id="echo6"
        ),
        pytest.param(frame(ipv6(ICMPv6EchoReply())), {"ipv6", "icmp"}, id="echo-reply6"),
        pytest.param(frame(ipv6(ICMPv6ND_NS())), {"ipv6", "icmp"}, id="ndp"),
        pytest.param(
            frame(ipv4(Raw(b"\x16\0\0\0\xe0\0\0\x01"), proto=2)), {"ipv4", "igmp"}, id="igmp"
        ),
        pytest.param(
            frame(ipv6(IPv6ExtHdrHopByHop() / ICMPv6MLReport())),
            {"ipv6", "icmp", "igmp"},
            id="mld-behind-hop-by-hop",
        ),
        pytest.param(
            frame(ipv4(UDP(sport=68, dport=67))), {"ipv4", "udp", "dhcp"}, id="dhcp"
        ),
        pytest.param(
            frame(ipv4(UDP(sport=67, dport=40000))), {"ipv4", "udp", "dhcp"}, id="dhcp-source"
        ),
        pytest.param(
            frame(ipv6(UDP(sport=546, dport=547))), {"ipv6", "udp", "dhcp"}, id="dhcp6"
        ),
        pytest.param(
            frame(ipv6(UDP(sport=68, dport=67))), {"ipv6", "udp"}, id="dhcp-ports-of-ipv4-in-ipv6"
        ),
        pytest.param(frame(ipv4(UDP(sport=9, dport=53))), {"ipv4", "udp", "dns"}, id="dns-query"),
        pytest.param(frame(ipv4(UDP(sport=53, dport=9))), {"ipv4", "udp", "dns"}, id="dns-answer"),
        pytest.param(
            frame(ipv4(TCP(sport=9, dport=53, flags="A"))), {"ipv4", "tcp", "dns"}, id="dns-tcp"
        ),
        pytest.param(
            frame(ipv4(UDP(sport=5353, dport=5353))), {"ipv4", "udp", "mdns"}, id="mdns"
        ),
        pytest.param(
            frame(ipv4(TCP(sport=9, dport=80, flags="PA"))), {"ipv4", "tcp", "http"}, id="http"
        ),
        pytest.param(
            frame(ipv4(TCP(sport=80, dport=9, flags="PA"))),
            {"ipv4", "tcp", "http"},
            id="http-answer",
        ),
        pytest.param(frame(ipv4(UDP(sport=9, dport=80))), {"ipv4", "udp"}, id="udp-80-is-not-http"),
        pytest.param(
            frame(ipv4(TCP(sport=443, dport=9, flags="A"))), {"ipv4", "tcp", "https"}, id="https"
        ),
        pytest.param(
            frame(ipv4(UDP(sport=9, dport=443))), {"ipv4", "udp", "https"}, id="https-quic"
        ),
        pytest.param(frame(ipv4(TCP(dport=9, flags="S"))), {"ipv4", "tcp", "syn"}, id="syn"),
        pytest.param(
            frame(ipv4(TCP(dport=9, flags="SEC"))), {"ipv4", "tcp", "syn"}, id="syn-ecn-setup"
        ),
        pytest.param(
            frame(ipv4(TCP(dport=9, flags="SPU"))), {"ipv4", "tcp", "syn"}, id="syn-psh-urg"
        ),
        pytest.param(
            frame(ipv4(TCP(dport=9, flags="SA"))), {"ipv4", "tcp", "syn_ack"}, id="syn-ack"
        ),
        pytest.param(
            frame(ipv4(TCP(dport=9, flags="SF"))), {"ipv4", "tcp", "syn", "fin"}, id="syn-fin"
        ),
        pytest.param(frame(ipv4(TCP(dport=9, flags="RA"))), {"ipv4", "tcp", "rst"}, id="rst"),
        pytest.param(frame(ipv4(TCP(dport=9, flags="FA"))), {"ipv4", "tcp", "fin"}, id="fin"),
        pytest.param(frame(ipv4(TCP(dport=9, flags=""))), {"ipv4", "tcp"}, id="null-scan"),
        pytest.param(
            frame(ipv4(TCP(dport=9, flags="S")), tags=1), {"ipv4", "tcp", "syn", "vlan"}, id="vlan"
        ),
        pytest.param(
            frame(ipv4(TCP(dport=9, flags="S")), tags=2), {"ipv4", "tcp", "syn", "vlan"}, id="qinq"
        ),
        pytest.param(frame(ipv4(TCP(dport=9, flags="S")), tags=3), {"vlan"}, id="three-tags"),
        pytest.param(
            bytes(Ether(src=HOST, dst=PEER) / Dot1AD() / Dot1Q() / ipv4(TCP(flags="S"))),
            {"ipv4", "tcp", "syn", "http", "vlan"},
            id="provider-tag",
        ),
        pytest.param(
            frame(ipv4(UDP(sport=9, dport=53), flags="MF")),
            {"ipv4", "udp", "dns", "fragment"},
            id="first-fragment-has-ports",
        ),
        pytest.param(
            frame(ipv4(Raw(b"\0\x35\0\x35" * 8), proto=17, frag=8)),
            {"ipv4", "udp", "fragment"},
            id="later-fragment-has-none",
        ),
        pytest.param(
            frame(ipv4(Raw(b"\x08\0\0\0" * 8), proto=1, frag=8)),
            {"ipv4", "icmp", "fragment"},
            id="later-fragment-of-a-ping",
        ),
        pytest.param(
            frame(ipv6(IPv6ExtHdrFragment(nh=17, offset=4) / Raw(b"\0\x35" * 8))),
            {"ipv6", "udp", "fragment"},
            id="later-fragment6",
        ),
        pytest.param(
            frame(ipv6(IPv6ExtHdrFragment(m=1) / UDP(sport=9, dport=53) / Raw(b"x" * 8))),
            {"ipv6", "udp", "dns", "fragment"},
            id="first-fragment6",
        ),
        pytest.param(
            frame(
                ipv6(
                    IPv6ExtHdrHopByHop()
                    / IPv6ExtHdrRouting(addresses=["2001:db8::9"])
                    / IPv6ExtHdrDestOpt()
                    / TCP(dport=80, flags="S")
                )
            ),
            {"ipv6", "tcp", "syn", "http"},
            id="extension-headers",
        ),
        pytest.param(
            frame(ipv6(Raw(b"\x06\x04" + bytes(22) + bytes(TCP(dport=80, flags="S"))))).replace(
                b"\x00\x2c\x3b\x40", b"\x00\x2c\x33\x40"
            ),
            {"ipv6", "tcp", "syn", "http"},
            id="authentication-header",
        ),
        pytest.param(
            frame(PPPoE(sessionid=7) / PPP() / ipv4(TCP(dport=9, flags="S"))),
            {"ipv4", "tcp", "syn"},
            id="pppoe",
        ),
        pytest.param(
            frame(PPPoE() / PPP() / ipv6(UDP(sport=9, dport=53)), tags=2),
            {"ipv6", "udp", "dns", "vlan"},
            id="pppoe-tagged",
        ),
        pytest.param(frame(PPPoE() / PPP(proto=0xC021) / Raw(bytes(20))), set(), id="ppp-lcp"),
        pytest.param(
            frame(PPPoE(code=0xA7) / PPP() / ipv4(TCP(flags="S"))), set(), id="pppoe-terminate"
        ),
        pytest.param(
            frame(PPPoED() / Raw(b"\x01\x01\0\0")), set(), id="pppoe-discovery"
        ),
        pytest.param(frame(PPPoE())[:14], {"malformed"}, id="pppoe-without-header"),
        pytest.param(frame(ARP())[:12] + b"\0\x26\x42\x42\x03" + bytes(43), set(), id="llc"),
        pytest.param(frame(ipv4(Raw(b"x" * 8), proto=47)), {"ipv4"}, id="gre"),
        pytest.param(frame(ipv4(UDP(sport=9, dport=853))), {"ipv4", "udp"}, id="dns-over-quic"),
        pytest.param(
            frame(ipv4(TCP(sport=9, dport=853, flags="A"))), {"ipv4", "tcp"}, id="dns-over-tls"
        ),
        pytest.param(
            frame(ipv4(UDP(sport=9, dport=4789) / Raw(bytes(8)) / Ether() / IP() / ICMP())),
            {"ipv4", "udp"},
            id="vxlan",
        ),
        pytest.param(
            frame(ARP())[:12] + b"\x88\x47\0\1\1\x40" + bytes(IP() / ICMP()), set(), id="mpls"
        ),
        pytest.param(frame(ipv4(ICMPv6EchoRequest(), proto=58)), {"ipv4"}, id="icmp6-in-ipv4"),
    ],
)  # fmt: skip
def test_each_class(data: bytes, expected: set[str]) -> None:
    """A frame counts for the classes of the table in the docs, and for no other."""
    assert classes(data) == expected


def raw_ipv4(
    *, total: int = 28, first: int = 0x45, body: bytes = bytes(8), proto: int = 1
) -> bytes:
    """Return an IPv4 frame without padding, its fields as given."""
    header = struct.pack(">BBHHHBBH4s4s", first, 0, total, 0, 0, 64, proto, 0, b"\1" * 4, b"\2" * 4)
    return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + header + body


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", {"malformed"}, id="nothing"),
        pytest.param(bytes(13), {"malformed"}, id="shorter-than-a-header"),
        pytest.param(b"\xff" * 13, {"malformed"}, id="short-and-not-broadcast"),
        pytest.param(frame(ARP())[:14] + bytes(7), {"arp", "malformed"}, id="arp-cut"),
        pytest.param(frame(ARP())[:12] + b"\x81\0\0", {"vlan", "malformed"}, id="tag-cut"),
        pytest.param(raw_ipv4()[:33], {"malformed"}, id="ip-header-cut"),
        pytest.param(raw_ipv4(first=0x55), {"malformed"}, id="wrong-version"),
        pytest.param(raw_ipv4(first=0x44), {"malformed"}, id="header-too-short"),
        pytest.param(raw_ipv4(first=0x4F), {"ipv4", "malformed"}, id="header-beyond-packet"),
        pytest.param(raw_ipv4(total=29), {"ipv4", "malformed"}, id="packet-beyond-frame"),
        pytest.param(raw_ipv4(total=19), {"ipv4", "malformed"}, id="packet-shorter-than-header"),
        pytest.param(raw_ipv4(total=0), {"ipv4", "icmp"}, id="length-0-of-offload"),
        pytest.param(raw_ipv4(total=27), {"ipv4", "icmp", "malformed"}, id="icmp-cut"),
        pytest.param(raw_ipv4(proto=2, total=27), {"ipv4", "igmp", "malformed"}, id="igmp-cut"),
        pytest.param(
            raw_ipv4(proto=6, total=39, body=b"\0\x50" * 10), {"ipv4", "tcp", "malformed"},
            id="tcp-cut",
        ),
        pytest.param(
            raw_ipv4(proto=6, total=40, body=bytes(12) + b"\x40\x02" + bytes(6)),
            {"ipv4", "tcp", "syn", "malformed"},
            id="tcp-offset-too-small",
        ),
        pytest.param(
            raw_ipv4(proto=6, total=40, body=bytes(12) + b"\x60\x02" + bytes(6)),
            {"ipv4", "tcp", "syn", "malformed"},
            id="tcp-offset-beyond-packet",
        ),
        pytest.param(
            raw_ipv4(proto=17, total=27), {"ipv4", "udp", "malformed"}, id="udp-cut"
        ),
        pytest.param(
            raw_ipv4(proto=17, body=b"\0\x35\0\x09\0\x07\0\0"),
            {"ipv4", "udp", "dns", "malformed"},
            id="udp-length-too-small",
        ),
        pytest.param(
            raw_ipv4(proto=17, body=b"\0\x35\0\x09\0\x09\0\0"),
            {"ipv4", "udp", "dns", "malformed"},
            id="udp-length-beyond-packet",
        ),
        pytest.param(
            frame(ipv6(Raw(bytes(4))))[:57], {"ipv6", "malformed"}, id="packet6-beyond-frame"
        ),
        pytest.param(
            frame(ipv6(Raw(b"\x06\x01" + bytes(6))))[:62].replace(b"\x3b\x40", b"\x00\x40"),
            {"ipv6", "malformed"},
            id="extension-header-beyond-packet",
        ),
        pytest.param(
            frame(ipv6(Raw(bytes(8 * 9)))).replace(b"\x3b\x40", b"\x00\x40"), {"ipv6"},
            id="nine-extension-headers-end-the-reading",
        ),
    ],
)  # fmt: skip
def test_malformed(data: bytes, expected: set[str]) -> None:
    """What lacks bytes it claims is malformed; what was found before still counts."""
    assert classes(data) == expected


def test_a_cut_capture_is_not_malformed() -> None:
    """With ``-s`` only first bytes are kept: what they show counts, the rest is no fault."""
    data = frame(ipv4(TCP(dport=80, flags="S") / Raw(b"x" * 100)))

    seen = {size: classes(data[:size], len(data)) for size in (13, 14, 33, 34, 37, 38, 47, 48, 60)}

    assert seen == {
        13: set(),
        14: set(),
        33: set(),
        34: {"ipv4", "tcp"},
        37: {"ipv4", "tcp"},
        38: {"ipv4", "tcp", "http"},
        47: {"ipv4", "tcp", "http"},
        48: {"ipv4", "tcp", "http", "syn"},
        60: {"ipv4", "tcp", "http", "syn"},
    }


def test_a_stripped_tag_counts() -> None:
    """A tag that the card took out makes the frame a VLAN frame, with one in the data as well."""
    data = frame(ipv4(ICMP()), tags=1)

    assert classes(data, stripped=True) == {"vlan", "ipv4", "icmp", "icmp_echo"}
    assert classes(frame(ARP()), stripped=True) == {"vlan", "arp"}


def test_where_a_flood_is_aimed() -> None:
    """Addresses and the port come from the right place behind tags and extension headers."""
    four = frame(ipv4(TCP(sport=0x8001, dport=443, flags="S")), tags=2)
    six = frame(ipv6(IPv6ExtHdrDestOpt() / ICMPv6EchoRequest()))

    assert flood_ends(four, classify(four, len(four))) == (b"\xc0\0\2\1", b"\xc0\0\2\2", 443)
    assert flood_ends(six, classify(six, len(six)))[2] == 0
    assert flood_ends(six, classify(six, len(six)))[1] == b"\x20\1\x0d\xb8" + bytes(11) + b"\2"
