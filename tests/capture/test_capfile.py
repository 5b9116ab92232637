"""Reading capture streams: every format, and every way to be broken."""

from __future__ import annotations

import contextlib
import io
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitorpi_capture.capfile import (
    MAX_BLOCK,
    MAX_FRAME,
    CaptureFile,
    CaptureFileError,
    Frame,
)

DATA = bytes(range(60))


def pcap(
    *frames: tuple[int, int, bytes], order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1
) -> bytes:
    """Return a pcap file of (seconds, ticks, data)."""
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    return head + b"".join(
        struct.pack(f"{order}IIII", seconds, ticks, len(data), len(data)) + data
        for seconds, ticks, data in frames
    )


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    """Return a section header."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, order: str = "<", *, snaplen: int = 0, options: bytes = b"") -> bytes:
    """Return an interface description."""
    return block(1, struct.pack(f"{order}HHI", link, 0, snaplen) + options, order)


def enhanced(ticks: int, data: bytes = DATA, order: str = "<", *, number: int = 0) -> bytes:
    """Return a frame of an interface."""
    head = struct.pack(
        f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)
    )
    return block(6, head + data + bytes(-len(data) % 4), order)


def read(data: bytes) -> tuple[list[Frame], list[str]]:
    """Return the frames and the notes of a stream."""
    file = CaptureFile(io.BytesIO(data), "x.pcap")
    return list(file), file.notes


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "ticks"), [(0xA1B2C3D4, 250_000), (0xA1B23C4D, 250_000_000)])
def test_pcap_in_either_order_and_resolution(order: str, magic: int, ticks: int) -> None:
    """Micro- and nanoseconds, little and big endian, are told by the magic."""
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
    """Monitor-mode captures of wireless cards are refused by name."""
    with pytest.raises(
        CaptureFileError, match=r"x\.pcap holds frames of link type 127; understood"
    ):
        read(pcap((1, 0, DATA), link=127))


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


@pytest.mark.parametrize("offset_s", [253_402_300_799, 2**62, -(2**62)])
def test_a_time_at_the_end_of_the_calendar_leaves_room_for_what_ends_later(offset_s: int) -> None:
    """Windows and alerts end after the last frame: that must be a date too."""
    options = struct.pack("<HHq", 14, 8, offset_s)

    frames, _ = read(section() + interface(options=options) + enhanced(5))

    (at_s,) = [frame.at_s for frame in frames]
    assert at_s is not None
    assert datetime.fromtimestamp(at_s + 7 * 86400, UTC).year in (1970, 9998)


def test_simple_and_obsolete_packet_blocks() -> None:
    """Simple blocks have no time and are cut by the interface's limit; obsolete ones are read."""
    simple = block(3, struct.pack("<I", 60) + DATA[:40])
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 3_000_000, 60, 90) + DATA)

    frames, notes = read(section() + interface(snaplen=40) + simple + old)

    assert notes == []
    assert frames == [Frame(None, 1, DATA[:40], 60), Frame(3.0, 1, DATA, 90)]


def test_unknown_links_of_one_interface_are_skipped_and_counted() -> None:
    """A capture of Ethernet and wireless interfaces keeps its Ethernet frames."""
    data = section() + interface(127) + interface(1) + enhanced(1) + enhanced(2, number=1)
    file = CaptureFile(io.BytesIO(data), "x")

    frames = list(file)

    assert len(frames) == 1
    assert file.skipped == 1
    assert file.notes == ["x: frames of link type 127 are skipped"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "x.pcap is empty: give a pcap or pcapng file"),
        (b"hello world", "x.pcap is no capture file (it begins with 68656c6c): give a pcap"),
        (b"\x1f\x8b\x08\0", "unpack it first"),
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


GOOD = pcap((1, 0, DATA))
GOODNG = section() + interface() + enhanced(1)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (GOOD + bytes(7), "ends within the header of a frame"),
        (GOOD + pcap((2, 0, DATA))[24:-1], "ends within a frame"),
        (GOOD + struct.pack("<IIII", 1, 0, MAX_FRAME + 1, 60), "claims a frame of 262145 bytes"),
        (GOODNG + bytes(7), "ends within a block header"),
        (GOODNG + enhanced(1)[:-1], "ends within a block"),
        (GOODNG + block(5, bytes(64))[:-8], "ends within a block"),
        (GOODNG + struct.pack("<II", 6, 8) + bytes(8), "claims a block of 8 bytes"),
        (GOODNG + struct.pack("<II", 6, MAX_BLOCK + 4) + bytes(8), "claims a block of 16777220"),
        (GOODNG + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(8), "claims a block of 4294967292"),
        (GOODNG + enhanced(1, number=7), "has a frame of interface 7"),
        (GOODNG + block(6, bytes(8)), "has a broken frame block"),
        (GOODNG + block(3, b""), "has a broken frame block"),
        (GOODNG + block(6, struct.pack("<IIIII", 0, 0, 0, 400, 400)), "claims a frame of 400"),
        (GOODNG + section()[:8] + bytes(20), "unknown byte order"),
    ],
)  # fmt: skip
def test_broken_behind_good_frames(data: bytes, note: str) -> None:
    """What was captured before the damage counts, and the damage is told in one line."""
    frames, notes = read(data)

    assert len(frames) == 1
    assert len(notes) == 1
    assert note in notes[0]


class Pipe(io.RawIOBase):
    """A stream that hands out a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        """Return at most seven bytes."""
        taken = self._data[: min(size, 7)]
        self._data = self._data[len(taken) :]
        return taken


def test_a_slow_pipe_gives_the_same_frames() -> None:
    """Short reads never split a frame."""
    data = pcap(*((second, 0, DATA) for second in range(20)))
    stream: Any = Pipe(data)

    assert list(CaptureFile(stream, "pipe")) == read(data)[0]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([GOOD[:24], GOODNG, section(), GOOD]))
def test_no_bytes_break_the_reader(data: bytes, head: bytes) -> None:
    """Garbage behind any header ends the stream, never the program."""
    read(head + data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_mutation_breaks_the_reader(choice: st.DataObject) -> None:
    """A few wrong bytes anywhere end the stream or are refused, never a traceback."""
    changed = bytearray(choice.draw(st.sampled_from([GOOD + GOOD[24:], GOODNG + enhanced(2)])))
    for _ in range(choice.draw(st.integers(1, 4))):
        changed[choice.draw(st.integers(0, len(changed) - 1))] = choice.draw(st.integers(0, 255))
    with contextlib.suppress(CaptureFileError):
        read(bytes(changed))
