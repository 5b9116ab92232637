"""The parts of one window put together: what all CPUs counted on one interface. Pure."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from monitorpi_capture.engine.ebpf.estimates import Bytes, any_target, estimate, merged, winner
from monitorpi_capture.engine.ebpf.memory import FLOOD, ROW, SIDE, SKETCHES, WORDS
from monitorpi_capture.engine.ebpf.parts import FILLS, LayoutPart, columns_at
from monitorpi_capture.items import COLUMNS, PACKETS, MacCounts, SpreadCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Flood: TypeAlias = tuple[LayoutPart, int]
"""Where one CPU kept what it saw of a MAC's SYNs and echo requests: the number of its block."""
_SIDES_AT: Final = ROW.offsets()["tx"]
_SIDES_END: Final = ROW.offsets()["rx"] + SIDE.size
_SIDES_SIZE: Final = _SIDES_END - _SIDES_AT
_GAP: Final = ROW.offsets()["rx"] - _SIDES_AT - SIDE.size
_SIDES: Final = Struct(f"<{SIDE.read}{_GAP}x{SIDE.read}")
"""Both sides of a row, as they lie."""
_TX: Final = operator.itemgetter(*columns_at(0))
_RX: Final = operator.itemgetter(*columns_at(1 + 2 * WORDS))
_PACKETS_AT: Final = SIDE.offsets()["words"]
_BETWEEN: Final = ROW.offsets()["rx"] - _SIDES_AT - 4
_BEHIND: Final = ROW.size - ROW.offsets()["rx"] - _PACKETS_AT - 4
_heads: Final = Struct(f"<6s2xI4x{_PACKETS_AT}xI{_BETWEEN}xI{_BEHIND}x").iter_unpack
"""Of each row: MAC, number of the flood block, frames sent, frames got."""
_SYN_VOTE: Final = FLOOD.values("syn")
_ECHO_VOTE: Final = FLOOD.values("echo")


@dataclass(frozen=True, slots=True)
class Reading:
    """What all CPUs together counted on one interface in one window."""

    rows: list[MacCounts]
    wire: Sequence[int]
    overflow_tx: Sequence[int]
    overflow_rx: Sequence[int]
    source_macs: int
    refused: Mapping[bytes, int]
    """Votes of those who deserved a row and got none."""
    overflown: bool
    """Some MAC did not find a row at once."""


def _added(*rows: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))


@dataclass(slots=True)
class _RowOfCpus:
    """What the CPUs have of one MAC."""

    rows: Bytes
    at: int
    """Where its sides lie in the first CPU's rows."""
    floods: tuple[_Flood, ...]
    total: int = 0
    """Of several CPUs the sum, all counters of both sides in one number: they never carry, as no
    window has as many frames as a counter of 32 bits holds."""

    def join(self, rows: Bytes, at: int, floods: tuple[_Flood, ...]) -> None:
        """Add what another CPU has."""
        if not self.total:
            self.total = _number(self.rows, self.at)
        self.total += _number(rows, at)
        self.floods += floods

    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return what it sent and what it got, each empty where that is nothing."""
        if self.total:
            values = _SIDES.unpack(self.total.to_bytes(_SIDES_SIZE, "little"))
        else:
            values = _SIDES.unpack_from(self.rows, self.at)
        tx, rx = _TX(values), _RX(values)
        return tx if tx[PACKETS] else (), rx if rx[PACKETS] else ()


def _number(rows: Bytes, at: int) -> int:
    return int.from_bytes(rows[at : at + _SIDES_SIZE], "little")


def reading(parts: Sequence[LayoutPart], max_rows: int, pinned: frozenset[bytes]) -> Reading:
    """Put the parts of one window together."""
    found: dict[bytes, _RowOfCpus] = {}
    for part in parts:
        for rows in (part.rows, part.promoted):
            for number, (mac, flood, sent, got) in enumerate(_heads(rows)):
                if not sent and not got:
                    continue
                at = number * ROW.size + _SIDES_AT
                floods = ((part, flood - 1),) if flood else ()
                known = found.get(mac)
                if known is None:
                    found[mac] = _RowOfCpus(rows, at, floods)
                else:
                    known.join(rows, at, floods)
    counted = {mac: (*one.sides(), one.floods) for mac, one in found.items()}
    return _bounded(parts, counted, max_rows, pinned | _promoted(parts))


def _promoted(parts: Sequence[LayoutPart]) -> frozenset[bytes]:
    return frozenset(
        row[0] for part in parts if part.share.promoted for row in _heads(part.promoted)
    )


def _bounded(
    parts: Sequence[LayoutPart],
    rows: dict[bytes, tuple[tuple[int, ...], tuple[int, ...], tuple[_Flood, ...]]],
    max_rows: int,
    kept: frozenset[bytes],
) -> Reading:
    """Keep as many rows as one window may have; the CPUs together may have found more."""
    overflow_tx = [part.share.overflow_tx for part in parts]
    overflow_rx = [part.share.overflow_rx for part in parts]
    overflown = merged([part.overflown for part in parts])
    sources = sum(1 for row in rows.values() if row[0])
    surplus = len(rows) - max_rows
    if surplus > 0:
        unknown = [mac for mac in rows if mac not in kept]
        for mac in nsmallest(surplus, unknown, key=lambda mac: _frames(*rows[mac][:2])):
            tx, rx, _ = rows.pop(mac)
            overflow_tx.append(tuple(tx) or (0,) * len(COLUMNS))
            overflow_rx.append(tuple(rx) or (0,) * len(COLUMNS))
    lost_tx = _added(*overflow_tx)
    sent = [row[0] for row in rows.values() if row[0]]
    return Reading(
        rows=[_counts(mac, *row) for mac, row in rows.items()],
        wire=_added(lost_tx, *(part.share.unlinked for part in parts), *sent),
        overflow_tx=lost_tx,
        overflow_rx=_added(*overflow_rx),
        source_macs=sources + overflown,
        refused=sum((part.refused() for part in parts), Counter[bytes]()),
        overflown=surplus > 0 or any(part.share.is_contended for part in parts),
    )


def _frames(tx: Sequence[int], rx: Sequence[int]) -> int:
    return (tx[PACKETS] if tx else 0) + (rx[PACKETS] if rx else 0)


def _counts(
    mac: bytes, tx: Sequence[int], rx: Sequence[int], floods: tuple[_Flood, ...]
) -> MacCounts:
    if not floods:
        return MacCounts(mac, tx, rx)
    blocks = [part.block(number) for part, number in floods]
    if len(blocks) == 1:  # one CPU saw it: nothing is to be merged
        spread = [estimate(*blocks[0][fill]) for fill in FILLS]
    else:
        spread = [
            merged([part.sketch(number, which) for part, number in floods])
            for which in range(len(SKETCHES))
        ]
    return MacCounts(
        mac,
        tx,
        rx,
        SpreadCounts(*spread),
        winner([block[_SYN_VOTE] for block in blocks], with_port=True),
        winner([block[_ECHO_VOTE] for block in blocks], with_port=False),
        any_target([block[_SYN_VOTE] for block in blocks]),
    )
