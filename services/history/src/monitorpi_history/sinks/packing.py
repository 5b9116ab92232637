"""One hour of snapshots, folded into the minutes of that hour and the hours of that day.

Theory of operation. Snapshots hold all series of half a minute; whoever asks for a day of one
device wants that device's day. So an hour that is over is folded series by series, a few at a time
between other work, and written in one transaction at its end. What was there already is added to:
snapshots that came late, or under a clock that was set back, are folded like the others later.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from monitorpi_history.codec import Sheet, decode_block, encode_block
from monitorpi_history.fold import fold, lay
from monitorpi_history.items import PEAK, SERIES_BITS, has_peak, rule_of
from monitorpi_history.sinks.schema import transaction
from monitorpi_history.tiers import HOUR, MINUTE, SNAPSHOT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence

    from monitorpi_history.sinks.words import Words

SLOTS_A_MINUTE: Final = MINUTE.slot_s // SNAPSHOT.slot_s
HOURS_A_DAY: Final = HOUR.length


class Packing:
    """One hour on its way."""

    def __init__(self, db: sqlite3.Connection, words: Words, hour: int) -> None:
        self._db = db
        self._words = words
        self.hour = hour
        after = packed_upto(db, hour)
        self._range = (after, (hour + 1 << SERIES_BITS) - 1)
        rows = self._db.execute(
            "SELECT id, length, data FROM snapshot WHERE id > ? AND id <= ? ORDER BY id",
            self._range,
        )
        found: set[int] = set()
        self._upto = after
        for id_, length, data in rows:
            self._upto = id_
            found.update(Sheet(data, length).series)
        self._range = (after, self._upto)
        self._left = sorted(found, reverse=True)
        self._minutes: list[tuple[int, bytes]] = []
        self._hours: list[tuple[int, bytes]] = []
        self.bytes_added: dict[str, int] = {MINUTE.name: 0, HOUR.name: 0}

    def step(self, series: int) -> bool:
        """Fold so many series; False: all of them are."""
        wanted = {self._left.pop() for _ in range(min(series, len(self._left)))}
        if not wanted:
            return False
        for number, slots in sorted(self._gather(wanted).items()):
            minutes = {}
            total = {}
            for column, values in slots.items():
                name = self._words.text(column)
                rule = rule_of(name)
                minutes[column] = fold(values, SLOTS_A_MINUTE, rule)
                total[column] = fold(minutes[column], len(minutes[column]), rule)
                if has_peak(name):
                    peak = self._words.number(PEAK + name)
                    minutes[peak] = fold(values, SLOTS_A_MINUTE, "most")
                    total[peak] = fold(values, len(values), "most")
            self._add("minute", self.hour, number, minutes, MINUTE.length, 0)
            day, at = divmod(self.hour, HOURS_A_DAY)
            self._add("hour", day, number, total, HOUR.length, at)
        return bool(self._left)

    def _gather(self, wanted: Collection[int]) -> dict[int, dict[int, array[int]]]:
        """Return the slots of the hour by series and column."""
        found: dict[int, dict[int, array[int]]] = {number: {} for number in wanted}
        rows = self._db.execute(
            "SELECT first, length, data FROM snapshot WHERE id > ? AND id <= ?", self._range
        )
        for first, length, data in rows:
            for number, column, values in Sheet(data, length).columns(wanted):
                columns = found[number]
                slots = columns.get(column)
                if slots is None:
                    slots = columns[column] = array("Q", bytes(8 * SNAPSHOT.length))
                lay(slots, first, values, rule_of(self._words.text(column)))
        return found

    def _add(
        self, table: str, block: int, number: int, columns: Mapping[int, Sequence[int]],
        length: int, at: int,
    ) -> None:  # fmt: skip
        """Add columns to those of a block, from one of its slots on."""
        id_ = block << SERIES_BITS | number
        before = self._db.execute(f"SELECT data FROM {table} WHERE id = ?", (id_,)).fetchone()  # noqa: S608 - one of two names of ours
        packed = decode_block(before[0], length) if before else {}
        whole = {column: list(values) for column, values in packed.items()}
        for column, values in columns.items():
            slots = whole.setdefault(column, [0] * length)
            lay(slots, at, values, rule_of(self._words.text(column)))
        data = encode_block(whole)
        self.bytes_added[table] += len(data) - (len(before[0]) if before else 0)
        (self._minutes if table == "minute" else self._hours).append((id_, data))

    def write(self) -> None:
        """Write what was folded: the hour is packed up to the snapshot that was the last."""
        with transaction(self._db):
            self._words.save()
            self._db.executemany("INSERT OR REPLACE INTO minute VALUES (?, ?)", self._minutes)
            self._db.executemany("INSERT OR REPLACE INTO hour VALUES (?, ?)", self._hours)
            self._db.execute("INSERT OR REPLACE INTO packed VALUES (?, ?)", (self.hour, self._upto))


def packed_upto(db: sqlite3.Connection, hour: int) -> int:
    """Return the key of the last snapshot of an hour that is packed, or one before."""
    found = db.execute("SELECT upto FROM packed WHERE hour = ?", (hour,)).fetchone()
    return int(found[0]) if found else (hour << SERIES_BITS) - 1
