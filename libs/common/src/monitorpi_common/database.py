"""An SQLite file of one service: what must be sent exactly once is written here first. I/O.

The database is in WAL mode with ``synchronous=NORMAL``: a killed process loses nothing, a power cut
at most what was written since the last checkpoint, and an SD card is not forced to write each row.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import JsonValue

PAGE_BYTES: Final = 1024
"""The log takes a whole page for each row touched: a quarter of the usual page spares the card."""
BUSY_S: Final = 5.0
_MEMORY: Final = """
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Database:
    """The file, held by one process; safe to use from several of its threads.

    Raises:
        BlockingIOError: another process holds it.
        OSError, sqlite3.Error: it cannot be opened.

    """

    def __init__(self, file: Path, schema: str) -> None:
        self._guard = file.with_suffix(".lock").open("a")
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._db = connect(file)
        except BaseException:
            self._guard.close()
            raise
        self._lock = threading.RLock()
        self._db.execute(f"PRAGMA page_size={PAGE_BYTES}")  # an older file keeps its own
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(schema + _MEMORY)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:  # a full disk may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, while no other thread writes."""
        with self._lock:
            yield self._db

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts."""
        with self.transaction() as db:
            remember(db, memory)

    def recall(self, name: str) -> JsonValue:
        """Return what was remembered under a name; None: nothing."""
        with self.reading() as db:
            found = db.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        value: JsonValue = json.loads(found[0]) if found else None
        return value

    def close(self) -> None:
        """Close the database and let another process have it."""
        with self._lock:
            self._db.close()
            self._guard.close()


def connect(file: Path | str) -> sqlite3.Connection:
    """Open the file as its holder does, or a process that the holder has started for its work."""
    return sqlite3.connect(file, timeout=BUSY_S, check_same_thread=False, isolation_level=None)


def remember(db: sqlite3.Connection, memory: Mapping[str, JsonValue]) -> None:
    """Keep values, within a transaction of the caller's."""
    db.executemany(
        "INSERT OR REPLACE INTO memory VALUES (?, ?)",
        [(name, json.dumps(value)) for name, value in memory.items()],
    )
