"""Rows on their way to the clouds, in SQLite: written once, sent until they are seen there.

A *destination* is one channel of one cloud, a `lane` in the file. A row is frozen when it is
written; it is marked in flight on disk before it is sent, and leaves that mark only when the cloud
has shown it (stored) or has shown that it does not have it (waiting again).

That a row is stored is written with the rows that come next: a bridge that is killed before looks
it up once more.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.rowtable import (
    SCHEMA,
    RowState,
    free,
    is_taken,
    keep_newest,
    mark,
    newest,
)
from monitorpi_cloud_bridge.thinning import Thinned, Waiting
from monitorpi_common.database import Database, remember

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import JsonValue

KEEP_STORED: Final = 1000
"""Stored rows kept per destination, for whoever wants to look."""
MAX_ROWS: Final = 400_000
"""Rows kept per destination: three months at 20 s; then the oldest waiting ones go, counted."""

_WAITING: Final = (RowState.WAITING, RowState.SUSPECTED)


def _none(_: int) -> Mapping[str, JsonValue]:
    return {}


class RowOutbox:
    """The database. Safe to use from several threads of the one process that holds it.

    Raises:
        BlockingIOError: another process holds it.
        OSError, sqlite3.Error: it cannot be opened.

    """

    def __init__(self, file: Path) -> None:
        self._database = Database(file, SCHEMA, alone=True)
        self._stored: dict[str, int] = {}
        """How many rows of a destination are stored, as far as they were counted."""

    @contextmanager
    def _transaction(self, *, patient: bool = False) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; where it fails, what was patient is undone, too."""
        try:
            with self._database.transaction(patient=patient) as db:
                yield db
        except BaseException:
            self._stored.clear()
            raise

    # --- writing ----------------------------------------------------------------------------

    def add(
        self,
        rows: Iterable[OutboxRow],
        memory: Mapping[str, JsonValue],
        interval_s: int = 1,
    ) -> int:
        """Write rows and what must be remembered with them, in one transaction.

        Returns how many rows were dropped.

        The seconds of a destination's rows only grow, unless the clock was set back. A second may
        be taken then, here or at the cloud: such a row stands between two intervals. With
        an interval of a second there is none, and a row whose second is taken is dropped.
        """
        dropped = 0
        with self._transaction() as db:
            for row in rows:
                again = row.second <= newest(db, row.destination) or is_taken(
                    db, row.destination, row.second
                )
                second = free(db, row, interval_s) if again and interval_s > 1 else row.second
                written = db.execute(
                    "INSERT OR IGNORE INTO row (lane, second, fields) VALUES (?, ?, ?)",
                    (row.destination, second, json.dumps(dict(row.fields))),
                ).rowcount
                dropped += 1 - written
            remember(db, memory)
        return dropped

    def add_urgent(
        self, rows: Iterable[OutboxRow], interval_s: int, memory: Mapping[str, JsonValue]
    ) -> None:
        """Write rows that go before the backlog, with what must be remembered with them.

        Each stands in the first free second from its own on. The seconds at which intervals end
        belong to the rows of counts that come later.
        """
        with self._transaction() as db:
            for row in rows:
                db.execute(
                    "INSERT INTO row (lane, second, fields, urgent) VALUES (?, ?, ?, 1)",
                    (row.destination, free(db, row, interval_s), json.dumps(dict(row.fields))),
                )
            remember(db, memory)

    def take(
        self, destination: str, most: int, memory: Callable[[int], Mapping[str, JsonValue]] = _none
    ) -> list[OutboxRow]:
        """Mark rows in flight, on disk, and return them in order of time.

        ``memory`` says what must be remembered with so many of them; where nothing waits, nothing
        is written.

        The newest waiting row is always among them, then the urgent ones, then the oldest: after
        days offline a dashboard is live again with the first call.
        """
        if not self._waits(destination):
            return []
        with self._transaction() as db:
            live = (
                "(SELECT MAX(second) FROM row "
                "WHERE lane = :lane AND state = 0 AND state <> 2 AND urgent = 0)"
            )
            found = db.execute(
                "SELECT second, fields FROM row WHERE lane = :lane AND state = 0 AND state <> 2 "  # noqa: S608 - constant text
                f"ORDER BY second = {live} DESC, urgent DESC, second LIMIT :most",
                {"lane": destination, "most": most},
            ).fetchall()
            db.executemany(
                "UPDATE row SET state = 1, tries = tries + 1 WHERE lane = ? AND second = ?",
                [(destination, second) for second, _ in found],
            )
            remember(db, memory(len(found)))
        return [OutboxRow(destination, second, _fields(text)) for second, text in sorted(found)]

    def take_these(
        self,
        destination: str,
        seconds: Sequence[int],
        memory: Callable[[int], Mapping[str, JsonValue]] = _none,
    ) -> list[OutboxRow]:
        """Mark certain rows in flight, on disk, and return them in order of time."""
        found: list[OutboxRow] = []
        if not seconds:
            return found
        with self._transaction() as db:
            for second in sorted(seconds):
                text = db.execute(
                    "SELECT fields FROM row WHERE lane = ? AND second = ?", (destination, second)
                ).fetchone()
                if text is not None:
                    found.append(OutboxRow(destination, second, _fields(text[0])))
            db.executemany(
                "UPDATE row SET state = 1, tries = tries + 1 WHERE lane = ? AND second = ?",
                [(destination, row.second) for row in found],
            )
            remember(db, memory(len(found)))
        return found

    def acknowledge(
        self,
        destination: str,
        stored: Iterable[int],
        missing: Iterable[int],
        suspected: Iterable[int] = (),
    ) -> None:
        """Record what the cloud showed: rows it has, and rows it does not have.

        Rows that it has are not written at once, see above.
        """
        stored, missing, suspected = list(stored), list(missing), list(suspected)
        with self._transaction(patient=not missing and not suspected) as db:
            mark(db, destination, missing, RowState.WAITING)
            mark(db, destination, suspected, RowState.SUSPECTED)
            number = self._number_stored(db, destination) + mark(
                db, destination, stored, RowState.STORED
            )
            if stored and number > KEEP_STORED:
                # those ahead stay too: seconds that a clock which was ahead has taken
                number -= keep_newest(db, destination, RowState.STORED, KEEP_STORED, min(stored))
        self._stored[destination] = number

    def put_back(self, destination: str, seconds: Sequence[int], suspected: set[int]) -> None:
        """Let rows wait again that were surely not taken: as if they had not been sent."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE row SET state = ?, tries = tries - 1 WHERE lane = ? AND second = ?",
                [(int(_WAITING[second in suspected]), destination, second) for second in seconds],
            )

    def dead_letter(self, destination: str, reasons: Mapping[int, str]) -> None:
        """Give up rows that the cloud will never take, by second, and keep why."""
        with self._transaction() as db:
            mark(db, destination, reasons, RowState.SET_ASIDE)
            db.executemany(
                "INSERT OR REPLACE INTO refusal VALUES (?, ?, ?)",
                [(destination, second, reason) for second, reason in reasons.items()],
            )

    def replace(self, destination: str, thinned: Sequence[Thinned]) -> int:
        """Put means and extremes in the place of thinned rows; returns how many rows went."""
        gone = 0
        with self._transaction() as db:
            for one in thinned:
                for second in one.removed:
                    gone += db.execute(
                        "DELETE FROM row WHERE lane = ? AND second = ? AND state = 0 AND tries = 0",
                        (destination, second),
                    ).rowcount
                db.executemany(
                    "INSERT OR REPLACE INTO row (lane, second, fields) VALUES (?, ?, ?)",
                    [(destination, row.second, json.dumps(dict(row.fields))) for row in one.kept],
                )
                gone -= len(one.kept)
        return gone

    def remember(self, memory: Mapping[str, JsonValue], *, patient: bool = False) -> None:
        """Keep values over restarts; ``patient``: with the next rows."""
        self._database.remember(memory, patient=patient)

    def commit(self, older_than_s: float = 0.0) -> None:
        """Write what waits for the next rows, if it has waited for so long."""
        self._database.commit(older_than_s)

    # --- reading ----------------------------------------------------------------------------

    def recall(self, name: str) -> JsonValue:
        """Return what was remembered under a name; None: nothing."""
        return self._database.recall(name)

    def _waits(self, destination: str) -> bool:
        """Return whether any row waits."""
        with self._database.reading() as db:
            waiting = "SELECT 1 FROM row WHERE lane = ? AND state = 0 AND state <> 2 LIMIT 1"
            return db.execute(waiting, (destination,)).fetchone() is not None

    def in_flight(self, destination: str) -> list[int]:
        """Return the seconds of the rows whose fate is not known, in order."""
        return self._in(destination, RowState.IN_FLIGHT)

    def suspected(self, destination: str) -> list[int]:
        """Return the seconds of the rows under suspicion, in order."""
        return self._in(destination, RowState.SUSPECTED)

    def _in(self, destination: str, state: RowState) -> list[int]:
        with self._database.reading() as db:
            found = db.execute(
                "SELECT second FROM row WHERE lane = ? AND state = ? AND state <> 2 "
                "ORDER BY second",
                (destination, int(state)),
            ).fetchall()
        return [second for (second,) in found]

    def newest_waiting(self, destination: str, without: Sequence[int] = ()) -> int | None:
        """Return the second of the newest row that waits.

        Texts and some others come only where there is nothing else.
        """
        with self._database.reading() as db:
            found = db.execute(
                "SELECT second FROM row WHERE lane = ? AND state = 0 AND state <> 2 "
                "ORDER BY urgent, second DESC LIMIT ?",
                (destination, len(without) + 1),
            ).fetchall()
        seconds = [second for (second,) in found]
        return next((one for one in seconds if one not in without), next(iter(seconds), None))

    def urgent(self, destination: str, most: int) -> list[int]:
        """Return the seconds of the urgent rows that wait, in order."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT second FROM row WHERE lane = ? AND state = 0 AND state <> 2 "
                "AND urgent = 1 ORDER BY second LIMIT ?",
                (destination, most),
            ).fetchall()
        return [second for (second,) in found]

    def refusals(self, destination: str) -> dict[int, str]:
        """Return why rows were set aside, by second."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT second, reason FROM refusal WHERE lane = ? ORDER BY second", (destination,)
            ).fetchall()
        return dict(found)

    def untried(self, destination: str, before: int, after: int, most: int) -> list[Waiting]:
        """Return rows that wait and were never sent, in order of time, from a stretch of time."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT second, fields FROM row WHERE lane = ? AND state = 0 AND tries = 0 "
                "AND urgent = 0 AND second < ? AND second > ? ORDER BY second LIMIT ?",
                (destination, before, after, most),
            ).fetchall()
        return [Waiting(second, _fields(text)) for second, text in found]

    def counts(self, destination: str) -> dict[str, int]:
        """Return how many rows are in each state; those under suspicion wait, too."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT state, COUNT(*) FROM row WHERE lane = ? AND state <> 2 GROUP BY state",
                (destination,),
            ).fetchall()
            stored = self._number_stored(db, destination)
        numbers = {**dict(found), RowState.STORED: stored}
        numbers[RowState.WAITING] = sum(numbers.get(state, 0) for state in _WAITING)
        return {state.name.lower(): numbers.get(state.value, 0) for state in RowState}

    def _number_stored(self, db: sqlite3.Connection, destination: str) -> int:
        if destination not in self._stored:
            asked = "SELECT COUNT(*) FROM row WHERE lane = ? AND state = 2"
            self._stored[destination] = int(db.execute(asked, (destination,)).fetchone()[0])
        return self._stored[destination]

    def oldest_unsent(self, destination: str) -> int | None:
        """Return the second of the oldest row that is not known to be stored."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT MIN(second) FROM row WHERE lane = ? AND state IN (0, 1, 4) AND state <> 2",
                (destination,),
            ).fetchone()
        return int(found[0]) if found[0] is not None else None

    def drop_oldest(self, destination: str) -> int:
        """Drop the oldest rows that wait or were set aside, beyond what is kept of each.

        Returns how many waiting ones went.
        """
        with self._transaction() as db:
            keep_newest(db, destination, RowState.SET_ASIDE, KEEP_STORED)
            db.execute(
                "DELETE FROM refusal WHERE lane = ? AND second NOT IN "
                "(SELECT second FROM row WHERE lane = ? AND state = ? AND state <> 2)",
                (destination, destination, int(RowState.SET_ASIDE)),
            )
            return keep_newest(db, destination, RowState.WAITING, MAX_ROWS)

    def close(self) -> None:
        """Close the database and let another process have it."""
        self._database.close()


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a row; none of one that the disk damaged: the cloud refuses it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    whole = found if isinstance(found, dict) else {}
    return {name: value for name, value in whole.items() if isinstance(value, str)}
