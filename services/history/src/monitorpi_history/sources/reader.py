"""What the database holds of a span of time, block by block.

Theory of operation. A question names a span and a step; the step says which tier is read. A tier
holds what is packed, and what is not yet packed is folded from the snapshots as it is asked for, so
an answer reaches up to the last half minute. Blocks are yielded one after the other, each read by
itself: a slow reader holds no memory and keeps nothing from being written.
"""

from __future__ import annotations

import sqlite3
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitorpi_history.codec import Sheet, decode_block
from monitorpi_history.fold import fold, lay
from monitorpi_history.items import (
    HOUR_S,
    PEAK,
    SERIES_BITS,
    SERIES_MASK,
    SLOT_S,
    Series,
    has_peak,
    rule_of,
)
from monitorpi_history.tiers import HOUR, MINUTE, SNAPSHOT, tier_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from monitorpi_history.items import Kind
    from monitorpi_history.tiers import Tier

AT_ONCE: Final = 64
"""Series of a block in memory at once: 7 MB at 40 columns of an hour's slots."""

Columns = dict[int, "array[int]"]


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, and how finely: all in seconds, both ends at whole steps."""

    start_s: int
    end_s: int
    step_s: int

    @property
    def tier(self) -> Tier:
        """Where it is read."""
        return tier_for(self.step_s)

    def blocks(self) -> Iterator[int]:
        """Yield the numbers of the blocks it touches."""
        block_s = self.tier.block_s
        yield from range(self.start_s // block_s, -(-self.end_s // block_s))


@dataclass(frozen=True, slots=True)
class Piece:
    """What one series has in one block of a span."""

    series: Series
    start_s: int
    length: int
    """Steps."""
    columns: Mapping[str, Sequence[int]]


def open_to_read(file: Path) -> sqlite3.Connection:
    """Open the database for questions alone.

    Raises:
        sqlite3.Error: it is not there, or cannot be read.

    """
    db = sqlite3.connect(
        f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    db.execute("PRAGMA query_only = ON")
    return db


class Reader:
    """Questions to one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        texts: dict[int, str] = dict(db.execute("SELECT id, text FROM word"))
        numbers = {text: number for number, text in texts.items()}
        self._peaks = {
            number: numbers.get(PEAK + text, -number)
            for number, text in texts.items()
            if has_peak(text) and not text.startswith(PEAK)
        }
        """The column of the most, for each that has one; negative: none was packed yet."""
        self._texts = texts | {peak: PEAK + texts[number] for number, peak in self._peaks.items()}

    def oldest_s(self, tier: Tier) -> int | None:
        """Return where a tier begins; None: it is empty."""
        least = self._db.execute(f"SELECT min(id) FROM {tier.name}").fetchone()[0]  # noqa: S608 - a table of ours
        return None if least is None else (least >> SERIES_BITS) * tier.block_s

    def held(self, span: Span) -> Span | None:
        """Return the part of a span, in whole blocks, that may hold anything; None: there is none.

        Nobody walks through the blocks of years of which nothing is kept.
        """
        bounds = []
        for tier in (span.tier, SNAPSHOT):
            question = f"SELECT min(id), max(id) FROM {tier.name}"  # noqa: S608 - a table of ours
            least, most = self._db.execute(question).fetchone()
            if least is not None:
                first, last = least >> SERIES_BITS, most >> SERIES_BITS
                bounds += [first * tier.block_s, (last + 1) * tier.block_s]
        if not bounds:
            return None
        block_s = span.tier.block_s
        start_s = max(span.start_s, min(bounds) // block_s * block_s)
        end_s = min(span.end_s, -(-max(bounds) // block_s) * block_s)
        return Span(start_s, end_s, span.step_s) if start_s < end_s else None

    def series(self, kinds: Sequence[Kind], subject: str | None = None) -> dict[int, Series]:
        """Return series by their numbers: all of some kinds, or those of one subject."""
        marks = ", ".join("?" * len(kinds))
        question = f"SELECT id, kind, place, subject FROM series WHERE kind IN ({marks})"  # noqa: S608 - question marks
        values = [*kinds]
        if subject is not None:
            question += " AND subject = ?"
            values.append(subject)  # type: ignore[arg-type]
        return {row[0]: Series(*row[1:]) for row in self._db.execute(question, values)}

    def rows(self, question: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return what a question in SQL finds."""
        return self._db.execute(question, values).fetchall()

    def pieces(
        self, span: Span, series: Mapping[int, Series], keep: Callable[[str], bool]
    ) -> Iterator[list[Piece]]:
        """Yield, block by block, what some series have; those that have nothing are left out.

        Args:
            span: when, and how finely.
            series: whose, by number.
            keep: tells of a column's name whether it is wanted.

        Raises:
            CodecError: the file is damaged.

        """
        numbers = {number for number, text in self._texts.items() if keep(text)}
        wires = [number for number, one in series.items() if one.kind == "wire"]
        held = self.held(span)
        for block in held.blocks() if held is not None else ():
            there = self._present(span.tier, block, series.keys())
            others = sorted(set(there).difference(wires))
            for at in range(0, max(len(others), 1), AT_ONCE):
                # what the wire covered stands beside every device
                some = [*wires, *others[at : at + AT_ONCE]]
                found = self._block(span.tier, block, some, numbers)
                pieces = [
                    piece
                    for number in sorted(found)
                    if (piece := self._piece(span, block, series[number], found[number]))
                ]
                if pieces:
                    yield pieces

    def _present(self, tier: Tier, block: int, series: Collection[int]) -> Collection[int]:
        """Return those of many series that may have something in a block."""
        if len(series) <= AT_ONCE:
            return series
        there: set[int] = set()
        if tier is not SNAPSHOT:
            bounds = (block << SERIES_BITS, block << SERIES_BITS | SERIES_MASK)
            question = f"SELECT id FROM {tier.name} WHERE id BETWEEN ? AND ?"  # noqa: S608 - a table of ours
            there.update(id_ & SERIES_MASK for (id_,) in self._db.execute(question, bounds))
        for hour in _hours(tier, block):
            after = self._upto(hour) if tier is not SNAPSHOT else (hour << SERIES_BITS) - 1
            for _, length, data in self._rows(hour, after):
                there.update(Sheet(data, length).series)
        return there.intersection(series)

    def _piece(self, span: Span, block: int, series: Series, columns: Columns) -> Piece | None:
        """Return the part of a block that is within a span, a value a step."""
        tier = span.tier
        begin_s = block * tier.block_s
        start_s = max(span.start_s, begin_s)
        end_s = min(span.end_s, begin_s + tier.block_s)
        first, last = (start_s - begin_s) // tier.slot_s, (end_s - begin_s) // tier.slot_s
        width = span.step_s // tier.slot_s
        published: dict[str, Sequence[int]] = {}
        for number, values in columns.items():
            part = values[first:last]
            name = self._texts.get(number, str(number))
            if any(part) and (span.step_s > SLOT_S or not name.startswith(PEAK)):
                published[name] = fold(part, width, rule_of(name)) if width > 1 else part
        return (
            Piece(series, start_s, (end_s - start_s) // span.step_s, published)
            if published
            else None
        )

    def _block(
        self, tier: Tier, block: int, series: Collection[int], wanted: Collection[int]
    ) -> dict[int, Columns]:
        """Return a block's columns by series: what is packed, and what is not yet."""
        if tier is SNAPSHOT:
            return self._snapshots(block, (block << SERIES_BITS) - 1, series, wanted)
        found = self._packed(tier, block, series, wanted)
        for hour in _hours(tier, block):
            loose = self._snapshots(hour, self._upto(hour), series, wanted)
            at = hour * HOUR_S % tier.block_s // tier.slot_s
            for number, columns in loose.items():
                whole = found.setdefault(number, {})
                for column, values in columns.items():
                    rule = rule_of(self._texts.get(column, ""))
                    part = fold(values, tier.slot_s // SLOT_S, rule)
                    before = whole[column] if column in whole else [0] * tier.length
                    whole[column] = lay(array("Q", before), at, part, rule)
        return found

    def _packed(
        self, tier: Tier, block: int, series: Collection[int], wanted: Collection[int]
    ) -> dict[int, Columns]:
        question = f"SELECT data FROM {tier.name} WHERE id = ?"  # noqa: S608 - a table of ours
        found: dict[int, Columns] = {}
        for number in series:
            row = self._db.execute(question, (block << SERIES_BITS | number,)).fetchone()
            if row is not None:
                found[number] = dict(decode_block(row[0], tier.length, wanted))
        return found

    def _upto(self, hour: int) -> int:
        found = self._db.execute("SELECT upto FROM packed WHERE hour = ?", (hour,)).fetchone()
        return int(found[0]) if found else (hour << SERIES_BITS) - 1

    def _rows(self, hour: int, after: int) -> list[tuple[int, int, bytes]]:
        """Return the snapshots of an hour behind one of them: all at once, 4 MB."""
        return self._db.execute(
            "SELECT first, length, data FROM snapshot WHERE id > ? AND id <= ?",
            (after, hour << SERIES_BITS | SERIES_MASK),
        ).fetchall()

    def _snapshots(
        self, hour: int, after: int, series: Collection[int], wanted: Collection[int]
    ) -> dict[int, Columns]:
        """Return the slots of an hour's snapshots behind one of them, by series and column."""
        found: dict[int, Columns] = {}
        for first, length, data in self._rows(hour, after):
            for number, column, values in Sheet(data, length).columns(series, wanted):
                columns = found.setdefault(number, {})
                slots = columns.get(column)
                if slots is None:
                    slots = columns[column] = array("Q", bytes(8 * SNAPSHOT.length))
                lay(slots, first, values, rule_of(self._texts.get(column, "")))
        for columns in found.values():  # in a slot a count is the most there was
            columns |= {
                peak: columns[column]
                for column, peak in self._peaks.items()
                if peak in wanted and column in columns
            }
        return found


def _hours(tier: Tier, block: int) -> range:
    """Return the hours of a block."""
    return range(block * tier.block_s // HOUR_S, (block + 1) * tier.block_s // HOUR_S)


def span_of(start_s: float, end_s: float, step_s: int) -> Span:
    """Return the span whose ends are whole steps and that holds both times."""
    first = int(start_s // step_s * step_s)
    last = int(-(-end_s // step_s) * step_s)
    return Span(first, max(last, first + step_s), step_s)


def coarser_where_gone(reader: Reader, start_s: float, step_s: int) -> int:
    """Return a step by which a tier is read that still holds the beginning of a span.

    A coarser tier is taken only where it reaches further by a block of its own: a day is written
    as soon as one of its hours is.
    """
    for fine, coarse in ((SNAPSHOT, MINUTE), (MINUTE, HOUR)):
        if tier_for(step_s) is fine:
            begins, further = reader.oldest_s(fine), reader.oldest_s(coarse)
            if begins is None or further is None or begins <= start_s:
                continue
            if further + coarse.block_s <= begins:
                step_s = coarse.slot_s
    return step_s
