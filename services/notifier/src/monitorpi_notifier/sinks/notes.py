"""What became of a letter, noted by whoever posted it. Small, so that it is loaded at once. I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

NOT_DELIVERED: Final = 3
"""Exit code of whoever posted it: the service does not take it. 0: delivered, else not known."""


def note(db: sqlite3.Connection, number: int, *, is_delivered: bool, text: str | None) -> None:
    """Write the outcome of a letter into the outbox."""
    db.execute(
        "UPDATE letter SET is_delivered = ?, note = ? WHERE id = ?",
        (int(is_delivered), text, number),
    )
