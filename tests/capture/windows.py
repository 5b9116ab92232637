"""Windows of a capture, and its core."""

from __future__ import annotations

from typing import Any

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.items import (
    COLUMN,
    WIDTH,
    Instant,
    MacCounts,
    SpreadCounts,
    TopPeer,
    WindowCounts,
)
from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.messages import Publication, Traffic, Watch

BOOT = 1000.0


class Steered:
    """Remembers what the core asked of the live source."""

    def __init__(self) -> None:
        self.watched: list[Watch] = []
        self.pinned: list[bytes] = []

    def watch(self, order: Watch) -> None:
        """Remember the order."""
        self.watched.append(order)

    def pin(self, macs: Any) -> None:
        """Remember the MACs."""
        self.pinned = list(macs)


def mac(number: int) -> bytes:
    """Return a made-up unicast address."""
    return b"\x02" + number.to_bytes(5, "big")


def counts(**named: int) -> list[int]:
    """Return counts in the order of the columns; a frame has 60 bytes."""
    row = [0] * WIDTH
    named.setdefault("bytes", named.get("packets", 0) * 60)
    for name, count in named.items():
        row[COLUMN[name]] = count
    return row


def window(
    second: float, *rows: MacCounts, step: float = 0.0, live: bool = True, **more: Any
) -> WindowCounts:
    """Return the window that ends at this second; the wall clock is off by ``step``."""
    fields: dict[str, Any] = {
        "interface": "eth0", "engine": "socket", "length_s": 1.0,
        "start": Instant(second - 1 + step, BOOT + second - 1 if live else None),
        "end": Instant(second + step, BOOT + second if live else None),
        "wire": [sum(column) for column in zip(*(row.tx for row in rows if row.tx), strict=True)]
        or [0] * WIDTH,
    }  # fmt: skip
    return WindowCounts(rows=rows, **(fields | more))


def core(**settings: Any) -> CaptureCore:
    """Return a live core."""
    return CaptureCore("e", CaptureSettings(**settings), steering=Steered())


def traffic(said: Any) -> Traffic:
    """Return the one traffic message among what was said, read back as a reader would."""
    (one,) = [
        one.message
        for one in said
        if isinstance(one, Publication) and isinstance(one.message, Traffic)
    ]
    return Traffic.model_validate_json(one.encode())


SENDER = MacCounts(
    mac(1),
    counts(packets=30, syn=30),
    (),
    SpreadCounts(1, 2, 3),
    TopPeer(mac(2), b"\xc0\0\2\2", 80, 30),
)
