"""The kernel's program against the pure classifier, frame by frame, inside the kernel."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
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
from scapy.packet import Raw

from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import PROGRAM, EbpfEngine, load_object
from monitorpi_capture.engine.ebpf.objectfile import parse
from monitorpi_capture.frame.classify import class_names, classify
from monitorpi_capture.frame.linktypes import LINK_ETHERNET
from monitorpi_capture.items import PACKETS
from monitorpi_capture.sources.capfile.reader import CaptureFile
from monitorpi_common.messages import CLASSES
from monitorpi_dev import bpf_build
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hypothesis.strategies import DrawFn
    from scapy.packet import Packet

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs needs root"),
]

INSTRUCTIONS_NOW: Final = {"all capabilities": 12_700, "CAP_BPF alone": 17_100}
"""What the verifier walked when this was written (Linux 6.18); the limit is 1,000,000. Without
CAP_PERFMON it also walks what a processor might run ahead of time."""
MARGIN: Final = 2.5

PORTS: Final = st.sampled_from([0, 52, 53, 54, 66, 67, 68, 69, 80, 443, 545, 546, 547, 5353, 9999])
EXTENSIONS: Final = (0, 43, 44, 51, 60, 135, 139, 140)


@pytest.fixture(scope="module")
def in_kernel() -> Iterator[Callable[[bytes], list[str]]]:
    """Return a function that asks the kernel for the classes of a frame."""
    compiled = load_object()
    fd = system.load_program(compiled.linked("socket/classify", {}), "mp_test", compiled.licence)
    run = system.TestRun(fd)

    yield lambda data: memory.class_names(run.run(data))

    os.close(fd)


def in_python(data: bytes) -> list[str]:
    """Return what the reference says."""
    return class_names(classify(data, len(data))[0])


@st.composite
def transports(draw: DrawFn) -> tuple[int, bytes]:
    """Return a protocol number and a header, sometimes a wrong one."""
    protocol = draw(st.sampled_from([1, 2, 6, 6, 17, 17, 58, 99]))
    ports = struct.pack("!HH", draw(PORTS), draw(PORTS))
    match protocol:
        case 6:
            words = draw(st.sampled_from([5, 5, 5, 4, 8, 15]))
            flags = draw(st.integers(0, 255))
            return protocol, ports + bytes(8) + bytes([words << 4, flags]) + bytes(6)
        case 17:
            return protocol, ports + struct.pack("!HH", draw(st.sampled_from([0, 7, 8, 12])), 0)
        case _:
            kind = draw(st.sampled_from([0, 8, 128, 129, 130, 131, 132, 133, 143]))
            return protocol, bytes([kind]) + bytes(draw(st.sampled_from([0, 3, 7, 20])))


@st.composite
def packets4(draw: DrawFn) -> bytes:
    """Return an IPv4 packet with its EtherType."""
    protocol, body = draw(transports())
    words = draw(st.sampled_from([5, 5, 5, 6, 15, 4]))
    options = bytes(max(words - 5, 0) * 4)
    total = 20 + len(options) + len(body) + draw(st.sampled_from([0, 0, 0, -1, 1, -30]))
    head = struct.pack(
        "!HBBHHHBB10x",
        0x0800,
        draw(st.sampled_from([0x40, 0x40, 0x40, 0x50])) | words,
        0,
        draw(st.sampled_from([max(total, 0), max(total, 0), 0])),
        0,
        draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x0010, 0x2010, 0x8000])),
        64,
        protocol,
    )
    return head + options + body


@st.composite
def packets6(draw: DrawFn) -> bytes:
    """Return an IPv6 packet with its EtherType and up to ten extension headers."""
    following, body = draw(transports())
    for kind in draw(st.lists(st.sampled_from(EXTENSIONS), max_size=10)):
        if kind == 44:
            place: dict[str, Any] = draw(st.sampled_from([0, 1, 8, 0xFFF8]))
            body = struct.pack("!BBH4x", following, 0, place) + body
        else:
            units = draw(st.sampled_from([0, 0, 1, 3]))
            size = (units + 2) * 4 if kind == 51 else (units + 1) * 8
            body = bytes([following, units]) + bytes(size - 2) + body
        following = kind
    length = draw(st.sampled_from([len(body), len(body), 0, max(len(body) - 1, 0), len(body) + 1]))
    first = draw(st.sampled_from([0x60, 0x60, 0x60, 0x40]))
    return struct.pack("!HB3xHBB32x", 0x86DD, first, length, following, 64) + body


@st.composite
def frames(draw: DrawFn) -> bytes:
    """Return a frame with up to three tags, and perhaps a PPPoE session's header."""
    target = draw(
        st.sampled_from(
            [b"\xff" * 6, b"\x01\x00\x5e\x00\x00\x01", b"\x02" + bytes(5), b"\xff" * 5 + b"\xfe"]
        )
    )
    tags = draw(st.lists(st.sampled_from([b"\x81\x00", b"\x88\xa8", b"\x91\x00"]), max_size=3))
    rest = draw(
        st.one_of(
            packets4(),
            packets6(),
            st.sampled_from([0, 7, 8, 28]).map(lambda size: b"\x08\x06" + bytes(size)),
            st.binary(min_size=2, max_size=60),
        )
    )
    if draw(st.booleans()) and rest[:2] in (b"\x08\x00", b"\x86\xdd"):
        head = draw(st.sampled_from([b"\x11\x00"] * 5 + [b"\x11\x09", b"\x21\x00"]))
        protocol = {b"\x08\x00": b"\x00\x21", b"\x86\xdd": b"\x00\x57"}[rest[:2]]
        protocol = draw(st.sampled_from([protocol] * 5 + [b"\xc0\x21", b"\x00\x57"]))
        rest = b"\x88\x64" + head + b"\x00\x07" + bytes(2) + protocol + rest[2:]
    data = target + b"\x02" + bytes(5) + b"".join(tag + b"\x00\x05" for tag in tags) + rest
    return data.ljust(60, b"\0") if draw(st.booleans()) else data


SOURCES: Final = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SOURCES
@given(data=frames())
def test_valid_and_odd_frames(in_kernel: Callable[[bytes], list[str]], data: bytes) -> None:
    """The kernel gives a frame the classes the reference gives it."""
    assert in_python(data) == in_kernel(data)


CLANGS: Final = [f"clang-{n}" for n in range(13, 20) if shutil.which(f"clang-{n}")]
"""Those of this Debian; `./monitorpi test` installs them."""


@pytest.fixture(scope="module", params=CLANGS)
def by_any_clang(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[bytes], list[str]]]:
    """Return what a program that another clang has made says of a frame's classes."""
    made = tmp_path_factory.mktemp("clang") / "count.bpf.o"
    bpf_build.compile_object(bpf_build.SOURCE, made, [request.param])
    compiled = parse(made.read_bytes())
    fd = system.load_program(compiled.linked("socket/classify", {}), "mp_any", compiled.licence)
    run = system.TestRun(fd)

    yield lambda data: memory.class_names(run.run(data))

    os.close(fd)


def test_there_are_clangs_to_compare() -> None:
    """The pinned one and at least one more."""
    assert bpf_build.COMPILER in CLANGS
    assert len(CLANGS) > 1


@settings(SOURCES, max_examples=300)
@given(data=frames())
def test_every_clang_makes_the_same_of_the_source(
    by_any_clang: Callable[[bytes], list[str]], data: bytes
) -> None:
    """What is kept compiled hangs on no compiler's mood: all agree with the reference."""
    assert in_python(data) == by_any_clang(data)


@settings(SOURCES, max_examples=60)
@given(data=frames())
def test_every_length(in_kernel: Callable[[bytes], list[str]], data: bytes) -> None:
    """Both agree on a frame that ends early, wherever it ends."""
    for length in range(1, len(data)):
        assert in_python(data[:length]) == in_kernel(data[:length])


@SOURCES
@given(data=frames(), changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255))))
def test_changed_bytes(
    in_kernel: Callable[[bytes], list[str]], data: bytes, changes: list[tuple[int, int]]
) -> None:
    """Both agree on a frame some bytes of which were overwritten."""
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value

    assert in_python(bytes(changed)) == in_kernel(bytes(changed))


def test_public_captures(in_kernel: Callable[[bytes], list[str]], captures: Path) -> None:
    """Both agree on every whole frame of the public captures."""
    seen = 0
    different: list[str] = []
    for file in sorted(captures.glob("*.pcap*")):
        with file.open("rb") as stream:
            for _, link, data, wire_length in CaptureFile(stream, file.name):
                whole = 0 < len(data) == wire_length <= system.TestRun.MAX_FRAME
                if link != LINK_ETHERNET or not whole:
                    continue
                seen += 1
                if in_python(data) != in_kernel(data):
                    different.append(f"{file.name}: {data.hex()}")

    assert seen > 10_000
    assert different == []


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


@pytest.fixture(scope="module")
def cable() -> Iterator[tuple[Namespace, EbpfEngine, socket.socket]]:
    """Return a namespace, the engine at one end of a cable in it, and a socket at the other."""
    space = Namespace("ebpf-cable")
    space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    space.run(["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"])
    for name in ("va", "vb"):
        space.run(["ip", "link", "set", name, "up"])
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
    code = compiled.linked(PROGRAM, {name: array.fd for name, array in maps.items()})

    def ask() -> str:
        """Ask in a thread: capabilities are a thread's own."""
        if held == "CAP_BPF alone":
            for capability in (system.CAP_PERFMON, system.CAP_SYS_ADMIN):
                system.drop_capability(capability)
        return system.verifier_statistics(code, compiled.licence)

    with ThreadPoolExecutor(1) as threads:
        said = threads.submit(ask).result()

    for array in maps.values():
        array.close()
    assert int(said.split("processed ")[1].split()[0]) < INSTRUCTIONS_NOW[held] * MARGIN
    assert int(said.split("stack depth ")[1].split()[0].split("+")[0]) <= 512
