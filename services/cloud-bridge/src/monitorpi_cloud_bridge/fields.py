"""From windows to rows: what one interval counted, by the original's eight fields.

Theory of operation. Time is cut into intervals that begin at multiples of their length (Unix
time). The row of second T covers the windows that ended in (T - interval, T]. Counts come from
``totals`` since ``epoch``, as the difference between the last window of this interval and the last
one before it, so a message that was lost on the way loses no count. Several interfaces are summed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitorpi_common.messages import Traffic

FIELDS: Final[tuple[tuple[str, ...], ...]] = (
    ("broadcast",),
    ("dhcp",),
    ("dns",),
    ("arp",),
    ("icmp",),
    ("igmp",),
    ("syn",),
    ("http", "https"),
)
"""Classes of field 1 to 8; the original counted ports 80 and 443 together."""
_CLASSES: Final = tuple(name for classes in FIELDS for name in classes)
_MAX_INTERFACES: Final = 64


@dataclass(frozen=True, slots=True)
class Mark:
    """The totals of one interface at one moment."""

    epoch: str
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the second it is of, and its field values in order."""

    second: int
    values: tuple[int, ...]


@dataclass(slots=True)
class RowBuilder:
    """Turns windows into rows. Windows of an interface come in order of time."""

    interval_s: int
    marks: dict[str, Mark] = field(default_factory=dict)
    """The totals up to which everything stands in rows, by interface."""
    closed: int = 0
    """The second of the newest row that was finished: a window that comes late counts for the next
    one, since a row is never changed."""
    _counts: dict[int, list[int]] = field(default_factory=dict)

    def add(self, window: Traffic) -> None:
        """Count one window into the row of its interval."""
        interface = window.interface
        if interface not in self.marks and len(self.marks) >= _MAX_INTERFACES:
            return
        mark = self.marks.get(interface)
        if mark is None:
            # the first window ever seen counts for itself only: what was before is not ours
            base = {
                name: window.totals.get(name, 0) - window.counts.get(name, 0) for name in _CLASSES
            }
        elif mark.epoch != window.epoch:
            base = dict.fromkeys(_CLASSES, 0)
        else:
            base = dict(mark.totals)
        now = {name: window.totals.get(name, 0) for name in _CLASSES}
        self.marks[interface] = Mark(window.epoch, now)
        second = max(self.second_of(window), self.closed + self.interval_s)
        counts = self._counts.setdefault(second, [0] * len(FIELDS))
        for index, classes in enumerate(FIELDS):
            counts[index] += sum(max(now[name] - base.get(name, 0), 0) for name in classes)

    def second_of(self, window: Traffic) -> int:
        """Return the second of the row a window belongs to: the end of its interval."""
        return math.ceil(window.end.timestamp() / self.interval_s) * self.interval_s

    def finished(self, now_s: float) -> list[Row]:
        """Return and forget the rows whose interval ended at or before a moment."""
        done = sorted(second for second in self._counts if second <= now_s)
        self.closed = max([self.closed, *done])
        return [Row(second, tuple(self._counts.pop(second))) for second in done]

    def pending(self) -> dict[int, list[int]]:
        """Return what was counted into intervals that have not ended, by their second."""
        return self._counts

    def restore(
        self, marks: Mapping[str, Mark], counts: Mapping[int, list[int]], closed: int
    ) -> None:
        """Go on where an earlier process stood."""
        self.marks = dict(marks)
        self.closed = closed
        self._counts = {second: list(values) for second, values in counts.items()}


def rows_of(windows: Iterable[Traffic], interval_s: int) -> dict[int, tuple[int, ...]]:
    """Return the rows that a run of windows makes, by second: what a checker computes anew."""
    builder = RowBuilder(interval_s)
    for window in windows:
        builder.add(window)
    return {row.second: row.values for row in builder.finished(math.inf)}
