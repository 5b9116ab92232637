"""First looks at a frame: its line, whether it tells of a device, how many frames it was."""

from __future__ import annotations

import pytest

from monitorpi_capture.engine.socket_engine import segments
from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import is_discovery, is_rare
from monitorpi_capture.frame.line import line_of

MACS = bytes.fromhex("020000000002020000000001")
V4 = bytes.fromhex("08004500003400000000400600000102030405060708")
V6 = bytes.fromhex("86dd6000000000201140") + bytes(15) + b"\1" + bytes(15) + b"\2"
TCP = bytes.fromhex("04d2005000000000000000008002000000000000") + bytes(12)
UDP = bytes.fromhex("14e9003500200000")


def named(value: object) -> str | None:
    """Name a case; a frame goes by its number, as its bytes are no name that pytest finds again."""
    return "" if isinstance(value, bytes) else None


@pytest.mark.parametrize(
    ("frame", "line", "ips"),
    [
        (MACS + V4 + TCP, "1.2.3.4 port 1234 > 5.6.7.8 port 80 ", ("1.2.3.4", "5.6.7.8")),
        (MACS + V6 + UDP, "::1 port 5353 > ::2 port 53 ", ("::1", "::2")),
        (MACS + V4.replace(b"\x40\x06", b"\x40\x02") + bytes(8), "1.2.3.4 > 5.6.7.8 igmp",
         ("1.2.3.4", "5.6.7.8")),
        (MACS + b"\x88\xb5" + bytes(46), "02:00:00:00:00:01 > 02:00:00:00:00:02 type 0x88b5 ",
         (None, None)),
        (MACS + b"\x08\x06" + bytes(28), "02:00:00:00:00:01 > 02:00:00:00:00:02 ", (None, None)),
    ],
    ids=named,
)  # fmt: skip
def test_a_line_says_who_sent_what_to_whom(
    frame: bytes, line: str, ips: tuple[str | None, str | None]
) -> None:
    """By address and port, as far as there are some; never a byte of what is inside."""
    said = line_of(frame, 1514, classify(frame, 1514, False), "eth0", 7.0)

    assert said.line.startswith(line)
    assert said.line.endswith(" 1514 bytes")
    assert (said.ip_src, said.ip_dst) == ips
    assert (said.interface, said.at_s, said.length) == ("eth0", 7.0, 1514)
    assert (said.mac_src, said.mac_dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")


@pytest.mark.parametrize(
    ("frame", "length", "size", "frames", "together"),
    [
        (MACS + V4 + TCP, 66 + 3000, 1448, 3, 66 + 3000 + 2 * 66),
        (MACS + V4 + TCP, 66 + 2896, 1448, 2, 66 + 2896 + 66),
        (MACS + V4 + TCP, 66 + 2897, 1448, 3, 66 + 2897 + 2 * 66),
        (MACS + V4 + TCP, 66, 1448, 1, 66), (MACS + V4 + TCP, 3066, 0, 1, 3066),
        (MACS + V6 + UDP, 62 + 2400, 1200, 2, 62 + 2400 + 62),
        (MACS + b"\x88\xb5" + bytes(46), 3000, 1448, 1, 3000),
    ],
    ids=named,
)  # fmt: skip
def test_a_merged_frame_counts_as_those_it_was(
    frame: bytes, length: int, size: int, frames: int, together: int
) -> None:
    """Each had headers of its own: Ethernet, IP, and TCP with its options, or UDP's eight bytes."""
    assert segments(frame, length, classify(frame, length, False), size) == (frames, together)


def of_v6(protocol: int, *inside: int) -> bytes:
    """Return a frame with a packet of IPv6."""
    return MACS + V6.replace(b"\x11\x40", bytes((protocol, 64))) + bytes(inside).ljust(32, b"\0")


def of_v4(protocol: int, *inside: int) -> bytes:
    """Return a frame with a packet of IPv4."""
    return MACS + V4.replace(b"\x40\x06", bytes((64, protocol))) + bytes(inside).ljust(40, b"\0")


@pytest.mark.parametrize(
    ("frame", "tells", "rare"),
    [
        (MACS + b"\x08\x06" + bytes.fromhex("00010800060400020000") + bytes(18), True, False),
        (of_v4(17, 0, 68, 0, 67, 0, 40), True, True), (of_v4(17, 0, 67, 0, 68, 0, 40), True, True),
        (of_v6(17, 2, 35, 2, 34, 0, 32), True, True),
        (of_v4(17, 20, 233, 20, 233, 0, 40, 0, 0, 0, 0, 0x84), True, False),
        (of_v4(17, 20, 233, 20, 233, 0, 40, 0, 0, 0, 0, 0x04), False, False),
        *[(of_v6(58, kind), 133 <= kind <= 136, kind == 134) for kind in range(130, 139)],
        (of_v6(17, 134, 1, 1, 1, 0, 32), False, False), (of_v6(6, 134, 1, 0, 80), False, False),
        (of_v4(1, 134), False, False), (of_v6(58, 134)[:54], False, False),
        (of_v6(58, 134)[:55], True, True),
    ],
    ids=named,
)  # fmt: skip
def test_what_tells_of_a_device_is_found_at_a_first_look(
    frame: bytes, tells: bool, rare: bool
) -> None:
    """By protocol and type; what only begins with the same byte, or ends before it, does not."""
    classified = classify(frame, 200, False)

    assert is_discovery(frame, classified) is tells
    assert is_rare(frame, classified) is rare
