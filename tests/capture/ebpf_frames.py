"""Frames for the kernel and for the classifier."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from monitorpi_capture.frame.classify import class_names, classify

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

PORTS: Final = st.sampled_from([0, 52, 53, 54, 66, 67, 68, 69, 80, 443, 545, 546, 547, 5353, 9999])
EXTENSIONS: Final = (0, 43, 44, 51, 60, 135, 139, 140)


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
    max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
