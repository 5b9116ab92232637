"""Capture streams, block by block."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from monitorpi_capture.sources.capfile.reader import CaptureFile

if TYPE_CHECKING:
    from monitorpi_capture.frame.captured import Frame

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


GOOD = pcap((1, 0, DATA))
GOODNG = section() + interface() + enhanced(1)


def opened(data: bytes) -> tuple[list[Frame], CaptureFile]:
    """Return the frames of a stream, and the file as it is behind them."""
    file = CaptureFile(io.BytesIO(data), "x.pcap")
    return list(file), file


def read(data: bytes) -> tuple[list[Frame], list[str]]:
    """Return the frames of a stream and all that is said about it."""
    frames, file = opened(data)
    return frames, [*file.notes, *([file.failure] if file.failure else [])]
