"""The kernel engine between a sender and its tables."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_dev.sender import DESTINATION, INTERFACE, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_capture.items import MacCounts, WindowCounts
    from monitorpi_lab.namespace import Namespace

TAG = b"\x81\x00\x00\x05"


@contextlib.contextmanager
def counting(
    namespace: Namespace, *names: str, max_rows: int = 4096, pinned: Sequence[bytes] = ()
) -> Iterator[EbpfEngine]:
    """Return an engine that counts in a namespace."""
    engine = EbpfEngine(names or (INTERFACE,), max_rows)
    namespace.call(engine.open)
    if pinned:
        engine.pin(pinned)
        namespace.call(engine.close_windows)
    try:
        yield engine
    finally:
        namespace.call(engine.close)


def rows(window: WindowCounts) -> dict[bytes, MacCounts]:
    """Return a window's rows by MAC."""
    return {row.mac: row for row in window.rows}


def flood_frame(number: int, *, tags: bytes = b"", kind: int = 0x02) -> bytes:
    """Return a TCP frame of 74 bytes without tags."""
    network = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 60, 0, 0, 64, 6, 0, bytes(4), bytes(4))
    segment = struct.pack("!HHIIBBHHH", 1024, 80, 0, 0, 0x50, kind, 0, 0, 0)
    return DESTINATION + source(number) + tags + b"\x08\x00" + network + segment + bytes(20)
