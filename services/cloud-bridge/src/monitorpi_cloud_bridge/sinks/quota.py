"""The rows of a year, counted against a licence, whatever the clock shows meanwhile."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import JsonValue

PROOF_S: Final = 3600.0
"""How long a clock must show another year that it came to by a step, before the year is believed:
a time server that is wrong for a minute spends no second quota."""
STEP_S: Final = 60.0
"""Wall and boot clock drifting apart by more between two calls is a step."""

_YEAR: Final = re.compile(r"[0-9]{4}")


@dataclass(slots=True)
class YearlyQuota:
    """Rows sent in each year; only passing time or a clock that stands by it changes the year.

    Safe to use from several threads.
    """

    most: int
    """Rows a year; 0: no limit."""
    year: int = 0
    """The year that is counted; 0: none yet."""
    _used: dict[int, int] = field(default_factory=dict)
    """By year: one that the clock comes back to goes on where it was."""
    _offset_s: float | None = None
    _claimed: tuple[int, float] | None = None
    """Another year that the clock shows, and since when."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def used(self) -> int:
        """Rows sent in this year."""
        return self._used.get(self.year, 0)

    def left(self, wall_s: float, clock_s: float) -> int:
        """Return how many rows may still be sent this year.

        Args:
            wall_s: Unix time.
            clock_s: a clock that is never set.

        """
        with self._lock:
            self._look(datetime.fromtimestamp(wall_s, UTC).year, wall_s - clock_s, clock_s)
            return self.most - self.used

    def charge(self, rows: int) -> dict[str, JsonValue]:
        """Count rows, or take them back; returns what to remember."""
        with self._lock:
            self._used[self.year] = max(self.used + rows, 0)
            return self.memory()

    def memory(self) -> dict[str, JsonValue]:
        """Return what the process after us must know."""
        others: dict[str, JsonValue] = {
            str(year): used for year, used in self._used.items() if year != self.year and used
        }
        return {"year": self.year, "used": self.used, **({"others": others} if others else {})}

    def remember(self, memory: JsonValue) -> None:
        """Go on where an earlier process stood; memory of another shape is forgotten."""
        match memory:
            case {"year": int(year), "used": int(used), **more}:
                self.year, self._used = year, {year: used}
                others = more.get("others")
                if isinstance(others, dict):
                    self._used |= {
                        int(y): n
                        for y, n in others.items()
                        if _YEAR.fullmatch(y) and isinstance(n, int)
                    }

    def _look(self, year: int, offset_s: float, clock_s: float) -> None:
        """See which year it is."""
        passed = self._offset_s is not None and abs(offset_s - self._offset_s) < STEP_S
        self._offset_s = offset_s
        if year == self.year:
            self._claimed = None
        elif self.year == 0:
            self.year = year
        elif self._claimed is None or self._claimed[0] != year:
            if passed and year > self.year and self._claimed is None:
                self._begin(year)
            else:
                self._claimed = (year, clock_s)
        elif clock_s - self._claimed[1] >= PROOF_S:
            self._begin(year)

    def _begin(self, year: int) -> None:
        """Count another year; an earlier one nobody counted goes on with what was sent since."""
        if year < self.year and year not in self._used:
            self._used[year] = self.used
        self.year, self._claimed = year, None
        newest = sorted(self._used)[-4:]  # the last few: a clock can show any year
        self._used = {one: self._used[one] for one in newest} | {year: self._used.get(year, 0)}
