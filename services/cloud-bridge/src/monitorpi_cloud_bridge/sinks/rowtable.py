"""The table of rows: its states, and what is asked of it within a transaction."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from monitorpi_cloud_bridge.items import OutboxRow

_NEVER: Final = 2**63 - 1  # the largest number of SQLite

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS row (
    lane TEXT NOT NULL,
    second INTEGER NOT NULL,
    fields TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    urgent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, second)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refusal (
    lane TEXT NOT NULL,
    second INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (lane, second)
) WITHOUT ROWID;
DROP INDEX IF EXISTS row_state;
CREATE INDEX IF NOT EXISTS row_unsettled ON row (lane, state, second) WHERE state <> 2;
"""
"""Most rows are stored: an index of those too would cost the card a tenth of all it writes.

SQLite takes such an index only where a question says ``state <> 2`` in these words.
A destination is a ``lane`` here, as the first version called it: to rename the column would write
a full outbox anew on a card, and leave the version before it none to go back to.
"""


class RowState(IntEnum):
    """Where a row is."""

    WAITING = 0
    IN_FLIGHT = 1
    STORED = 2
    SET_ASIDE = 3
    SUSPECTED = 4
    """Waits, apart from the others: the cloud has refused a call with it."""


def newest(db: sqlite3.Connection, destination: str) -> int:
    """Return the newest second of a destination's rows of counts, whatever became of it."""
    found = db.execute(
        "SELECT second FROM row WHERE lane = ? AND urgent = 0 ORDER BY second DESC LIMIT 1",
        (destination,),
    ).fetchone()
    return int(found[0]) if found else -1


def is_taken(db: sqlite3.Connection, destination: str, second: int) -> bool:
    """Tell whether a destination has a row of that second, whatever became of it."""
    taken = "SELECT 1 FROM row WHERE lane = ? AND second = ?"
    return db.execute(taken, (destination, second)).fetchone() is not None


def free(db: sqlite3.Connection, row: OutboxRow, interval_s: int) -> int:
    """Return the first second from a row's own on that is free, and no interval's end.

    Where each second ends an interval it is the first free one.
    """
    second = row.second
    while (second % interval_s == 0 and interval_s > 1) or is_taken(db, row.destination, second):
        second += 1
    return second


def mark(db: sqlite3.Connection, destination: str, seconds: Iterable[int], state: RowState) -> int:
    """Bring rows into a state; returns how many were not in it before."""
    return max(
        0,
        db.executemany(
            "UPDATE row SET state = :state "
            "WHERE lane = :lane AND second = :second AND state <> :state",
            [{"state": int(state), "lane": destination, "second": second} for second in seconds],
        ).rowcount,
    )


def keep_newest(
    db: sqlite3.Connection, destination: str, state: RowState, most: int, until: int = _NEVER
) -> int:
    """Delete the oldest rows of a state, beyond a number of those up to a second.

    Returns how many went.
    """
    of_state = "lane = :lane AND state = :state" + (" AND state <> 2" * (state != RowState.STORED))
    return db.execute(
        f"DELETE FROM row WHERE {of_state} AND second <= "  # noqa: S608 - constant text
        f"(SELECT second FROM row WHERE {of_state} AND second <= :until "
        "ORDER BY second DESC LIMIT 1 OFFSET :most)",
        {"lane": destination, "state": int(state), "most": most, "until": until},
    ).rowcount
