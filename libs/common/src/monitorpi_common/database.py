"""An SQLite file of one service: what must be sent exactly once is written here first. I/O.

The database is in WAL mode, mostly with ``synchronous=NORMAL``: a killed process loses nothing, a
power cut what the kernel had not yet written back, about half a minute, and an SD card is not
forced to write each row.

What can be found out anew is written *patiently*: it goes to the disk with the next transaction
that is not patient. A killed process loses it. On ext4 each moment at which a file is written costs
some 25 kB of bookkeeping, however little it is: what counts is how many moments there are.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from monitorpi_common.plainfile import open_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import JsonValue

PAGE_BYTES: Final = 1024
"""The log takes a whole page for each row touched: a quarter of the usual page spares the card."""
BUSY_S: Final = 5.0
FORM: Final = 1
"""Of the tables, in the file's ``user_version``; 0 is this one as earlier versions left it."""
_MEMORY: Final = """
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class LaterFormError(OSError):
    """The file is of a form that only a later version knows: it is left as it is."""


class Database:
    """The file, held by one process; safe to use from several of its threads.

    ``alone``: no other process reads it meanwhile. The index of the log then lies in memory and not
    in a file beside it, which costs as much as the log itself.

    ``durable``: what is committed is on the disk, also if the power goes in the next moment.

    Raises:
        BlockingIOError: another process holds it.
        LaterFormError: a later version wrote it.
        OSError, sqlite3.Error: it cannot be opened.

    """

    def __init__(
        self, file: Path, schema: str, *, alone: bool = False, durable: bool = False
    ) -> None:
        self._guard = open_lock(file.with_suffix(".lock"))
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._db = connect(file)
        except BaseException:
            self._guard.close()
            raise
        self._lock = threading.RLock()
        self._patient_since_s: float | None = None
        try:
            self._prepare(file, schema, alone=alone)
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        except BaseException as error:
            self.close()
            if isinstance(error, UnicodeDecodeError):  # SQLite's words for it quote what it found
                raise sqlite3.DatabaseError("its table of contents is damaged") from None
            raise

    def _prepare(self, file: Path, schema: str, *, alone: bool) -> None:
        if alone:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # counts before the first look
        form = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if form > FORM:
            raise LaterFormError(
                f"{file} was written by a newer MonitorPi (form {form}, this one knows {FORM}): "
                "run the newer one, or move the file away to begin anew"
            )
        self._db.execute(f"PRAGMA page_size={PAGE_BYTES}")  # an older file keeps its own
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(schema + _MEMORY)
        if form < FORM:
            self._db.execute(f"PRAGMA user_version={FORM}")

    @contextmanager
    def transaction(self, *, patient: bool = False) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing.

        ``patient``: it is on the disk with the next transaction that is not; until then it is seen
        here only. Where a transaction fails, what was patient is undone with it.
        """
        with self._lock:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
                self._patient_since_s = time.monotonic()
            try:
                yield self._db
                if not patient:
                    self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def commit(self, older_than_s: float = 0.0) -> None:
        """Write what is patient, if it has waited for so long."""
        with self._lock:
            since_s = self._patient_since_s
            if since_s is None or not self._db.in_transaction:
                return
            if time.monotonic() - since_s >= older_than_s:
                with self.transaction():
                    pass

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, while no other thread writes."""
        with self._lock:
            yield self._db

    def remember(self, memory: Mapping[str, JsonValue], *, patient: bool = False) -> None:
        """Keep values over restarts."""
        with self.transaction(patient=patient) as db:
            remember(db, memory)

    def recall(self, name: str) -> JsonValue:
        """Return what was remembered under a name; None: nothing."""
        with self.reading() as db:
            found = db.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        try:
            value: JsonValue = json.loads(found[0]) if found else None
        except (ValueError, RecursionError):  # damaged on the disk: it is learned anew
            value = None
        return value

    def close(self) -> None:
        """Close the database and let another process have it."""
        with self._lock:
            with suppress(sqlite3.Error):  # a full disk: it is found out anew
                self.commit()
            self._db.close()
            self._guard.close()


def connect(file: Path | str) -> sqlite3.Connection:
    """Open the file as its holder does, or a process that the holder has started for its work."""
    db = sqlite3.connect(file, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
    db.text_factory = _text
    return db


def _text(stored: bytes) -> str:
    """Return a text also where a byte of it was damaged on the disk."""
    return stored.decode(errors="replace")


@contextmanager
def snapshot(file: Path) -> Iterator[sqlite3.Connection]:
    """Read a database as it is now, also while its holder lets nobody else in.

    Raises:
        OSError, sqlite3.Error: it cannot be read.

    """
    with TemporaryDirectory(prefix="monitorpi-") as folder:
        copy = Path(folder) / file.name
        _copy(file, copy)
        with closing(connect(copy)) as db:
            yield db


def _copy(file: Path, copy: Path) -> None:
    """Copy file and log until the file stays the same meanwhile: then both belong together.

    What is added to the log meanwhile carries checksums: what is half of it is left out.
    """
    log, end = f"{file}-wal", time.monotonic() + BUSY_S
    while True:
        before = file.stat().st_mtime_ns
        shutil.copyfile(file, copy)
        if Path(log).exists():
            shutil.copyfile(log, f"{copy}-wal")
        if file.stat().st_mtime_ns == before:
            return
        if time.monotonic() > end:
            raise OSError(f"{file} changes all the time")


def refusal(what: str, file: Path, error: OSError | sqlite3.Error) -> str:
    """Return why a file could not be opened, and what to do, in one line."""
    if isinstance(error, LaterFormError):
        return str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or _name(error) == "SQLITE_FULL":
        remedy = "make room on its disk"
    elif getattr(error, "errno", None) == errno.EROFS or _is_read_only(file.parent):
        remedy = "its disk is mounted read-only, look at dmesg"
    else:
        remedy = "make the folder writable, or move the file away if it is damaged"
    return f"cannot open {what} {file} ({error}): {remedy}"


def remedied(error: sqlite3.Error) -> str:
    """Return why a file could not be written, and what to do where that is known.

    Deleting rows makes no room: what is deleted is written to the log first, and no file shrinks.
    """
    is_full = _name(error) == "SQLITE_FULL"
    return f"{error}: make room on the disk of the state folder" if is_full else str(error)


def _name(error: Exception) -> object:
    return getattr(error, "sqlite_errorname", None)


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def remember(db: sqlite3.Connection, memory: Mapping[str, JsonValue]) -> None:
    """Keep values, within a transaction of the caller's."""
    db.executemany(
        "INSERT OR REPLACE INTO memory VALUES (?, ?)",
        [(name, json.dumps(value)) for name, value in memory.items()],
    )
