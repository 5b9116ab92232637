"""Frames of other link layers, as what is counted of them: 802.11 and PPP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.test_filesource import IP, SENDER, TARGET, windows

from monitorpi_capture.items import (
    counts_by_name,
)

AP = bytes.fromhex("0200000000fe")
LLC = bytes.fromhex("aaaa03000000") + b"\x08\0" + IP


def wireless(
    ds: int, *macs: bytes, first: int = 0x08, flags: int = 0, body: bytes = LLC, extra: bytes = b""
) -> bytes:
    """Return an 802.11 frame."""
    head = bytes([first, flags | ds]) + bytes(2) + b"".join(macs[:3]) + bytes(2)
    return head + b"".join(macs[3:]) + extra + body


@pytest.mark.parametrize(
    "data",
    [
        wireless(0, TARGET, SENDER, AP),
        wireless(1, AP, SENDER, TARGET),
        wireless(2, TARGET, AP, SENDER),
        wireless(3, AP, AP, TARGET, SENDER),
        wireless(1, AP, SENDER, TARGET, first=0x88, extra=bytes(2)),
        wireless(1, AP, SENDER, TARGET, first=0x88, flags=0x80, extra=bytes(6)),
        wireless(3, AP, AP, TARGET, SENDER, first=0x88, extra=bytes(2)),
        wireless(1, AP, SENDER, TARGET, first=0x88, extra=b"\x80\0" + TARGET + SENDER + b"\0\x24"),
    ],
)
def test_data_frames_of_802_11_count_for_both_ends(data: bytes) -> None:
    """Whatever way they go, with QoS, HT control, four addresses, as an aggregate."""
    (window,) = windows((1.0, data), link=105)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(data), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip
    assert {row.mac: (bool(row.tx), bool(row.rx)) for row in window.rows} == {
        SENDER: (True, False), TARGET: (False, True),
    }  # fmt: skip


def radiotap(flags: int | None, *, tsft: bool = False, words: int = 1) -> bytes:
    """Return a radiotap header."""
    present = (2 if flags is not None else 0) | (1 if tsft else 0)
    fields = bytes(4 * (words - 1))
    if tsft:
        fields += bytes(-(8 + len(fields)) % 8 + 8)
    if flags is not None:
        fields += bytes([flags])
    fields += bytes(3)
    masks = struct.pack("<I", present | (1 << 31 if words > 1 else 0))
    masks += b"".join(
        struct.pack("<I", 1 << 31 if word < words - 1 else 0) for word in range(1, words)
    )
    fields = fields[4 * (words - 1) :]
    return struct.pack("<BBH", 0, 0, 4 + len(masks) + len(fields)) + masks + fields


FCS = b"\xde\xad\xbe\xef"
AIR = wireless(1, AP, SENDER, TARGET)


@pytest.mark.parametrize(
    "data",
    [
        radiotap(None) + AIR,
        radiotap(0) + AIR,
        radiotap(0, tsft=True) + AIR,
        radiotap(0, tsft=True, words=2) + AIR,
        radiotap(0, tsft=True, words=3) + AIR,
        radiotap(0x10) + AIR + FCS,
        radiotap(0x10, tsft=True) + AIR + FCS,
    ],
)
def test_radiotap_says_where_the_frame_begins_and_ends(data: bytes) -> None:
    """Its own bytes and the checksum it tells of are no bytes of the frame."""
    (window,) = windows((1.0, data), link=127)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(AIR), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip


def test_padding_between_header_and_payload() -> None:
    """Some cards align what is behind a header of 26 bytes, and say so."""
    head = wireless(1, AP, SENDER, TARGET, first=0x88, extra=bytes(2), body=b"")

    (window,) = windows((1.0, radiotap(0x20) + head + bytes(2) + LLC), link=127)

    assert counts_by_name(window.wire)["icmp_echo"] == 1
    assert counts_by_name(window.wire)["bytes"] == len(head) + len(LLC)


def test_only_a_data_frame_has_padding_behind_its_header() -> None:
    """A beacon's bytes are all its own, whatever a card says; a frame of one byte has no header."""
    beacon = wireless(0, b"\xff" * 6, AP, AP, first=0x80, body=bytes(60))

    sizes = [
        counts_by_name(windows((1.0, radiotap(0x20) + data), link=127)[0].wire)["bytes"]
        for data in (beacon, beacon[:1])
    ]

    assert sizes == [len(beacon), 1]


@pytest.mark.parametrize(
    "data",
    [
        wireless(1, AP, SENDER, TARGET, flags=0x40),
        wireless(1, AP, SENDER, TARGET, flags=0x04),
        wireless(1, AP, SENDER, TARGET, first=0x48, body=b""),
        wireless(1, AP, SENDER, TARGET, body=b"\x42\x42\x03" + bytes(40)),
    ],
    ids=["encrypted", "fragment", "null", "spanning tree"],
)
def test_what_cannot_be_looked_into_counts_for_both_ends(data: bytes) -> None:
    """Encrypted frames have their addresses in the clear, and no classes."""
    (window,) = windows((1.0, data), link=105)

    assert counts_by_name(window.wire) == {"packets": 1, "bytes": len(data)}
    assert {row.mac for row in window.rows} == {SENDER, TARGET}


@pytest.mark.parametrize(
    "data",
    [
        wireless(0, b"\xff" * 6, AP, AP, first=0x80, body=bytes(60)),
        b"\xd4\0\0\0" + SENDER,
        b"\xb4\0\0\0" + SENDER + AP,
    ],
    ids=["beacon", "ack", "rts"],
)
def test_management_and_control_are_the_airs_own(data: bytes) -> None:
    """They count for the wire only: beacons are no storm of broadcasts."""
    (window,) = windows((1.0, data), link=105)

    assert counts_by_name(window.wire) == {"packets": 1, "bytes": len(data)}
    assert list(window.rows) == []


@pytest.mark.parametrize(
    ("link", "data"),
    [(105, b"\x08"), (105, AIR[:20]), (127, b"\0"), (127, b"\x01" + bytes(40)),
     (127, radiotap(0x40) + AIR), (127, b"\0\0\xff\xff" + bytes(20))],
)  # fmt: skip
def test_broken_frames_of_802_11_are_malformed(link: int, data: bytes) -> None:
    """Cut headers, and frames whose checksum the card found wrong."""
    (window,) = windows((1.0, data), link=link)

    assert counts_by_name(window.wire)["malformed"] == 1
    assert list(window.rows) == []


@given(st.sampled_from([105, 127, 9, 50, 113, 276, 0, 101]), st.binary(max_size=120))
def test_no_bytes_break_a_link_layer(link: int, data: bytes) -> None:
    """Every frame counts once, whatever is in it."""
    (window,) = windows((1.0, data), link=link)

    assert window.wire[0] == 1


@pytest.mark.parametrize("link", [9, 50])
@pytest.mark.parametrize("head", [b"\xff\x03\0\x21", b"\0\x21", b"\x21", b"\xff\x03\x21"])
def test_ppp_counts_for_the_wire(link: int, head: bytes) -> None:
    """With and without HDLC address and control, its protocol in one byte or two."""
    (window,) = windows((1.0, head + IP), link=link)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(head + IP), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip


def test_what_ppp_says_to_itself_has_no_classes() -> None:
    """Link control is no packet."""
    (window,) = windows((1.0, b"\xff\x03\xc0\x21\x09\x01\0\x08\0\0\0\0"), link=9)

    assert counts_by_name(window.wire) == {"packets": 1, "bytes": 12}
