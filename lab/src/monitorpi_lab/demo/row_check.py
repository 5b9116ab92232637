"""Holds the rows that reached the cloud against the windows that the broker carried. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitorpi_common.messages import Traffic

FIELDS: Final = (
    ("broadcast",),
    ("dhcp",),
    ("dns",),
    ("arp",),
    ("icmp",),
    ("igmp",),
    ("syn",),
    ("http", "https"),
)
"""The classes of ``field1`` to ``field8``. Written down here once more, not taken from the bridge:
what checks must not share what it checks."""

Row = tuple[int, ...]
"""The eight values of one row."""


class RowCheck:
    """Adds up the windows of one interface, and compares rows with the sums."""

    def __init__(self, interval_s: int) -> None:
        self._interval_s = interval_s
        self._by_row: dict[int, Counter[str]] = {}
        self._totals: list[tuple[float, Counter[str]]] = []
        self._epoch = ""
        self._before: Counter[str] = Counter()

    def add(self, window: Traffic) -> None:
        """Count a window; windows come in order of time."""
        end_s = window.end.timestamp()
        if not self._totals:
            before = Counter(window.totals)
            before.subtract(window.counts)
            self._totals.append((window.start.timestamp(), before))
        row = math.ceil(end_s / self._interval_s) * self._interval_s
        self._by_row.setdefault(row, Counter()).update(window.counts)
        if self._epoch and window.epoch != self._epoch:
            self._before = self._totals[-1][1]
        self._epoch = window.epoch
        self._totals.append((end_s, self._before + Counter(window.totals)))

    def differences(self, stored: Mapping[int, Row], *, undisturbed: bool) -> list[str]:
        """Return what is wrong with the rows at the cloud, a sentence each.

        The first row is not looked at: the bridge may have come into the middle of its interval.
        Nor is one that began before the first window received.

        Args:
            stored: the rows by their second.
            undisturbed: nothing was killed: each row must be the sum of its own windows. Else a
                window may come late and count for the next row, so only the sum of all must agree
                with that of windows in a row without a gap.

        """
        seconds = sorted(stored)
        if not seconds:
            return ["no row has reached the cloud"]
        if len(seconds) < 2:  # noqa: PLR2004 - the first, and one to look at
            return []
        if not undisturbed:
            return self._sum_differs(stored, seconds)
        seconds = [s for s in seconds[1:] if s - self._interval_s >= self._first_start_s]
        expected = {second: self._row(self._by_row.get(second, Counter())) for second in seconds}
        return [
            f"the row of second {second} says {stored[second]}, the windows add up to "
            f"{expected[second]}"
            for second in seconds
            if stored[second] != expected[second]
        ]

    def _sum_differs(self, stored: Mapping[int, Row], seconds: list[int]) -> list[str]:
        """Hold the rows after the first one whose base was received against the windows between.

        The newest windows of a row may have come too late for it: those of the first one then
        stand in the rows looked at, those of the last one in none yet.
        """
        seconds = [second for second in seconds if second >= self._first_start_s]
        if len(seconds) < 2:  # noqa: PLR2004 - the base, and one to look at
            return []
        found = tuple(sum(column) for column in zip(*(stored[s] for s in seconds[1:]), strict=True))
        starts, ends = self._until(seconds[0]), self._until(seconds[-1])
        for start in starts:
            for end in ends:
                if found == _minus(end, start):
                    return []
        expected = _minus(ends[-1], starts[-1])
        return [f"the rows add up to {found}, the windows to {expected}"]

    @property
    def _first_start_s(self) -> float:
        """Where the first window received began."""
        return self._totals[0][0] if self._totals else math.inf

    def _until(self, second: int) -> list[Row]:
        """Return the totals of all epochs at each end of a window of the row of a second.

        Oldest first; the end of the row before it is among them.
        """
        newest = max(i for i, (end_s, _) in enumerate(self._totals) if end_s <= second)
        oldest = newest
        while oldest and self._totals[oldest][0] > second - self._interval_s:
            oldest -= 1
        return [self._row(totals) for _, totals in self._totals[oldest : newest + 1]]

    @staticmethod
    def _row(counts: Mapping[str, int]) -> Row:
        return tuple(sum(counts.get(name, 0) for name in classes) for classes in FIELDS)


def _minus(row: Row, other: Row) -> Row:
    return tuple(a - b for a, b in zip(row, other, strict=True))
