"""What one CPU counted on one interface in one window, decoded where it lies. Pure."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitorpi_capture.count.contenders import PROMOTE
from monitorpi_capture.engine.ebpf.memory import (
    FLOOD,
    PLACES,
    PROMOTED,
    SHARE,
    SKETCH_BYTES,
    SKETCHES,
)
from monitorpi_capture.items import COLUMNS, PACKETS

if TYPE_CHECKING:
    from monitorpi_capture.engine.ebpf.estimates import Bytes, Sketch


def columns_at(start: int) -> tuple[int, ...]:
    """Return where the columns of a side stand among unpacked values, where the side begins."""
    return tuple(
        start if name == "bytes" else start + 1 + 2 * PLACES[name][0] + PLACES[name][1]
        for name in COLUMNS
    )


_SHARE_SIDES: Final = tuple(
    operator.itemgetter(*columns_at(SHARE.at(name)))
    for name in ("overflow_tx", "overflow_rx", "unlinked")
)
_USED: Final = operator.itemgetter(*map(SHARE.at, ("rows", "floods", "promoted")))
_OVERFLOWN: Final = SHARE.values("overflown")
_FILL: Final = FLOOD.at("sketches")
FILLS: Final = tuple(slice(_FILL + 2 * one, _FILL + 2 * one + 2) for one in range(len(SKETCHES)))
"""Where a flood block says how full each of its sketches is: two numbers."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a CPU keeps beside its rows."""

    rows: int
    floods: int
    promoted: int
    overflow_tx: tuple[int, ...]
    overflow_rx: tuple[int, ...]
    unlinked: tuple[int, ...]
    overflown: tuple[int, int]
    """How full the sketch of the sources is that found no row."""

    @property
    def is_contended(self) -> bool:
        """Some frame found no row at first."""
        return bool(self.promoted or self.overflow_tx[PACKETS] or self.overflow_rx[PACKETS])


def share_of(data: Bytes) -> Share:
    """Return a share from its bytes, as :data:`~.memory.SHARE` lays them out."""
    values = SHARE.layout.unpack_from(data)
    rows, floods, promoted = _USED(values)
    tx, rx, unlinked = (columns(values) for columns in _SHARE_SIDES)
    filled, gone = values[_OVERFLOWN]
    return Share(rows, floods, promoted, tx, rx, unlinked, (filled, gone))


@dataclass(frozen=True, slots=True)
class LayoutPart:
    """What one CPU counted in one window."""

    share: Share
    rows: Bytes
    promoted: Bytes
    """The rows of those who found none at first."""
    floods: Bytes
    registers: Bytes
    """Of the flood blocks' sketches, three each, and at last of the share's."""
    contenders: Bytes = b""

    def block(self, number: int) -> tuple[Any, ...]:
        """Return what a flood block holds, by its number, from 0."""
        return FLOOD.layout.unpack_from(self.floods, number * FLOOD.size)

    def sketch(self, number: int, which: int) -> Sketch:
        """Return one of the three sketches of a flood block."""
        at = (number * len(SKETCHES) + which) * SKETCH_BYTES
        filled, gone = self.block(number)[FILLS[which]]
        return self.registers[at : at + SKETCH_BYTES], filled, gone

    def refused(self) -> Counter[bytes]:
        """Return who deserved a row and got none, with its votes."""
        cells = memoryview(self.contenders).cast("Q") if self.share.is_contended else ()
        return Counter(
            {
                (cell >> 16).to_bytes(6, "little"): cell & PROMOTED - 1
                for cell in cells
                if PROMOTE <= cell & PROMOTED * 2 - 1 < PROMOTED
            }
        )

    @property
    def overflown(self) -> Sketch:
        """The sources that found no row."""
        return (self.registers[-SKETCH_BYTES:], *self.share.overflown)
