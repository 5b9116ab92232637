"""The tables, how an older file becomes one of now, and what its errors mean to people."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from monitorpi_history.items import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAL_PAGES: Final = 2000
"""The log is copied into the file each 8 MB: what is written twice within is copied once."""

MIGRATIONS: Final = (
    """
    CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        place TEXT NOT NULL,
        subject TEXT NOT NULL,
        last_hour INTEGER NOT NULL,
        UNIQUE (kind, place, subject)
    );
    CREATE INDEX series_subject ON series (subject);
    CREATE TABLE snapshot (
        id INTEGER PRIMARY KEY, first INTEGER NOT NULL, length INTEGER NOT NULL, data BLOB NOT NULL
    );
    CREATE TABLE packed (hour INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
    CREATE TABLE minute (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE hour (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE alert (
        id TEXT PRIMARY KEY,
        opened_ms INTEGER NOT NULL,
        closed_ms INTEGER,
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        message TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX alert_opened ON alert (opened_ms);
    CREATE TABLE change (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        subject TEXT NOT NULL,
        what TEXT NOT NULL,
        "before" TEXT,
        "after" TEXT
    );
    CREATE INDEX change_at ON change (at_ms);
    CREATE TABLE device (
        mac TEXT PRIMARY KEY,
        seen_ms INTEGER NOT NULL,
        forgotten INTEGER NOT NULL,
        message TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE target (
        address TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE size (tier TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO size VALUES ('snapshot', 0), ('minute', 0), ('hour', 0);
    """,
)
"""Each takes a file from one version to the next; the version is their number."""
VERSION: Final = len(MIGRATIONS)


class UnusableError(Exception):
    """The database cannot be used now; says why and what to do."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble


def open_to_write(file: Path, migrations: tuple[str, ...] = MIGRATIONS) -> sqlite3.Connection:
    """Open the database, or make it; an older one is brought to this version.

    Raises:
        UnusableError: of a newer version.
        sqlite3.Error, OSError: it cannot be.

    """
    file.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(file, isolation_level=None, timeout=2.0, check_same_thread=False)
    try:
        _refuse_newer(db, file, len(migrations))
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts before the first table
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        db.execute("PRAGMA secure_delete = FAST")  # zeros would be written to the card, too
        _migrate(db, migrations)
    except BaseException:
        db.close()
        raise
    return db


def _refuse_newer(db: sqlite3.Connection, file: Path, version: int) -> None:
    found = version_of(db)
    if found > version:
        raise UnusableError(
            Trouble(
                "newer",
                f"{file} was written by a newer MonitorPi (form {found}, this one knows {version})",
                "run the newer one, or move the file away to begin anew",
            )
        )


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of a database; 0: it is empty."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection, migrations: tuple[str, ...]) -> None:
    """Take each step that is missing, all of it or nothing."""
    for version in range(version_of(db), len(migrations)):
        with transaction(db):
            for statement in migrations[version].split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # a full disk may have rolled it back already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def trouble_of(error: Exception, file: Path) -> Trouble:
    """Return what an error means."""
    if isinstance(error, UnusableError):
        return error.trouble
    name = str(getattr(error, "sqlite_errorname", None) or "")
    match name.split("_")[1:2]:
        case ["FULL"]:
            return Trouble("full", f"the disk of {file} is full", "make room on it")
        case ["READONLY"]:
            return _read_only(file)
        case ["CORRUPT"] | ["NOTADB"]:
            return Trouble(
                "damaged", f"{file} is damaged ({error})",
                "stop MonitorPi, move the file away and look at the card with fsck",
            )  # fmt: skip
        case ["BUSY"] | ["LOCKED"]:
            return Trouble("busy", f"another program holds {file}", "end the other program")
        case ["CANTOPEN"] if _is_read_only(file.parent):
            return _read_only(file)
        case ["CANTOPEN"]:
            return Trouble(
                "failed", f"{file} cannot be opened ({error})",
                "make its folder writable for the history",
            )  # fmt: skip
    if isinstance(error, OSError) and error.strerror == "Read-only file system":
        return _read_only(file)
    return Trouble("failed", f"{file} cannot be written ({error})", "look at dmesg and the card")


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _read_only(file: Path) -> Trouble:
    return Trouble(
        "read-only", f"{file} may not be written", "is its disk mounted read-only? look at dmesg"
    )
