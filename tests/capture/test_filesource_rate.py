"""Reading capture streams at speed, in flat memory, whatever their length."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest
from tests.memory import peak_mb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.calm

FRAMES_PER_S: Final = 100_000
"""Of the file's own time: a hundredth of a second is one block of 1,000 frames."""
BLOCK: Final = 1_000
FLAT_MB: Final = 80
MOST_COST: Final = 10.0
"""Times the plainest loop over the same file; 4.6 to 7.2 where it was measured."""
PLAINEST: Final = """
import struct, sys
counts = {}
with open(sys.argv[1], "rb") as file:
    file.read(24)
    while head := file.read(16):
        data = file.read(struct.unpack("<IIII", head)[2])
        row = counts.setdefault(data[6:12], [0, 0])
        row[0] += 1
        row[1] += len(data)
"""
"""Reads a pcap file and counts frames and bytes per source: what no program can do without."""
START: Final = 1_700_000_000
SERVICE: Final = (sys.executable, "-m", "monitorpi_capture", "--bus", "-")
ENVIRONMENT: Final = os.environ | {"MONITORPI_SITE": "lab"}


def block() -> list[bytes]:
    """Return the frames of a block: SYNs, echo requests, DNS, data, from 50 senders to 50."""
    frames = []
    for number in range(BLOCK):
        kind = number % 4
        body = (
            struct.pack("!HHIIBBHHH", 1024 + number, 80, 1, 1, 0x50, 2, 1, 0, 0),
            b"\x08" + bytes(27),
            struct.pack("!HHHH", 1024 + number, 53, 28, 0) + bytes(20),
            struct.pack("!HHIIBBHHH", 443, 1024 + number, 1, 1, 0x50, 16, 1, 0, 0) + bytes(500),
        )[kind]
        ends = bytes((198, 18, 0, number % 50)) + bytes((198, 18, 1, number % 49))
        network = struct.pack(
            "!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, (6, 1, 17, 6)[kind], 0
        )
        macs = bytes((2, 0, 0, 0, 1, number % 49)) + bytes((2, 0, 0, 0, 0, number % 50))
        frames.append(macs + b"\x08\x00" + network + ends + body)
    return frames


def capture(frames: int) -> Iterator[bytes]:
    """Yield a pcap stream of so many frames, a block at a time."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    sample = block()
    for number in range(frames // BLOCK):
        second, part = divmod(number * BLOCK, FRAMES_PER_S)
        ticks = part * 1_000_000 // FRAMES_PER_S
        yield b"".join(
            struct.pack("<IIII", START + second, ticks, len(data), len(data)) + data
            for data in sample
        )


def read_from_a_pipe(frames: int) -> tuple[int, int, float]:
    """Return windows, frames counted and the peak memory of the service in MB."""
    with subprocess.Popen(
        [*SERVICE, "--read", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        into = process.stdin

        def feed() -> None:
            with into:
                for piece in capture(frames):
                    into.write(piece)

        writer = threading.Thread(target=feed, daemon=True)
        writer.start()
        windows = counted = 0
        peak = 0.0
        for line in process.stdout:
            message = json.loads(line)
            if "/traffic/" in message["topic"]:
                windows += 1
                counted += message["payload"]["packets"]
                peak = max(peak, peak_mb(process.pid))
        writer.join()
        assert process.wait(20) == 0
    return windows, counted, peak


@pytest.mark.parametrize(
    "frames", [500_000, pytest.param(5_000_000, marks=(pytest.mark.soak, pytest.mark.timeout(300)))]
)
def test_a_stream_is_read_in_flat_memory(frames: int) -> None:
    """However long the stream is, memory stays what it was, and every frame is counted."""
    windows, counted, peak = read_from_a_pipe(frames)

    assert frames == counted
    assert frames // FRAMES_PER_S == windows
    assert 0 < peak < FLAT_MB


def test_a_file_is_read_at_speed(tmp_path: Path) -> None:
    """Held against a plain loop, by turns, in processor time: no machine's speed matters."""
    file = tmp_path / "mixed.pcap"
    with file.open("wb") as stream:
        stream.writelines(capture(1_000_000))

    turns = [
        (
            cpu_seconds(*SERVICE, "--read", str(file)),
            cpu_seconds(sys.executable, "-c", PLAINEST, str(file)),
        )
        for _ in range(3)
    ]

    assert min(ours for ours, _ in turns) < MOST_COST * min(plain for _, plain in turns)


def cpu_seconds(*command: str) -> float:
    """Return the processor time that a command takes, start-up included."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime
