"""Reading capture streams: every format, and every way to be broken."""

from __future__ import annotations

import gzip
import re
import struct
import tracemalloc

import pytest
from tests.capture.capstreams import (
    DATA,
    GOOD,
    GOODNG,
    block,
    enhanced,
    interface,
    opened,
    pcap,
    read,
    section,
)

from monitorpi_capture.frame.captured import MAX_FRAME, Frame
from monitorpi_capture.sources.capfile.reader import CaptureFileError


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "ticks"), [(0xA1B2C3D4, 250_000), (0xA1B23C4D, 250_000_000)])
def test_pcap_in_either_order_and_resolution(order: str, magic: int, ticks: int) -> None:
    """Micro- and nanoseconds, little and big endian, are reported by the magic."""
    frames, notes = read(pcap((100, ticks, DATA), (101, 0, b""), order=order, magic=magic))

    assert notes == []
    assert frames == [Frame(100.25, 1, DATA, 60), Frame(101.0, 1, b"", 0)]


@pytest.mark.parametrize(
    ("on_disk", "link"),
    [(1, 1), (12, 101), (14, 101), (101, 101), (113, 113), (228, 228), (276, 276), (0, 0)],
)
def test_link_types(on_disk: int, link: int) -> None:
    """Ethernet, raw IP by all its numbers, Linux cooked and loopback are understood."""
    frames, _ = read(pcap((1, 0, DATA), link=on_disk))

    assert frames[0].link == link


def test_a_link_type_nobody_understands_is_one_clear_line() -> None:
    """It has the number and the name; what can be read stands behind."""
    with pytest.raises(
        CaptureFileError, match=r"x\.pcap holds only frames of link type 107 \(Frame Relay\); under"
    ):
        read(pcap((1, 0, DATA), link=107))


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (146, "146;"), (147, "147 (private use);"), (162, "162 (private use);"),
        (163, "163 (802.11 with an AVS header);"), (164, "164;"),
    ],
)  # fmt: skip
def test_link_types_for_private_use_are_called_so(link: int, text: str) -> None:
    """Sixteen of them; a number that nobody has described stands alone."""
    with pytest.raises(CaptureFileError, match=re.escape(f"of link type {text}")):
        read(pcap((1, 0, DATA), link=link))


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    """Sections of either order, several interfaces, own resolutions and offsets, unknown blocks."""
    nanos = struct.pack(f"{order}HHB3x", 9, 1, 9) + struct.pack(f"{order}HHq", 14, 8, 1000)
    binary = struct.pack(f"{order}HHB3x", 9, 1, 0x80 | 10) + bytes(4)
    data = (
        section(order)
        + block(0x0BAD, bytes(100), order)
        + interface(1, order)
        + interface(101, order, options=nanos)
        + interface(1, order, options=binary)
        + enhanced(5_500_000, order=order)
        + enhanced(5_500_000_000, order=order, number=1)
        + enhanced(5 << 10, order=order, number=2)
        + section()
        + interface(276)
        + enhanced(7_000_000, b"abc")
    )

    frames, notes = read(data)

    assert notes == []
    assert frames == [
        Frame(5.5, 1, DATA, 60),
        Frame(1005.5, 101, DATA, 60),
        Frame(5.0, 1, DATA, 60),
        Frame(7.0, 276, b"abc", 3),
    ]


@pytest.mark.parametrize("code", [4, 5, 6, 7, 8, 10, 11, 12, 15, 16, 17, 2988])
def test_no_other_option_of_eight_bytes_moves_the_time(code: int) -> None:
    """Such as an interface's speed, its address, or one of a vendor."""
    options = struct.pack("<HHq", code, 8, 1_000_000_000)

    frames, notes = read(section() + interface(options=options) + enhanced(7_000_000))

    assert [frame.at_s for frame in frames] == [7.0]
    assert [note for note in notes if "filter" not in note] == []


@pytest.mark.parametrize("offset_s", [253_402_300_799, 2**62, -(2**62), -1, 2**32])
def test_frames_of_impossible_years_do_not_count(offset_s: int) -> None:
    """Before 1970 and beyond the 32 bits of pcap no time can be believed; others' count."""
    options = struct.pack("<HHq", 14, 8, offset_s)
    good = interface() + enhanced(7_000_000, number=1)

    frames, file = opened(section() + interface(options=options) + good + enhanced(0) * 3)

    assert [frame.at_s for frame in frames] == [7.0]
    assert file.failure == (
        "x.pcap has frames that do not count: 3 dated before 1970 or after 2106, the first at byte "
        f"{len(section() + interface(options=options) + good)}, behind frame 1; all others are read"
    )


def test_simple_and_obsolete_packet_blocks() -> None:
    """Simple blocks have no time and are cut by the interface's limit; obsolete ones are read."""
    simple = block(3, struct.pack("<I", 60) + DATA[:40])
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 3_000_000, 60, 90) + DATA)

    frames, notes = read(section() + interface(snaplen=40) + simple + old)

    assert notes == []
    assert frames == [Frame(None, 1, DATA[:40], 60), Frame(3.0, 1, DATA, 90)]


def test_notes_that_are_not_kept_are_counted() -> None:
    """Forty clocks that differ: the first are reported one by one, and how many more there are."""
    frames = [
        enhanced((9_000 - 100 * number + turn) * 1_000_000, number=number) for turn in range(3)
        for number in range(40)
    ]  # fmt: skip

    notes = read(section() + interface() * 40 + b"".join(frames))[1]

    assert len(notes) == 17
    assert "23 more notes" in notes[-1]


def test_unknown_links_of_one_interface_are_skipped_and_counted() -> None:
    """A capture of Ethernet and USB keeps its Ethernet frames, and is no failure."""
    data = section() + interface(220) + interface(1) + enhanced(1) + enhanced(2, number=1)

    frames, file = opened(data)

    assert (len(frames), file.skipped, file.failure) == (1, 1, None)
    assert len(file.notes) == 1
    assert "link type 220 (USB of Linux, memory-mapped), 1 of them" in file.notes[0]


def test_many_unknown_links_are_one_line() -> None:
    """However many there are, the line is bounded, and counts those it does not name."""
    unknown = b"".join(interface(link) for link in range(300, 400))

    _, file = opened(section() + unknown + interface() + enhanced(1, number=100))

    (note,) = file.notes
    assert "link type 300" in note
    assert "92 more link types" in note


@pytest.mark.parametrize("frames", [b"", enhanced(1)])
def test_nothing_that_can_be_read_is_a_failure_in_either_format(frames: bytes) -> None:
    """A pcapng of one unknown link type fails as the pcap of it does."""
    read_frames, file = opened(section() + interface(107) + frames)

    assert read_frames == []
    assert file.notes == []
    assert "x.pcap holds only frames of link type 107 (Frame Relay)" in (file.failure or "")


def test_a_large_block_that_is_skipped_is_skipped() -> None:
    """A transfer of megabytes between frames is passed over, not held, and is no end."""
    large = section() + interface(220) + interface() + enhanced(1, number=1)
    data = large + enhanced(2, bytes(40_000_000)) + enhanced(3, number=1)

    tracemalloc.start()
    frames, file = opened(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (len(frames), file.skipped, file.failure) == (2, 1, None)
    assert peak < 8_000_000


def test_a_frame_larger_than_any_is_read_up_to_its_headers() -> None:
    """The block tells where it ends: what is beyond the largest frame is not looked at."""
    frames, file = opened(section() + interface() + enhanced(1, bytes(900_000)) + enhanced(2))

    assert [(len(frame.data), frame.wire_length) for frame in frames] == [
        (MAX_FRAME, 900_000), (60, 60),
    ]  # fmt: skip
    assert file.failure is None
    assert MAX_FRAME == 262_144


@pytest.mark.parametrize("kind", [4, 5, 10, 0x0BAD, 0x80000001])
def test_other_blocks_are_passed_over(kind: int) -> None:
    """Names, statistics, secrets, custom and unknown blocks, small and large, hold no frames."""
    for size in (0, 40, 3_000_000):
        frames, notes = read(GOODNG + block(kind, bytes(size)) + enhanced(2))

        assert (len(frames), notes) == (2, [])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "x.pcap is empty: give a pcap or pcapng file"),
        (b"hello world", "x.pcap is no capture file (it begins with 68656c6c): give a pcap"),
        (b"\x1f\x8b\x08\0", "cannot be read (its gzip data ends early)"),
        (b"\x1f\x8b\x08\xff" * 9, "cannot be read (its gzip data is broken)"),
        (gzip.compress(b"hello", mtime=0), "is no capture file (it begins with 68656c6c)"),
        (b"\x28\xb5\x2f\xfd", "is packed with zstd: unpack it first"),
        (b"BZh91AY", "is packed with bzip2: unpack it first"),
        (b"snoop\0\0\0", "is a snoop file: make it pcap first"),
        (bytes(4096), "is no capture file (it begins with 00000000)"),
        (pcap()[:20], "x.pcap ends within its header: nothing to read"),
        (section()[:20], "x.pcap ends within its header: nothing to read"),
        (section()[:8] + b"xxxx" + section()[12:], "x.pcap has a broken pcapng header"),
    ],
)
def test_what_is_no_capture_is_refused_in_one_line(data: bytes, text: str) -> None:
    """The line says what is wrong and what to give instead."""
    with pytest.raises(CaptureFileError) as raised:
        read(data)

    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (GOOD + bytes(7), "ends within the header of a frame"),
        (GOOD + pcap((2, 0, DATA))[24:-1], "ends within a frame"),
        (GOOD + struct.pack("<IIII", 1, 0, MAX_FRAME + 1, 60), "claims a frame of 262,145 bytes"),
        (GOODNG + bytes(7), "ends within a block header"),
        (GOODNG + enhanced(1)[:-1], "ends within a block"),
        (GOODNG + block(5, bytes(64))[:-8], "ends within a block"),
        (GOODNG + struct.pack("<II", 6, 8) + bytes(8), "claims a block of 8 bytes"),
        (GOODNG + struct.pack("<II", 6, 0x7FFFFFFC) + bytes(8), "ends within a block"),
        (GOODNG + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(8), "claims a block of 4,294,967,292"),
        (GOODNG + enhanced(1)[:-4] + bytes(4), "has a block of 92 bytes or 0"),
        (GOODNG + block(5, bytes(64))[:-4] + b"\x07\0\0\0", "has a block of 76 bytes or 7"),
        (GOODNG + enhanced(1, number=7), "1 of interfaces that are not described"),
        (GOODNG + enhanced(1, number=1) + interface(), "1 of interfaces that are not described"),
        (GOODNG + section() + enhanced(1), "1 of interfaces that are not described"),
        (GOODNG + block(6, bytes(8)), "1 in broken blocks"),
        (GOODNG + block(3, b""), "1 in broken blocks"),
        (GOODNG + block(6, struct.pack("<IIIII", 0, 0, 0, 400, 400)), "1 longer than their blocks"),
        (GOODNG + section()[:8] + bytes(20), "no byte order"),
        (GOODNG + section()[:8], "ends within a block header"),
        (GOOD + bytes(1 << 20), "holds 1,048,576 bytes of zeros, as a power cut leaves,"),
        (GOOD + bytes(32) + b"x", "holds 32 bytes of zeros"),
        (GOODNG + bytes(1 << 20), "holds 1,048,576 bytes of zeros, as a power cut leaves,"),
        (GOODNG + bytes(9), "ends within a block header"),
        (gzip.compress(GOOD, mtime=0)[:-4], "cannot be read on (its gzip data ends early)"),
    ],
)  # fmt: skip
def test_broken_behind_good_frames(data: bytes, note: str) -> None:
    """What was captured before the damage counts, and the damage is reported in one line."""
    frames, notes = read(data)

    assert len(frames) == 1
    assert len(notes) == 1
    assert note in notes[0]
    assert re.search(r"at byte [\d,]+, behind frame 1;", notes[0])
