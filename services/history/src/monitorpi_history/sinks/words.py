"""Names of columns as small numbers: a row has eighty of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


class Words:
    """The numbers of all columns there ever were."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        for number, text in db.execute("SELECT id, text FROM word"):
            self._numbers[text] = number
            self._texts[number] = text
        self._saved = max(self._texts, default=0)

    def number(self, text: str) -> int:
        """Return the number of a column, a new one where it has none; `save` writes it."""
        number = self._numbers.get(text)
        if number is None:
            number = max(self._texts, default=0) + 1
            self._numbers[text] = number
            self._texts[number] = text
        return number

    def text(self, number: int) -> str:
        """Return a column's name; one that nobody knows has its number for a name."""
        return self._texts.get(number, f"_{number}")

    def save(self) -> None:
        """Write the new ones, within a transaction."""
        new = [one for one in self._texts.items() if one[0] > self._saved]
        self._db.executemany("INSERT INTO word VALUES (?, ?)", new)
        self._saved = max(self._texts, default=0)
