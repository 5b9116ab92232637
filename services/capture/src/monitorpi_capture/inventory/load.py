"""How much a device sent and was sent, in all and of late. Pure.

Totals since the epoch, and an exponential average of the last seconds. A row of a window costs
three microseconds.
"""

from __future__ import annotations

import math
from operator import add
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import BYTES, PACKETS
from monitorpi_common.messages import Load

if TYPE_CHECKING:
    from monitorpi_capture.inventory.admission import Entry
    from monitorpi_capture.items import MacCounts

_LOAD_S: Final = 5.0
"""Time constant of the average."""


class Averaging:
    """Adds one window's rows to totals and averages; one of infinite length to totals alone."""

    def __init__(self, at_s: float, length_s: float) -> None:
        self._at_s = at_s
        self._weight = (1.0 - math.exp(-length_s / _LOAD_S)) / length_s
        self._kept: dict[float, float] = {}
        """What is left of an older average, by its time: most devices share one."""

    def add(self, entry: Entry, row: MacCounts) -> None:
        """Add what a device sent and was sent."""
        kept = self._kept.get(entry.load_s)
        if kept is None:
            kept = math.exp(-max(self._at_s - entry.load_s, 0.0) / _LOAD_S)
            self._kept[entry.load_s] = kept
        entry.load_s = self._at_s
        tx, rx = row.tx, row.rx
        if tx:
            entry.tx = list(map(add, entry.tx, tx))
            entry.tx_bps = entry.tx_bps * kept + tx[BYTES] * 8.0 * self._weight
            entry.tx_fps = entry.tx_fps * kept + tx[PACKETS] * self._weight
        else:
            entry.tx_bps *= kept
            entry.tx_fps *= kept
        if rx:
            entry.rx = list(map(add, entry.rx, rx))
            entry.rx_bps = entry.rx_bps * kept + rx[BYTES] * 8.0 * self._weight
            entry.rx_fps = entry.rx_fps * kept + rx[PACKETS] * self._weight
        else:
            entry.rx_bps *= kept
            entry.rx_fps *= kept


def load_of(entry: Entry, at_s: float) -> Load:
    """Return how busy a device is now."""
    kept = math.exp(-max(at_s - entry.load_s, 0.0) / _LOAD_S)
    averages = (entry.tx_bps, entry.rx_bps, entry.tx_fps, entry.rx_fps)
    tx_bps, rx_bps, tx_fps, rx_fps = (round(average * kept, 1) for average in averages)
    link = entry.link_bps
    return Load(
        tx_bps=tx_bps,
        rx_bps=rx_bps,
        tx_frames_per_s=tx_fps,
        rx_frames_per_s=rx_fps,
        utilisation_ratio=round(max(tx_bps, rx_bps) / link, 6) if link else None,
    )
