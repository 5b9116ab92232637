"""The database as the core writes it: a batch each half minute, an hour packed, room made.

Theory of operation. SQLite in WAL mode, every commit forced to the disk: a power cut costs what was
not committed and damages nothing. All of this runs in the service's main thread; readers have
connections of their own and never wait for it. After any error the file is closed and opened anew
with the next batch: a disk that was full or read-only is taken up again by itself.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.messages import Device
from monitorpi_history.codec import CodecError, encode_sheet
from monitorpi_history.items import DAY_S, HOUR_S, SERIES_BITS, Series, Trouble
from monitorpi_history.sinks.packing import Packing, packed_upto
from monitorpi_history.sinks.records import (
    forget_before,
    write_alerts,
    write_changes,
    write_devices,
    write_targets,
)
from monitorpi_history.sinks.schema import (
    UnusableError,
    open_to_write,
    transaction,
    trouble_of,
)
from monitorpi_history.sinks.words import Words
from monitorpi_history.tiers import HOUR, SNAPSHOT, TIERS, Held, leaves_first

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_common.log import Log
    from monitorpi_history.items import Batch, Stretch
    from monitorpi_history.tiers import Tier

PACK_AFTER_S: Final = 120.0
"""After an hour's end: what comes late comes within a minute."""
SERIES_A_STEP: Final = 8
"""Folded between two ticks: 256 devices take half a minute of an hour."""
RESERVE_BYTES: Final = 12_000_000
"""Of the budget, for the log beside the file."""
_AHEAD_S: Final = 3600.0
_MOST_EVICTED: Final = 4
"""Blocks in one go; the next are the next tick's."""
_VACUUM_PAGES: Final = 2000
_DAMAGE: Final = (sqlite3.Error, OSError, CodecError)


class Archive:
    """The store of the core, on a disk."""

    def __init__(self, file: Path, budget_bytes: int, keep_days: int | None, log: Log) -> None:
        self._file = file
        self._budget = budget_bytes
        self._keep_s = None if keep_days is None else keep_days * DAY_S
        self._log = log
        self._db: sqlite3.Connection | None = None
        self._words: Words
        self._numbers: dict[Series, int] = {}
        """Of the series of this hour and the one before."""
        self._numbers_hour = 0
        self._unpacked: set[int] = set()
        """Hours that have snapshots which are not folded."""
        self._packing: Packing | None = None
        self._sizes: dict[str, int] = {}
        self._newest_s = 0

    # --- open and close ---------------------------------------------------------------------

    def open(self) -> Trouble | None:
        """Open the file, if it is not; None: it is."""
        if self._db is None:
            try:
                self._opened()
            except (*_DAMAGE, UnusableError) as error:
                return self._failed(error)
        return None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = open_to_write(self._file)
            self._words = Words(self._db)
            self._numbers.clear()
            self._packing = None
            self._unpacked = set(_hours_to_pack(self._db))
            self._sizes = dict(self._db.execute("SELECT tier, bytes FROM size"))
            self._newest_s = _newest_s(self._db)
        return self._db

    def _failed(self, error: Exception) -> Trouble:
        trouble = trouble_of(error, self._file)
        self._log.error("nothing is kept", reason=trouble.text, remedy=trouble.remedy)
        if self._db is not None:
            self._db.close()
            self._db = None
        return trouble

    def close(self) -> None:
        """Let the file go."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def devices(self) -> list[Device]:
        """Return the devices as they were written last; none where nothing can be read."""
        found = self._read("SELECT message FROM device WHERE NOT forgotten")
        return [Device.model_validate_json(text) for (text,) in found]

    def target_states(self) -> dict[str, str]:
        """Return the state of each target as it was written last."""
        return dict(self._read("SELECT address, state FROM target"))

    def _read(self, question: str) -> list[Any]:
        if self.open() is not None or self._db is None:
            return []
        try:
            return self._db.execute(question).fetchall()
        except _DAMAGE as error:
            self._failed(error)
            return []

    # --- writing ----------------------------------------------------------------------------

    def save(self, batch: Batch) -> Trouble | None:
        """Write a batch in one transaction; None: it is on the disk."""
        try:
            db = self._opened()
            if batch:
                with transaction(db):
                    self._write(db, batch)
        except (*_DAMAGE, UnusableError) as error:
            return self._failed(error)
        return None

    def _write(self, db: sqlite3.Connection, batch: Batch) -> None:
        for stretch in batch.stretches:
            self._write_stretch(db, stretch)
        self._words.save()
        write_alerts(db, batch.alerts)
        write_devices(db, batch.devices, batch.changes)
        write_targets(db, batch.targets)
        write_changes(db, batch.changes)

    def _write_stretch(self, db: sqlite3.Connection, stretch: Stretch) -> None:
        if stretch.hour != self._numbers_hour:
            self._numbers_hour = stretch.hour
            self._numbers.clear()
        number_of = self._words.number
        data = encode_sheet(
            {
                self._number(db, series, stretch.hour): {
                    number_of(name): values for name, values in columns.items()
                }
                for series, columns in stretch.series.items()
            }
        )
        last = (stretch.hour + 1 << SERIES_BITS) - 1
        before = db.execute("SELECT max(id) FROM snapshot WHERE id <= ?", (last,)).fetchone()[0]
        least = max(before or 0, packed_upto(db, stretch.hour), stretch.hour << SERIES_BITS)
        db.execute(
            "INSERT INTO snapshot VALUES (?, ?, ?, ?)",
            (least + 1, stretch.first, stretch.length, data),
        )
        self._sizes["snapshot"] += len(data)
        self._unpacked.add(stretch.hour)
        self._newest_s = max(self._newest_s, stretch.hour * HOUR_S)

    def _number(self, db: sqlite3.Connection, series: Series, hour: int) -> int:
        number = self._numbers.get(series)
        if number is None:
            found = db.execute(
                "SELECT id FROM series WHERE kind = ? AND place = ? AND subject = ?", series
            ).fetchone()
            if found is None:
                db.execute("INSERT INTO series VALUES (NULL, ?, ?, ?, ?)", (*series, hour))
                found = db.execute("SELECT last_insert_rowid()").fetchone()
            else:  # it does not leave with a day of long ago
                db.execute("UPDATE series SET last_hour = max(last_hour, ?) WHERE id = ?",
                           (hour, *found))  # fmt: skip
            number = self._numbers[series] = int(found[0])
        return number

    # --- work in between --------------------------------------------------------------------

    def work(self, now_s: float, *, is_set: bool) -> bool:
        """Fold some series of an hour that is over, or make room.

        Returns: an hour is half folded, or another one waits.

        Args:
            now_s: the wall clock.
            is_set: it can be trusted.

        """
        if self._db is None:
            return False
        try:
            if self._packing is not None:
                self._pack(self._db, self._packing, now_s, is_set=is_set)
            else:
                self._begin_packing(self._db, now_s)
                self._make_room(self._db, now_s, is_set=is_set)
        except _DAMAGE as error:
            self._failed(error)
        return self._packing is not None

    def _begin_packing(self, db: sqlite3.Connection, now_s: float) -> None:
        over = (now_s - PACK_AFTER_S) // HOUR_S
        due = min((hour for hour in self._unpacked if hour < over), default=None)
        if due is not None:
            self._unpacked.discard(due)
            self._packing = Packing(db, self._words, due)

    def _pack(
        self, db: sqlite3.Connection, packing: Packing, now_s: float, *, is_set: bool
    ) -> None:
        if packing.step(SERIES_A_STEP):
            return
        packing.write()
        for name, size in packing.bytes_added.items():
            self._sizes[name] += size
        self._packing = None
        self._write_sizes(db)
        if self._keep_s is not None and is_set:
            forget_before(db, now_s - self._keep_s)

    def _write_sizes(self, db: sqlite3.Connection) -> None:
        with transaction(db):
            db.executemany(
                "UPDATE size SET bytes = ? WHERE tier = ?",
                [(size, name) for name, size in self._sizes.items()],
            )

    def _make_room(self, db: sqlite3.Connection, now_s: float, *, is_set: bool) -> None:
        for _ in range(_MOST_EVICTED):
            leaving = self._leaving(db, now_s, is_set=is_set)
            if leaving is None:
                break
            self._evict(db, *leaving)
        pages = _pragma(db, "freelist_count")
        if pages > _VACUUM_PAGES and _bytes(db, "page_count") > self._limit:
            # execute would free one page of them
            db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    @property
    def _limit(self) -> int:
        return self._budget - RESERVE_BYTES

    def _leaving(
        self, db: sqlite3.Connection, now_s: float, *, is_set: bool
    ) -> tuple[Tier, int] | None:
        """Return the block that is to go; None: there is room, and nothing is too old."""
        if not is_set:  # after a power cut all may seem to lie ahead: only the order counts
            now_s = max(now_s, self._newest_s)
        held = list(self._held(db))
        if self._used_bytes(db) > self._limit:
            ahead = _ahead(db, now_s)
            if ahead is not None:
                return ahead
            first = leaves_first(held, now_s)
        elif self._keep_s is not None and is_set:
            old_s = self._keep_s
            first = next((h for h in held if h.reach_s(now_s) > old_s + h.tier.block_s), None)
        else:
            return None
        if first is None or first.oldest_s is None:
            return None
        return first.tier, first.oldest_s // first.tier.block_s

    def _held(self, db: sqlite3.Connection) -> Iterator[Held]:
        for tier in TIERS:
            least = db.execute(f"SELECT min(id) FROM {tier.name}").fetchone()[0]  # noqa: S608 - a table of ours
            yield Held(tier, None if least is None else (least >> SERIES_BITS) * tier.block_s)

    def _used_bytes(self, db: sqlite3.Connection) -> int:
        return _bytes(db, "page_count") - _bytes(db, "freelist_count")

    def _evict(self, db: sqlite3.Connection, tier: Tier, block: int) -> None:
        bounds = (block << SERIES_BITS, (block + 1 << SERIES_BITS) - 1)
        of = f"FROM {tier.name} WHERE id BETWEEN ? AND ?"
        with transaction(db):
            size = db.execute(f"SELECT total(length(data)) {of}", bounds).fetchone()[0]
            db.execute(f"DELETE {of}", bounds)
            if tier is SNAPSHOT:
                db.execute("DELETE FROM packed WHERE hour = ?", (block,))
                self._unpacked.discard(block)
            elif tier is HOUR:
                hours = (block + 1) * DAY_S // HOUR_S
                db.execute("DELETE FROM series WHERE last_hour < ?", (hours,))
                self._numbers.clear()
        self._sizes[tier.name] -= int(size)
        self._newest_s = _newest_s(db)

    # --- what health says -------------------------------------------------------------------

    def warning(self, now_s: float) -> Trouble | None:
        """Return that the clock was set back, while what is kept lies ahead of it."""
        ahead_s = self._newest_s - now_s
        if not now_s or ahead_s <= _AHEAD_S:
            return None
        return Trouble(
            "clock",
            f"what is kept reaches {ahead_s / HOUR_S:.0f} h ahead of the clock",
            "is the clock right? what lies ahead leaves first when room is needed",
        )

    def state(self, now_s: float) -> dict[str, JsonValue]:
        """Return what is held, how far back it reaches, and how far it will."""
        if self._db is None:
            return {"kept": False}
        try:
            held = list(self._held(self._db))
            used = self._used_bytes(self._db)
        except _DAMAGE as error:
            self._failed(error)
            return {"kept": False}
        rates = {
            one.tier.name: self._sizes[one.tier.name] / one.reach_s(now_s)
            for one in held
            if one.reach_s(now_s) > 0
        }
        need = sum(rates.get(tier.name, 0.0) * tier.goal_s for tier in TIERS)
        share = (self._limit - used + sum(self._sizes.values())) / need if need > 0 else 0.0
        return {
            "kept": True,
            "budget_bytes": self._budget,
            "used_bytes": used,
            "tiers": {
                str(one.tier.slot_s): {
                    "bytes": self._sizes[one.tier.name],
                    "reaches_s": round(one.reach_s(now_s)),
                    "will_reach_s": round(share * one.tier.goal_s) if share else None,
                }
                for one in held
            },
        }


def _ahead(db: sqlite3.Connection, now_s: float) -> tuple[Tier, int] | None:
    """Return the furthest block that was written by a clock that ran ahead; None: there is none."""
    for tier in TIERS:
        most = db.execute(f"SELECT max(id) FROM {tier.name}").fetchone()[0]  # noqa: S608 - a table of ours
        block = 0 if most is None else most >> SERIES_BITS
        if block * tier.block_s > now_s + _AHEAD_S:
            return tier, block
    return None


def _bytes(db: sqlite3.Connection, pragma: str) -> int:
    return _pragma(db, pragma) * _pragma(db, "page_size")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _hours_to_pack(db: sqlite3.Connection) -> Iterator[int]:
    """Yield the hours with snapshots behind what is packed; one look for each hour there is."""
    after = -1
    while True:
        found = db.execute("SELECT min(id) FROM snapshot WHERE id > ?", (after,)).fetchone()[0]
        if found is None:
            return
        hour = found >> SERIES_BITS
        after = (hour + 1 << SERIES_BITS) - 1
        last = db.execute("SELECT max(id) FROM snapshot WHERE id <= ?", (after,)).fetchone()[0]
        if last > packed_upto(db, hour):
            yield hour


def _newest_s(db: sqlite3.Connection) -> int:
    """Return the beginning of the newest hour there is, seconds since 1970."""
    newest = db.execute("SELECT max(id) FROM snapshot").fetchone()[0]
    return 0 if newest is None else (newest >> SERIES_BITS) * HOUR_S
