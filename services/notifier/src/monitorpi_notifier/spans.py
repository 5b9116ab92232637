"""Times of day and single stretches of time, as people write them. Pure.

``22:00-07:00``, ``mon-fri 07:00-18:00``, ``sat,sun 00:00-24:00`` come again each week;
``2026-12-01 22:00 - 2026-12-02 02:00`` comes once. A span that ends before it begins goes on after
midnight and belongs to the day it begins on. Times are local.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = r"(\d{1,2}):(\d{2})"
_WEEKLY: Final = re.compile(rf"(?:(?P<days>[a-z,-]+)\s+)?{_TIME}\s*-\s*{_TIME}")
_STAMP: Final = r"\d{4}-\d{2}-\d{2}[ T]\d{1,2}:\d{2}"
_ONCE: Final = re.compile(rf"(?P<start>{_STAMP})\s*-\s*(?P<end>{_STAMP})")
_DAY_MINUTES: Final = 24 * 60
_WRITE: Final = (
    "write '22:00-07:00', 'mon-fri 07:00-18:00' or '2026-12-01 22:00 - 2026-12-02 02:00'"
)


@dataclass(frozen=True, slots=True)
class Weekly:
    """A span of local time that begins on some days of the week."""

    days: frozenset[int]
    """0 is Monday."""
    start_minute: int
    end_minute: int
    """Minutes after midnight of the day it begins on; more than a day's where it goes on."""

    def until(self, at: datetime) -> datetime | None:
        """Return when the span that covers a moment ends; None: it does not cover it."""
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        for back in (0, 1):
            day = midnight - timedelta(days=back)
            if day.weekday() not in self.days:
                continue
            start, end = (day + timedelta(minutes=m) for m in (self.start_minute, self.end_minute))
            if start <= at < end:
                return end
        return None


@dataclass(frozen=True, slots=True)
class Once:
    """One stretch of local time."""

    start: datetime
    end: datetime
    """Both without a zone: the notifier's own."""

    def until(self, at: datetime) -> datetime | None:
        """Return the end, if it covers a moment."""
        start, end = (one.replace(tzinfo=at.tzinfo) for one in (self.start, self.end))
        return end if start <= at < end else None


Span = Weekly | Once


def parse(text: str) -> Span:
    """Read a span.

    Raises:
        ValueError: it is none; the text says how to write one.

    """
    written = text.strip().lower()
    if (once := _ONCE.fullmatch(written)) is not None:
        start, end = (_stamp(once[name]) for name in ("start", "end"))
        if end <= start:
            raise ValueError("the end stands before the start")
        return Once(start, end)
    weekly = _WEEKLY.fullmatch(written)
    if weekly is None:
        raise ValueError(f"no span of time: {_WRITE}")
    hours = [int(part) for part in weekly.groups()[1:]]
    start_minute, end_minute = _minute(*hours[:2]), _minute(*hours[2:])
    if end_minute <= start_minute:
        end_minute += _DAY_MINUTES
    return Weekly(_days(weekly["days"]), start_minute, end_minute)


def covered_until(spans: Iterable[Span], at: datetime) -> datetime | None:
    """Return the latest end of the spans that cover a moment; None: none does."""
    ends = [end for span in spans if (end := span.until(at)) is not None]
    return max(ends, default=None)


def _stamp(text: str) -> datetime:
    return datetime.strptime(text.upper().replace("T", " "), "%Y-%m-%d %H:%M")  # noqa: DTZ007 - local


def _minute(hour: int, minute: int) -> int:
    found = 60 * hour + minute
    if minute > 59 or found > _DAY_MINUTES:  # noqa: PLR2004 - the minutes of an hour
        raise ValueError(f"no time of day: {_WRITE}")
    return found


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(len(DAYS)))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"no days of the week: write {', '.join(DAYS)}, or mon-fri")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found.update((start + step) % len(DAYS) for step in range((end - start) % len(DAYS) + 1))
    return frozenset(found)
