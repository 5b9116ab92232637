"""Changes on their way to people, in SQLite: written when they happen, kept until delivered.

A *letter* is one message to one destination and carries one change or several. It is on disk before
it is posted, so that after a power cut, too, nobody sends it again as if it were new. The process
that posts it is not ours but its own (:mod:`.post`), and notes what became of it in this file
itself: whoever is killed in between, the next notifier finds it there. A letter without a note
whose process is gone too may have been sent or not; its changes are sent again, and say so.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from monitorpi_common.database import Database, remember
from monitorpi_notifier.items import Letter, NoticeChange, ReportedAlert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

MOST_CHANGES: Final = 2_000
"""Waiting for one destination; beyond that the oldest go, counted: each alert's newest stays."""
MAX_REPORTED: Final = 4_096
_END_S: Final = 2.0**36
"""Seconds since 1970: the year 4147; a time beyond cannot be worded."""

T = TypeVar("T")
_CHANGE: Final = TypeAdapter(NoticeChange)
_REPORTED: Final = TypeAdapter(ReportedAlert)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS change (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    key TEXT NOT NULL,
    due_s REAL NOT NULL,
    letter INTEGER,
    content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS change_destination ON change (destination, id);
CREATE INDEX IF NOT EXISTS change_key ON change (key, id);
CREATE TABLE IF NOT EXISTS letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    tries INTEGER NOT NULL,
    posted_s REAL NOT NULL,
    is_delivered INTEGER,
    note TEXT
);
CREATE TABLE IF NOT EXISTS told (
    key TEXT PRIMARY KEY,
    is_open INTEGER NOT NULL,
    at_s REAL NOT NULL,
    content TEXT NOT NULL
) WITHOUT ROWID;
"""
"""``told`` holds what was reported of each alert; it keeps its first name, so that the version
before can be gone back to."""


class Outbox:
    """The database; held by one notifier.

    Raises:
        BlockingIOError: another notifier holds it.
        OSError, sqlite3.Error: it cannot be opened.

    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database = Database(file, _SCHEMA, durable=True)
        self.dropped_total = 0

    # --- what happened ----------------------------------------------------------------------

    def add(self, changes: Iterable[NoticeChange], reported: Iterable[ReportedAlert]) -> None:
        """Keep changes, and what they make known, in one transaction."""
        with self._database.transaction() as db:
            changes = list(changes)
            for change in changes:
                db.execute(
                    "INSERT INTO change (destination, key, due_s, content) VALUES (?, ?, ?, ?)",
                    (change.destination, change.key, change.due_s, json.dumps(asdict(change))),
                )
            for destination in {change.destination for change in changes}:
                self.dropped_total += _drop_oldest(db, destination)
            for one in reported:
                content = json.dumps({**asdict(one), "destinations": sorted(one.destinations)})
                db.execute(
                    "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)",
                    (one.key, one.state == "open", one.at_s, content),
                )
            db.execute(
                "DELETE FROM told WHERE key IN "
                "(SELECT key FROM told ORDER BY is_open DESC, at_s DESC LIMIT -1 OFFSET ?)",
                (MAX_REPORTED,),
            )

    def reported(self) -> list[ReportedAlert]:
        """Return what earlier processes told, the oldest first."""
        with self._database.reading() as db:
            found = db.execute("SELECT content FROM told ORDER BY at_s").fetchall()
        read = [_read(_REPORTED, text) for (text,) in found]
        return [one for one in read if one is not None]

    def withdraw(self, key: str, destinations: Iterable[str]) -> None:
        """Forget changes of an alert that wait and are in no letter."""
        with self._database.transaction() as db:
            db.executemany(
                "DELETE FROM change WHERE key = ? AND destination = ? AND letter IS NULL",
                [(key, destination) for destination in destinations],
            )

    def amend(self, how: Callable[[NoticeChange], NoticeChange]) -> None:
        """Put others in the place of all changes; what is on its way may have to go out again."""
        with self._database.transaction() as db:
            found = db.execute("SELECT id, content FROM change").fetchall()
            for number, text in found:
                before = _read(_CHANGE, text)
                if before is not None and (after := how(before)) != before:
                    db.execute(
                        "UPDATE change SET due_s = ?, content = ? WHERE id = ?",
                        (after.due_s, json.dumps(asdict(after)), number),
                    )

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts."""
        with self._database.transaction() as db:
            remember(db, memory)

    def recall(self, name: str) -> JsonValue:
        """Return what was remembered under a name; None: nothing."""
        return self._database.recall(name)

    # --- letters ----------------------------------------------------------------------------

    def waiting(self, destination: str) -> list[NoticeChange]:
        """Return the changes that are in no letter, in the order they happened."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT id, content FROM change WHERE destination = ? AND letter IS NULL "
                "ORDER BY id",
                (destination,),
            ).fetchall()
        read = [(number, _read(_CHANGE, text)) for number, text in found]
        return [replace(one, id=number) for number, one in read if one is not None]

    def seal(self, letter: Letter, tries: int, at_s: float) -> int:
        """Put a letter on disk, before it is posted; returns its number."""
        with self._database.transaction() as db:
            number = db.execute(
                "INSERT INTO letter (destination, tries, posted_s) VALUES (?, ?, ?)",
                (letter.destination, tries, at_s),
            ).lastrowid
            db.executemany(
                "UPDATE change SET letter = ? WHERE id = ?",
                [(number, change.id) for change in letter.changes],
            )
        return int(number or 0)

    def noted(self, number: int) -> tuple[bool | None, str | None]:
        """Return what was noted of a letter: delivered or not, and why; None: nothing was."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT is_delivered, note FROM letter WHERE id = ?", (number,)
            ).fetchone()
        if found is None or found[0] is None:
            return None, None
        return bool(found[0]), found[1]

    def close_letter(self, number: int, *, is_delivered: bool, is_doubtful: bool = False) -> None:
        """Close a letter: its changes are done, or wait again."""
        with self._database.transaction() as db:
            if is_delivered:
                db.execute("DELETE FROM change WHERE letter = ?", (number,))
            elif is_doubtful:
                for row, text in db.execute(
                    "SELECT id, content FROM change WHERE letter = ?", (number,)
                ).fetchall():
                    change = _read(_CHANGE, text)
                    if change is not None:
                        content = json.dumps(asdict(replace(change, doubtful=True)))
                        db.execute("UPDATE change SET content = ? WHERE id = ?", (content, row))
            db.execute("UPDATE change SET letter = NULL WHERE letter = ?", (number,))
            db.execute("DELETE FROM letter WHERE id = ?", (number,))

    def open_letters(self, destination: str) -> list[int]:
        """Return the letters that were not closed: their notifier was killed."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT id FROM letter WHERE destination = ? ORDER BY id", (destination,)
            ).fetchall()
        return [number for (number,) in found]

    def expire(self, destinations: Iterable[str], before_s: float) -> None:
        """Drop what is older than a time, and what is for nobody any more."""
        with self._database.transaction() as db:
            known = json.dumps(sorted(destinations))
            gone = db.execute(
                "DELETE FROM change WHERE letter IS NULL AND (due_s < ? OR destination NOT IN "
                "(SELECT value FROM json_each(?)))",
                (before_s, known),
            ).rowcount
            self.dropped_total += gone
            db.execute("DELETE FROM told WHERE at_s < ? AND NOT is_open", (before_s,))

    def counts(self) -> dict[str, int]:
        """Return how many changes wait for each destination, those on their way included."""
        with self._database.reading() as db:
            return dict(db.execute("SELECT destination, COUNT(*) FROM change GROUP BY destination"))

    def close(self) -> None:
        """Close the database and let another notifier have it."""
        self._database.close()


def _drop_oldest(db: sqlite3.Connection, destination: str) -> int:
    """Keep a destination's changes bounded: first those go that a newer one of the alert follows.

    Returns how many went.
    """
    waiting = "FROM change WHERE destination = :to AND letter IS NULL"
    (count,) = db.execute(f"SELECT COUNT(*) {waiting}", {"to": destination}).fetchone()
    if count <= MOST_CHANGES:
        return 0
    beyond = count - MOST_CHANGES
    newer = "b.key = a.key AND b.destination = a.destination AND b.id > a.id"
    order = f"EXISTS (SELECT 1 FROM change b WHERE {newer}) DESC, a.id"  # noqa: S608
    return db.execute(
        "DELETE FROM change WHERE id IN (SELECT a.id FROM change a WHERE a.destination = :to "  # noqa: S608
        f"AND a.letter IS NULL ORDER BY {order} LIMIT :beyond)",
        {"to": destination, "beyond": beyond},
    ).rowcount


def _read(kind: TypeAdapter[T], text: str) -> T | None:
    """Return what was kept; None: a damaged disk made something else of it, which expires."""
    try:
        found = kind.validate_json(text)
    except ValidationError:
        return None
    times = [getattr(found, name, 0.0) for name in ("at_s", "opened_s", "due_s")]
    return found if all(0 <= at_s < _END_S for at_s in times) else None
