"""The parts of one window put together: what all CPUs counted on one interface. Pure."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

from monitorpi_capture.engine.ebpf.estimates import any_target, estimate, merged, winner
from monitorpi_capture.engine.ebpf.memory import FLOOD, ROW, SKETCHES
from monitorpi_capture.engine.ebpf.parts import FILLS, LayoutPart, columns_at
from monitorpi_capture.items import COLUMNS, PACKETS, MacCounts, SpreadCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Flood: TypeAlias = tuple[LayoutPart, int]
"""Where one CPU kept what it saw of a MAC's SYNs and echo requests: the number of its block."""
_FLOOD_AT: Final = ROW.at("flood")
_TX: Final = operator.itemgetter(*columns_at(ROW.at("tx")))
_RX: Final = operator.itemgetter(*columns_at(ROW.at("rx")))
_TX_PACKETS: Final = columns_at(ROW.at("tx"))[PACKETS]
_RX_PACKETS: Final = columns_at(ROW.at("rx"))[PACKETS]
_rows: Final = ROW.layout.iter_unpack
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


def reading(parts: Sequence[LayoutPart], max_rows: int, pinned: frozenset[bytes]) -> Reading:
    """Put the parts of one window together."""
    rows: dict[bytes, tuple[Sequence[int], Sequence[int], tuple[_Flood, ...]]] = {}
    for part in parts:
        for row in chain(_rows(part.rows), _rows(part.promoted)):
            sent, got = row[_TX_PACKETS], row[_RX_PACKETS]
            if not sent and not got:
                continue
            tx, rx = _TX(row) if sent else (), _RX(row) if got else ()
            at = row[_FLOOD_AT]
            flood = ((part, at - 1),) if at else ()
            mac = row[0]
            if mac in rows:
                old = rows[mac]
                rows[mac] = (
                    _added(old[0], tx) if old[0] and sent else (tx or old[0]),
                    _added(old[1], rx) if old[1] and got else (old[1] or rx),
                    old[2] + flood,
                )
            else:
                rows[mac] = (tx, rx, flood)
    return _bounded(parts, rows, max_rows, pinned | _promoted(parts))


def _promoted(parts: Sequence[LayoutPart]) -> frozenset[bytes]:
    return frozenset(
        row[0] for part in parts if part.share.promoted for row in _rows(part.promoted)
    )


def _bounded(
    parts: Sequence[LayoutPart],
    rows: dict[bytes, tuple[Sequence[int], Sequence[int], tuple[_Flood, ...]]],
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
