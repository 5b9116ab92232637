"""Frames as a mirror shows them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.copies import CopyMeter
from monitorpi_capture.items import FrameSample, SampledFrame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_capture.count.copyevidence import CopyReport

EVERYBODY: Final = b"\xff" * 6
PORT: Final = "eth0"
Timed = tuple[float, bytes]


def mac(number: int) -> bytes:
    """Return an individual address."""
    return bytes((4, 0, 0, 0, 1, number))


def datagram(source: int, target: int | bytes, number: int, *, tags: bytes = b"") -> bytes:
    """Return a UDP frame that its number tells apart."""
    to = target if isinstance(target, bytes) else mac(target)
    body = struct.pack("!BBHHHBBH", 0x45, 0, 60, number & 0xFFFF, 0, 64, 17, number >> 16)
    body += bytes((198, 18, 0, source, 198, 18, 0, 1)) + struct.pack("!HHHH", 4000, 4001, 40, 0)
    return to + mac(source) + tags + b"\x08\x00" + body + b"x" * 32


def spaced(frames: Iterable[bytes], *, each_s: float, times: int = 1) -> list[Timed]:
    """Return frames in even distances, each shown so many times, 20 us apart."""
    return [
        (100 + number * each_s + copy * 20e-6, frame)
        for number, frame in enumerate(frames)
        for copy in range(times)
    ]


def shown(*streams: Iterable[Timed], meter: CopyMeter | None = None) -> CopyReport:
    """Return what is reported of one port that shows all streams."""
    meter = meter or CopyMeter()
    frames = sorted((frame for stream in streams for frame in stream), key=lambda one: one[0])
    meter.take(
        FrameSample((PORT,), [SampledFrame(at_s, 0, len(data), data) for at_s, data in frames])
    )
    return meter.report(PORT)


def talk(one: int, other: int, count: int = 30, *, times: int = 1, back: int = 1) -> list[Timed]:
    """Return a conversation of requests and answers; each side's frames shown so many times."""
    there = spaced((datagram(one, other, n) for n in range(count)), each_s=0.03, times=times)
    answers = spaced((datagram(other, one, n) for n in range(count)), each_s=0.03, times=back)
    return there + [(at_s + 0.0004, data) for at_s, data in answers]
