"""Text for a terminal: aligned tables that fit its width, and colour only where it is wanted."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Colour = Literal["red", "green", "yellow", "blue", "dim", "bold"]

_CODES: Final[dict[Colour, int]] = {
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 36,
    "dim": 2,
    "bold": 1,
}
_GAP: Final = "  "
_LEAST_WIDTH: Final = 40


@dataclass(frozen=True)
class Terminal:
    """Where text goes: how wide it is, and whether it shows colour."""

    width: int
    colour: bool

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """Look at a stream: colour on a terminal only, and not against NO_COLOR (no-color.org)."""
        shows = (
            stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        return cls(max(_LEAST_WIDTH, shutil.get_terminal_size((100, 24)).columns), shows)

    def paint(self, text: str, colour: Colour) -> str:
        """Return the text in a colour, or as it is."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour else text


def rows_to_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, fixed: int = 1
) -> Iterator[str]:
    """Lay a table out in lines of at most ``width`` characters.

    The first ``fixed`` columns are aligned to the left and the others to the right. What does not
    fit beside them follows in further blocks below, each beginning with the fixed columns again.
    """
    sizes = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for number, block in enumerate(_blocks(sizes, width, fixed)):
        if number:
            yield ""
        for row in (head, *rows):
            cells = [
                row[i].ljust(sizes[i]) if i < fixed else row[i].rjust(sizes[i])
                for i in (*range(fixed), *block)
            ]
            yield _GAP.join(cells).rstrip()


def _blocks(sizes: Sequence[int], width: int, fixed: int) -> list[list[int]]:
    """Share the columns out over blocks; each takes at least one."""
    room = width - sum(sizes[:fixed]) - len(_GAP) * (fixed - 1)
    blocks: list[list[int]] = [[]]
    left = room
    for column in range(fixed, len(sizes)):
        needed = sizes[column] + len(_GAP)
        if needed > left and blocks[-1]:
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= needed
    return blocks


def grouped(number: float) -> str:
    """Write a count so that it can be read: ``1,234,567``."""
    return f"{number:,.0f}"


def printable(text: str) -> str:
    """Keep foreign text from steering the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def size(count: float) -> str:
    """Write a number of bytes in the unit that fits: ``1.5 MB`` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - the step between the units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
