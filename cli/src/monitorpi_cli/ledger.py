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


class Ledger:
    """What the windows of one interface add up to."""

    def __init__(self, interval_s: int) -> None:
        self._interval_s = interval_s
        self._by_row: dict[int, Counter[str]] = {}
        self._totals: list[tuple[float, Counter[str]]] = []
        self._epoch = ""
        self._before: Counter[str] = Counter()

    def add(self, window: Traffic) -> None:
        """Count a window; windows come in order of time."""
        end_s = window.end.timestamp()
        row = math.ceil(end_s / self._interval_s) * self._interval_s
        self._by_row.setdefault(row, Counter()).update(window.counts)
        if window.epoch != self._epoch and self._totals:
            self._before = self._totals[-1][1]
        self._epoch = window.epoch
        self._totals.append((end_s, self._before + Counter(window.totals)))

    def differences(self, stored: Mapping[int, Row], *, undisturbed: bool) -> list[str]:
        """Return what is wrong with the rows at the cloud, a sentence each.

        The first row is not looked at: the bridge may have come into the middle of its interval.

        Args:
            stored: the rows by their second.
            undisturbed: nothing was killed: each row must be the sum of its own windows. Else a
                window may come late and count for the next row, so only the sum of all must agree.

        """
        seconds = sorted(stored)
        if len(seconds) < 2:  # noqa: PLR2004 - the first, and one to look at
            return []
        if not undisturbed:
            return self._sum_differs(stored, seconds)
        expected = {second: self._row(self._by_row.get(second, Counter())) for second in seconds}
        return [
            f"the row of second {second} says {stored[second]}, the windows add up to "
            f"{expected[second]}"
            for second in seconds[1:]
            if stored[second] != expected[second]
        ]

    def _sum_differs(self, stored: Mapping[int, Row], seconds: list[int]) -> list[str]:
        carried = self._row(self._until(seconds[-1])), self._row(self._until(seconds[0]))
        expected = tuple(end - start for end, start in zip(*carried, strict=True))
        found = tuple(sum(column) for column in zip(*(stored[s] for s in seconds[1:]), strict=True))
        if found == expected:
            return []
        return [f"the rows add up to {found}, the windows to {expected}"]

    def _until(self, second: int) -> Counter[str]:
        """Return the totals of all epochs at the last window that ended by a second."""
        return next((t for end_s, t in reversed(self._totals) if end_s <= second), Counter())

    @staticmethod
    def _row(counts: Mapping[str, int]) -> Row:
        return tuple(sum(counts.get(name, 0) for name in classes) for classes in FIELDS)
