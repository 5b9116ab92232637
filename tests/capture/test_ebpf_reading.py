"""What CPUs counted of one MAC is added up, counter by counter."""

from __future__ import annotations

import random
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from tests.capture.windows import mac

from monitorpi_capture.engine.ebpf.memory import ROW, SHARE, WORDS
from monitorpi_capture.engine.ebpf.parts import LayoutPart, columns_at, share_of
from monitorpi_capture.engine.ebpf.reading import reading
from monitorpi_capture.items import COLUMNS, PACKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

Side = tuple[int, ...]
"""Bytes, then the counters as they lie."""
Rows = dict[int, tuple[Side, Side]]


def made(dice: random.Random) -> Side:
    """Return a side, every third one without a frame; each frame counts in the first counter."""
    most = dice.choice([0, 3, 2**30])
    others = (dice.randint(0, most) for _ in range(2 * WORDS - 1))
    return (dice.randint(0, most * 1500), dice.randint(min(1, most), most), *others)


def columns(side: Side) -> tuple[int, ...]:
    """Return a side in the order of the columns."""
    return tuple(side[at] for at in columns_at(0))


def part(rows: Rows) -> LayoutPart:
    """Return what one CPU counted; the second half of its rows are reserved ones."""
    packed = [
        ROW.layout.pack(mac(number), 0, 0, *tx, *rx) for number, (tx, rx) in rows.items()
    ]  # fmt: skip
    half = len(packed) // 2
    share = share_of(bytes(SHARE.size))
    return LayoutPart(share, b"".join(packed[:half]), b"".join(packed[half:]), b"", bytes(512))


def added(sides: Sequence[Side]) -> Side:
    """Return the sum, column by column; nothing where no frame came."""
    counting = [columns(side) for side in sides if columns(side)[PACKETS]]
    return tuple(map(sum, zip(*counting, strict=True)))


@pytest.mark.parametrize("seed", range(30))
def test_counters_of_a_mac_are_added_up_one_by_one(seed: int) -> None:
    """Those of all CPUs, whichever of its sides each of them has; who has none has no row."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    cpus: list[Rows] = [
        {number: (made(dice), made(dice)) for number in dice.sample(range(6), dice.randint(0, 6))}
        for _ in range(dice.randint(1, 4))
    ]

    found = reading([part(rows) for rows in cpus], 100, frozenset())

    slow = {}
    for number in dict.fromkeys(chain.from_iterable(cpus)):
        tx, rx = ([rows[number][side] for rows in cpus if number in rows] for side in (0, 1))
        if added(tx) or added(rx):
            slow[mac(number)] = (added(tx), added(rx))
    assert {row.mac: (row.tx, row.rx) for row in found.rows} == slow
    sent = [tx for tx, _ in slow.values() if tx]
    assert found.wire == (tuple(map(sum, zip(*sent, strict=True))) if sent else (0,) * len(COLUMNS))
    assert found.source_macs == len(sent)
