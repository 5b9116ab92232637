"""Capture streams with checksums, of other versions, written by other programs, or slow."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

from monitorpi_capture.frame.captured import Frame
from monitorpi_capture.sources.capfile.reader import CaptureFile, CaptureFileError

# --- checksums, versions, variants ----------------------------------------------------------------

CHECKED = DATA + b"\x01\x02\x03\x04"


def flagged(flags: int, data: bytes = CHECKED) -> bytes:
    """Return a frame with flags."""
    head = struct.pack("<IIIII", 0, 0, 5, len(data), len(data))
    option = struct.pack("<HHI", 2, 4, flags) + bytes(4)
    return block(6, head + data + bytes(-len(data) % 4) + option)


@pytest.mark.parametrize(
    "data",
    [
        section() + interface(options=struct.pack("<HHB3x", 13, 1, 32)) + enhanced(5, CHECKED),
        section() + interface(options=struct.pack("<HHB3x", 13, 1, 4)) + enhanced(5, CHECKED),
        section() + interface() + flagged(4 << 5 | 1),
        section() + interface(options=struct.pack("<HHB3x", 13, 1, 16)) + flagged(4 << 5),
        section() + interface(options=struct.pack("<HHB3x", 13, 1, 32)) + flagged(0),
        section() + interface(options=struct.pack("<HHB3x", 13, 1, 32))
        + block(3, struct.pack("<I", 64) + CHECKED),
        pcap((0, 5, CHECKED), link=1 | 1 << 26 | 2 << 28),
    ],
)  # fmt: skip
def test_a_checksum_that_is_told_of_is_taken_off(data: bytes) -> None:
    """By the interface, in bits or bytes; by the frame's flags, which win; by pcap's header."""
    ((_, _, kept, length),), notes = read(data)

    assert (kept, length) == (DATA, 60)
    assert notes == []


def test_a_checksum_that_was_cut_off_is_taken_off_the_length() -> None:
    """A snap length cuts the checksum first, and then the frame."""
    for captured, left in ((64, 60), (62, 60), (60, 60), (40, 40)):
        record = struct.pack("<IIII", 1, 0, captured, 64) + CHECKED[:captured]
        frames, _ = read(pcap(link=1 | 1 << 26 | 2 << 28) + record)

        assert frames == [Frame(1.0, 1, DATA[:left], 60)]


def test_a_checksum_length_without_its_flag_means_nothing() -> None:
    """The four bits are only valid beside the flag."""
    assert read(pcap((1, 0, DATA), link=1 | 2 << 28))[0][0].wire_length == 60


def test_wrong_versions_and_reserved_bits_are_told() -> None:
    """They are read as if they were right, with a line that says so."""
    version = bytearray(GOOD)
    version[4:8] = struct.pack("<HH", 7, 9)
    bits = pcap((1, 0, DATA), link=1 | 1 << 20)
    ng = bytearray(GOODNG)
    ng[12:16] = struct.pack("<HH", 3, 1)

    for data, text in (
        (bytes(version), "says that it is pcap 7.9, read as 2.4"),
        (bits, "has reserved bits set in its link type (0x00100001)"),
        (bytes(ng), "says that it is pcapng 3.1, read as 1.0"),
    ):
        frames, file = opened(data)

        assert (len(frames), file.failure) == (1, None)
        assert [text in note for note in file.notes] == [True]


def test_the_format_that_kuznetzov_modified() -> None:
    """Its records have interface, protocol and direction behind their head."""
    head = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 262144, 1)
    record = struct.pack("<IIIIIHBB", 1, 250_000, 60, 60, 3, 0x800, 0, 0) + DATA

    assert read(head + record + record) == ([Frame(1.25, 1, DATA, 60)] * 2, [])


def test_lengths_of_old_files_stand_the_other_way_round() -> None:
    """Before version 2.3 the original length came first."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 2, 0, 0, 0, 1)

    assert read(head + struct.pack("<IIII", 1, 0, 1500, 60) + DATA) == (
        [Frame(1.0, 1, DATA, 1500)], [],
    )  # fmt: skip


def test_too_many_interfaces_are_no_end() -> None:
    """Frames of those beyond the limit are skipped and reported, the others go on."""
    data = section() + interface() * 5000 + enhanced(1) + enhanced(2, number=4999) + enhanced(3)

    frames, file = opened(data)

    assert (len(frames), file.failure) == (2, None)
    assert any("describes more than 4,096 interfaces" in note for note in file.notes)
    assert any("1 frames of too many interfaces" in note for note in file.notes)


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


@settings(max_examples=300)
@given(st.binary(max_size=300), st.sampled_from([GOOD[:24], GOODNG, section(), GOOD]))
def test_no_bytes_break_the_reader(data: bytes, head: bytes) -> None:
    """Garbage behind any header ends the stream, never the program."""
    read(head + data)


@settings(max_examples=300)
@given(st.data())
def test_no_mutation_breaks_the_reader(choice: st.DataObject) -> None:
    """A few wrong bytes anywhere end the stream or are refused, never a traceback."""
    changed = bytearray(choice.draw(st.sampled_from([GOOD + GOOD[24:], GOODNG + enhanced(2)])))
    for _ in range(choice.draw(st.integers(1, 4))):
        changed[choice.draw(st.integers(0, len(changed) - 1))] = choice.draw(st.integers(0, 255))
    with contextlib.suppress(CaptureFileError):
        read(bytes(changed))
