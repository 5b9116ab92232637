"""Our readers against scapy: built frames say the same to both, mutated ones never more to us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_EN,
    DUID_LL,
    DUID_LLT,
    DHCP6_Advertise,
    DHCP6_Decline,
    DHCP6_InfoRequest,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6OptClientId,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIA_PD,
    DHCP6OptIA_TA,
    DHCP6OptIAAddress,
    DHCP6OptIAPrefix,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
)
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRROPT
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from tests.capture.options_oracle import UnsureError
from tests.capture.scapy_oracle import oracle

from monitorpi_capture.frame.classify import ETHERNET_HEADER, classify
from monitorpi_capture.frame.dissect import MAX_KNOWN, Dissector, is_discovery
from monitorpi_capture.frame.linktypes import LINK_ETHERNET
from monitorpi_capture.sources.capfile.reader import CaptureFile

if TYPE_CHECKING:
    from pathlib import Path

HOST, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
SOME = 400
"""Frames per property and run."""
MOST = 1000
"""Frames of one public capture that are compared: scapy takes its time."""

macs = st.sampled_from([HOST, OTHER])
ipv4s = st.sampled_from(["192.0.2.1", "192.0.2.9", "0.0.0.0", "255.255.255.255"]) | st.ip_addresses(
    v=4
).map(str)
ipv6s = st.sampled_from(["fe80::1", "2001:db8::7", "::", "ff02::1"]) | st.ip_addresses(v=6).map(str)
seconds = st.sampled_from([0, 1, 1800, 0xFFFF])
names = st.binary(max_size=20)
labels = st.sampled_from(["printer", "a", "x-1", "_http", "_tcp"])
hosts = st.lists(labels, max_size=3).map(".".join) | st.just("printer")


def options(*strategies: Any, most: int = 5) -> st.SearchStrategy[list[Any]]:
    """Return some layers of these kinds, in any order."""
    return st.lists(st.one_of(*strategies), max_size=most)


def joined(head: Any, layers: list[Any]) -> Any:
    """Return one layer after the other."""
    for layer in layers:
        head /= layer
    return head


arps = st.builds(
    ARP, op=st.integers(0, 9), hwsrc=macs, psrc=ipv4s, hwdst=macs, pdst=ipv4s
)  # fmt: skip

dhcp_options = st.lists(
    st.one_of(
        st.sampled_from([("message-type", kind) for kind in range(1, 9)]),
        names.map(lambda name: ("hostname", name)),
        st.lists(ipv4s, min_size=1, max_size=6).map(lambda ips: ("router", *ips)),
        st.sampled_from(["255.255.255.0", "255.255.240.0", "255.0.255.0", "0.0.0.0"]).map(
            lambda mask: ("subnet_mask", mask)
        ),
        ipv4s.map(lambda ip: ("requested_addr", ip)),
        ipv4s.map(lambda ip: ("server_id", ip)),
        st.lists(ipv4s, min_size=1, max_size=10).map(lambda ips: ("name_server", *ips)),
        names.map(lambda name: ("domain", name)),
        st.tuples(st.sampled_from([66, 121, 150, 249, 252]), st.binary(max_size=30)),
        st.just("pad"),
    ),
    max_size=8,
)


@st.composite
def dhcps(draw: Any) -> Any:
    """Return a DHCP message."""
    kind = (
        "message-type",
        draw(st.sampled_from(["offer", "ack", "request", "release", "decline"])),
    )
    body = BOOTP(
        op=draw(st.sampled_from([1, 2, 2, 3])),
        hlen=draw(st.sampled_from([6, 6, 6, 16])),
        chaddr=bytes.fromhex(draw(macs).replace(":", "")),
        ciaddr=draw(ipv4s),
        yiaddr=draw(ipv4s),
    ) / DHCP(options=[kind, *draw(dhcp_options), "end"])
    return IP(src=draw(ipv4s)) / UDP(sport=67, dport=68) / body


addresses_leased = st.builds(DHCP6OptIAAddress, addr=ipv6s, preflft=seconds, validlft=seconds)
prefixes_leased = st.builds(
    DHCP6OptIAPrefix, prefix=ipv6s, plen=st.integers(0, 128), validlft=seconds
)
statuses = st.builds(DHCP6OptStatusCode, statuscode=st.integers(0, 6))
leases = st.one_of(
    st.lists(addresses_leased | statuses, max_size=3).map(
        lambda inner: DHCP6OptIA_NA(ianaopts=inner)
    ),
    st.lists(addresses_leased, max_size=2).map(lambda inner: DHCP6OptIA_TA(iataopts=inner)),
    st.lists(prefixes_leased, max_size=2).map(lambda inner: DHCP6OptIA_PD(iapdopt=inner)),
)
clients = st.one_of(
    st.builds(DUID_LL, lladdr=macs, hwtype=st.sampled_from([1, 6])),
    st.builds(DUID_LLT, lladdr=macs, timeval=st.integers(0, 9)),
    st.builds(DUID_EN, id=names),
)


@st.composite
def dhcpv6s(draw: Any) -> Any:
    """Return a DHCPv6 message without relays."""
    kinds = [DHCP6_Advertise, DHCP6_Reply, DHCP6_Reply, DHCP6_Release, DHCP6_Decline]
    message = draw(st.sampled_from([*kinds, DHCP6_Renew, DHCP6_InfoRequest]))()
    head = IPv6(src="fe80::1") / UDP(sport=547, dport=546) / message
    ids = st.builds(DHCP6OptClientId, duid=clients)
    servers = st.builds(DHCP6OptServerId, duid=clients)
    resolvers = st.just(DHCP6OptDNSServers(dnsservers=["2001:db8::53"]))
    return joined(head, draw(options(ids, leases, servers, resolvers, statuses)))


@st.composite
def mdnss(draw: Any) -> Any:
    """Return an mDNS message."""
    ip = draw(st.sampled_from(["192.0.2.1", "fe80::1"]))
    record = st.one_of(
        st.builds(
            DNSRR,
            rrname=hosts.map(lambda host: host + ".local"),
            type=st.just("AAAA" if ":" in ip else "A"),
            rdata=st.sampled_from([ip, "fe80::9" if ":" in ip else "192.0.2.9"]),
            ttl=st.sampled_from([0, 120]),
            cacheflush=st.integers(0, 1),
        ),
        st.builds(DNSRR, rrname=hosts, type=st.just("PTR"), rdata=hosts),
        st.builds(DNSRROPT),
    )
    asked = st.lists(st.builds(DNSQR, qname=hosts), max_size=2)
    records = st.lists(record, max_size=4)
    message = DNS(
        qr=draw(st.integers(0, 1)), qd=draw(asked), an=draw(records), ns=[], ar=draw(records)
    )
    network = IPv6(src=ip) if ":" in ip else IP(src=ip)
    return network / UDP(sport=5353, dport=5353) / message


@st.composite
def nds(draw: Any) -> Any:
    """Return a message of neighbour discovery."""
    kind = draw(st.sampled_from([ICMPv6ND_RS, ICMPv6ND_RA, ICMPv6ND_NS, ICMPv6ND_NA]))
    fields: dict[str, Any] = {"code": draw(st.sampled_from([0, 0, 0, 0, 1]))}
    if kind is ICMPv6ND_RA:
        fields["routerlifetime"] = draw(seconds)
    elif kind is not ICMPv6ND_RS:
        fields["tgt"] = draw(ipv6s)
    lengths = st.sampled_from([1, 1, 1, 1, 0])
    report = options(
        st.builds(ICMPv6NDOptSrcLLAddr, lladdr=macs, len=lengths),
        st.builds(ICMPv6NDOptDstLLAddr, lladdr=macs, len=lengths),
        st.builds(ICMPv6NDOptMTU),
        st.builds(ICMPv6NDOptRDNSS, dns=st.just(["2001:db8::53"])),
        st.builds(
            ICMPv6NDOptPrefixInfo,
            prefix=ipv6s, prefixlen=st.integers(0, 128), L=st.integers(0, 1),
            validlifetime=seconds,
        ),
    )  # fmt: skip
    network = IPv6(src=draw(ipv6s), dst="ff02::1", hlim=draw(st.sampled_from([255, 255, 255, 64])))
    return joined(network / kind(**fields), draw(report))


@st.composite
def frames(draw: Any) -> bytes:
    """Return a frame that tells of a device, behind some tags."""
    link = Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff")
    tags = draw(st.sampled_from([(), (), (Dot1Q,), (Dot1AD, Dot1Q)]))
    for kind in tags:
        link /= kind(vlan=draw(st.sampled_from([0, 5, 100, 4095])))
    return bytes(link / draw(st.one_of(arps, dhcps(), dhcpv6s(), mdnss(), nds())))


def ours(data: bytes) -> list[Any]:
    """Return what our readers say."""
    if not is_discovery(data, classify(data, len(data))):
        return []
    return Dissector().dissect(data, 1.0, "eth0")


@settings(max_examples=SOME)
@given(frames())
def test_built_frames_say_the_same_to_scapy(data: bytes) -> None:
    """Every field of every sighting, in the same order."""
    assert ours(data) == oracle(data)


@st.composite
def mutated(draw: Any) -> bytes:
    """Return a frame with some bytes behind its Ethernet header changed."""
    data = bytearray(draw(frames()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(14, len(data) - 1))
        data[at] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=SOME)
@given(mutated())
def test_mutated_frames_say_no_more_than_to_scapy(data: bytes) -> None:
    """Whatever broke, we believe nothing that scapy does not read."""
    said = ours(data)
    try:
        theirs = oracle(data)
    except UnsureError:
        theirs = said

    assert not said or said == theirs


_AS_CAUGHT = st.tuples(
    st.integers(0, 2), st.sampled_from(["eth0", "eth1"]), st.sampled_from([None, 7])
)


@settings(max_examples=SOME)
@given(st.lists(frames() | mutated(), min_size=3, max_size=3), st.lists(_AS_CAUGHT, max_size=12))
def test_a_frame_that_comes_again_says_what_it_said(
    data: list[bytes], caught: list[tuple[int, str, int | None]]
) -> None:
    """Told by whom, where and when as if each were read by itself; what breaks is counted anew."""
    one, failed = Dissector(), 0
    for second, (number, interface, tag) in enumerate(caught):
        fresh = Dissector()
        expected = fresh.dissect(data[number], second, interface, tag=tag)

        assert one.dissect(data[number], second, interface, tag=tag) == expected
        failed += fresh.failed
    assert one.failed == failed


def test_frames_without_end_are_not_kept() -> None:
    """Whoever makes up frames fills no memory."""
    dissector = Dissector()
    for number in range(2 * MAX_KNOWN):
        arp = ARP(hwsrc="02:00:00:00:00:01", psrc=f"198.18.{number >> 8}.{number & 0xFF}")
        dissector.dissect(bytes(Ether() / arp), 1.0, "eth0")

    assert len(dissector._known) <= MAX_KNOWN


@settings(max_examples=SOME)
@given(frames(), st.sampled_from([2, 4]))
def test_packets_that_say_they_are_empty_say_nothing(data: bytes, at: int) -> None:
    """Hosts drop a packet whose header gives it no length (RFC 8200 keeps 0 for larger ones)."""
    _, network, _ = classify(data, len(data))
    if network and at == (4 if data[network] >> 4 == 6 else 2):
        assert ours(data[: network + at] + bytes(2) + data[network + at + 2 :]) == []


def test_public_captures_say_the_same_to_scapy(captures: Path) -> None:
    """Frames of real devices, as far as they were captured whole."""
    compared = 0
    wrong = []
    for path in sorted(captures.glob("*.pcap*")):
        left = MOST
        with path.open("rb") as stream:
            for _, link, data, wire_length in CaptureFile(stream, path.name):
                if link != LINK_ETHERNET or not ETHERNET_HEADER <= len(data) == wire_length:
                    continue
                said = ours(data)
                if not said:
                    continue
                left -= 1
                if left < 0:
                    break
                compared += 1
                try:
                    theirs = oracle(data)
                except UnsureError:
                    continue
                if said != theirs:
                    wrong.append((path.name, data.hex(), said, theirs))

    assert wrong == []
    assert compared > 0
