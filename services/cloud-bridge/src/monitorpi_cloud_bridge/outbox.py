"""Rows on their way to the cloud, in SQLite: written once, sent until they are seen there.

A row is frozen when it is written. It is marked in flight on disk before it is sent, and leaves
that mark only when the cloud has shown it (stored) or has shown that it does not have it (waiting).

The database is in WAL mode with ``synchronous=NORMAL``: a killed process loses nothing, a power
cut at most the last minutes, and the card is not forced to write with every row.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

KEEP_STORED: Final = 1000
"""Rows kept after they were stored, for whoever wants to look."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS row (
    channel INTEGER NOT NULL,
    second INTEGER NOT NULL,
    fields TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, second)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS row_state ON row (channel, state, second);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class State(IntEnum):
    """Where a row is."""

    WAITING = 0
    IN_FLIGHT = 1
    STORED = 2
    SET_ASIDE = 3


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One row of one channel."""

    channel: int
    second: int
    fields: Mapping[str, str]


class Outbox:
    """The database. Safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def add(self, rows: Iterable[OutboxRow], memory: Mapping[str, JsonValue]) -> int:
        """Write rows and the builder's memory in one transaction; returns how many were new."""
        with self._lock, self._transaction():
            added = 0
            for row in rows:
                added += self._db.execute(
                    "INSERT OR IGNORE INTO row (channel, second, fields) VALUES (?, ?, ?)",
                    (row.channel, row.second, json.dumps(dict(row.fields))),
                ).rowcount
            for name, value in memory.items():
                self._db.execute(
                    "INSERT OR REPLACE INTO memory VALUES (?, ?)", (name, json.dumps(value))
                )
        return added

    def recall(self, name: str) -> JsonValue:
        """Return what was remembered under a name; None: nothing."""
        with self._lock:
            found = self._db.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    def take(self, channel: int, most: int) -> list[OutboxRow]:
        """Mark the oldest waiting rows in flight, on disk, and return them."""
        with self._lock, self._transaction():
            found = self._db.execute(
                "SELECT second, fields FROM row WHERE channel = ? AND state = ? "
                "ORDER BY second LIMIT ?",
                (channel, State.WAITING, most),
            ).fetchall()
            self._mark(channel, [second for second, _ in found], State.IN_FLIGHT)
        return [OutboxRow(channel, second, json.loads(fields)) for second, fields in found]

    def in_flight(self, channel: int) -> list[int]:
        """Return the seconds of the rows whose fate is not known."""
        with self._lock:
            found = self._db.execute(
                "SELECT second FROM row WHERE channel = ? AND state = ? ORDER BY second",
                (channel, State.IN_FLIGHT),
            ).fetchall()
        return [second for (second,) in found]

    def settle(self, channel: int, stored: Iterable[int], missing: Iterable[int]) -> None:
        """Record what the cloud showed: rows it has, and rows it does not have."""
        with self._lock, self._transaction():
            self._mark(channel, stored, State.STORED)
            self._mark(channel, missing, State.WAITING)
            self._db.execute(
                "DELETE FROM row WHERE channel = ? AND state = ? AND second < "
                "(SELECT second FROM row WHERE channel = ? AND state = ? "
                "ORDER BY second DESC LIMIT 1 OFFSET ?)",
                (channel, State.STORED, channel, State.STORED, KEEP_STORED),
            )

    def set_aside(self, channel: int, second: int) -> None:
        """Give up a row that the cloud will never take."""
        with self._lock, self._transaction():
            self._mark(channel, [second], State.SET_ASIDE)

    def counts(self, channel: int) -> dict[str, int]:
        """Return how many rows are in each state."""
        with self._lock:
            found = self._db.execute(
                "SELECT state, COUNT(*) FROM row WHERE channel = ? GROUP BY state", (channel,)
            ).fetchall()
        numbers = dict(found)
        return {state.name.lower(): numbers.get(state.value, 0) for state in State}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def _mark(self, channel: int, seconds: Iterable[int], state: State) -> None:
        self._db.executemany(
            "UPDATE row SET state = ? WHERE channel = ? AND second = ?",
            [(int(state), channel, second) for second in seconds],
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """All of it or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
