"""Files of random structure, written, cut and changed: every frame comes back or is reported."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitorpi_capture.frame.linktypes import SUPPORTED
from monitorpi_capture.sources.capfile.reader import CaptureFile, CaptureFileError

if TYPE_CHECKING:
    from pathlib import Path

    from hypothesis.strategies import DrawFn

START_S = 1_700_000_000
Written = tuple[bytes, list[tuple[float, int, bytes]]]
"""A file, and the frames that must come out of it."""


@st.composite
def pcap_files(draw: DrawFn) -> Written:
    """Write a pcap file."""
    order = draw(st.sampled_from("<>"))
    magic, per_s = draw(st.sampled_from([(0xA1B2C3D4, 10**6), (0xA1B23C4D, 10**9)]))
    link = draw(st.sampled_from(sorted(SUPPORTED)))
    snaplen = draw(st.sampled_from([0, 96, 65535, 262144]))
    content = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, link)
    expected = []
    for number in range(draw(st.integers(0, 6))):
        data = draw(st.binary(max_size=80))
        ticks = draw(st.integers(0, per_s - 1))
        second = START_S + number
        content += struct.pack(f"{order}IIII", second, ticks, len(data), len(data)) + data
        expected.append((second + ticks / per_s, link, data))
    return content, expected


@st.composite
def pcapng_files(draw: DrawFn) -> Written:
    """Write a pcapng file: sections of either order, interfaces, blocks of every kind."""
    content, second, expected = b"", START_S, []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.sampled_from("<>"))

        def block(kind: int, body: bytes, order: str = order) -> bytes:
            body += bytes(-len(body) % 4)
            length = struct.pack(f"{order}I", len(body) + 12)
            return struct.pack(f"{order}I", kind) + length + body + length

        content += block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
        interfaces: list[tuple[int, int]] = []
        for _ in range(draw(st.integers(1, 8))):
            match draw(st.sampled_from("iiooppppps")):
                case "i":
                    link = draw(st.sampled_from([*sorted(SUPPORTED), 220, 107]))
                    power = draw(st.sampled_from([3, 6, 9]))
                    options = struct.pack(f"{order}HHB3xHH", 9, 1, power, 0, 0)
                    body = struct.pack(f"{order}HHI", link, 0, 0) + options
                    content += block(1, body)
                    interfaces.append((link, power))
                case "o":
                    kind = draw(st.sampled_from([4, 5, 10, 0xBAD, 0x40000BAD, 0x7FFF]))
                    content += block(kind, draw(st.binary(max_size=60)))
                case "s" if interfaces:
                    data = draw(st.binary(max_size=60))
                    content += block(3, struct.pack(f"{order}I", len(data)) + data)
                    if interfaces[0][0] in SUPPORTED:
                        expected.append((-1.0, interfaces[0][0], data))
                case "p" if interfaces:
                    number = draw(st.integers(0, len(interfaces) - 1))
                    link, power = interfaces[number]
                    second += 1
                    ticks = second * 10**power
                    data = draw(st.binary(max_size=60))
                    size = len(data)
                    head = struct.pack(
                        f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, size, size
                    )
                    comment = draw(
                        st.sampled_from([b"", struct.pack(f"{order}HH4sI", 1, 4, b"text", 0)])
                    )
                    content += block(6, head + data + bytes(-size % 4) + comment)
                    if link in SUPPORTED:
                        expected.append((float(second), link, data))
    return content, expected


FILES = st.one_of(pcap_files(), pcapng_files())


def read(content: bytes) -> tuple[list[tuple[float, int, bytes]], CaptureFile]:
    """Read a file to its end."""
    file = CaptureFile(io.BytesIO(content), "x")
    return [(-1.0 if at_s is None else at_s, link, data) for at_s, link, data, _ in file], file


@settings(max_examples=300)
@given(FILES)
def test_every_frame_that_was_written_is_read(written: Written) -> None:
    """Whatever stands between the frames, and in whatever order and resolution."""
    content, expected = written
    try:
        frames, file = read(content)
    except CaptureFileError as error:
        pytest.fail(str(error))

    assert frames == expected
    assert file.failure is None or "holds only frames of link type" in file.failure


@settings(max_examples=200)
@given(FILES, FILES)
def test_every_frame_of_two_files_in_one_is_read(first: Written, second: Written) -> None:
    """``cat`` of any two is both."""
    frames, _ = read(first[0] + second[0])

    assert frames == first[1] + second[1]


@settings(max_examples=300)
@given(FILES, st.data())
def test_a_file_that_was_cut_says_so(written: Written, choice: st.DataObject) -> None:
    """The frames before the cut are read; a cut that is no end of a block is reported."""
    content, expected = written
    cut = choice.draw(st.integers(0, len(content) - 1))
    try:
        frames, file = read(content[:cut])
    except CaptureFileError:
        return

    assert frames == expected[: len(frames)]
    if cut and file.failure is None:
        # between two records or blocks: what is behind goes on from there
        assert len(frames) <= len(expected)


@settings(max_examples=400)
@given(FILES, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6))
def test_a_file_that_was_changed_never_breaks_the_reader(
    written: Written, changes: list[tuple[int, int]]
) -> None:
    """It is read, refused or reported; nothing of the size that wrong bytes claim is held."""
    content = bytearray(written[0])
    for place, value in changes:
        content[place % len(content)] = value

    tracemalloc.start()
    try:
        said = read(bytes(content))[1].failure or ""
    except CaptureFileError as error:
        said = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert "\n" not in said
    assert peak < 16_000_000


@pytest.mark.skipif(shutil.which("capinfos") is None, reason="capinfos is not installed")
def test_capinfos_agrees_on_public_captures(captures: Path) -> None:
    """Frames, bytes, first and last time of every file are those Wireshark's capinfos tells."""
    command = ["capinfos", "-T", "-r", "-m", "-S", "-c", "-d", "-a", "-e"]
    seen = 0
    for path in sorted(captures.glob("*.pcap*")):
        report = subprocess.run([*command, path], capture_output=True, text=True, check=True)
        _, frames, size, first, last = report.stdout.strip().split(",")
        with path.open("rb") as stream:
            file = CaptureFile(stream, path.name)
            found = [(at_s or 0.0, length) for at_s, _, _, length in file]

        assert (len(found), sum(length for _, length in found)) == (int(frames), int(size))
        times = [at_s for at_s, _ in found]
        assert (min(times), max(times)) == pytest.approx((float(first), float(last)), abs=1e-6)
        assert file.failure is None
        seen += 1

    assert seen > 20
