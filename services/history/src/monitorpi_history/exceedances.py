"""When a count was at a level, as far as what is kept can tell. Pure.

Theory of operation. What is kept of a count is how many there were in each ten seconds
(:data:`~monitorpi_history.items.SLOT_S`), and of a longer step the most of any ten seconds in it.
Rules judge seconds. Two things are certain all the same:

- where ten seconds had fewer than the level, no second of them had more;
- where they had ten times the level or more, some second had the level at least (the mean is never
  more than the most).

Between the two a burst may have been or not: an exceedance is `lasting` where it was, and else only
possible. With several interfaces the first is said of their sum, the second of the busiest alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitorpi_history.items import SLOT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OPEN: Final = 8192
"""Subjects that are followed at the same time: as many as an hour holds."""


@dataclass(frozen=True, slots=True)
class Exceedance:
    """A stretch in which each step had, or may have had, a second at the level."""

    subject: str
    start_s: int
    end_s: int
    step_s: int
    """Fineness of both ends: the longest step in it."""
    most: int
    """The most in ten seconds, of all interfaces."""
    lasting: bool
    """Some second is certain to have been at the level."""


class Exceedances:
    """Joins steps at a level to stretches, subject by subject."""

    def __init__(self, level: float, quiet_s: float) -> None:
        """Begin.

        Args:
            level: per second.
            quiet_s: what lies no further apart is one stretch, as it is one alert.

        """
        self.level = level
        self._quiet_s = quiet_s
        self._open: dict[str, Exceedance] = {}

    def reaches(self, most: int) -> bool:
        """Return whether a second may have been at the level where ten had so many."""
        return most > 0 and most >= self.level

    def step(
        self, subject: str, start_s: int, step_s: int, most: int, single: int
    ) -> Iterator[Exceedance]:
        """Take a step, a subject's in order of time; yields a stretch that has ended before it.

        Args:
            subject: whose.
            start_s: its beginning, seconds since 1970.
            step_s: its length, seconds.
            most: the most in ten seconds of it, of all interfaces.
            single: the same of the busiest interface.

        """
        if not self.reaches(most):
            return
        new = Exceedance(
            subject, start_s, start_s + step_s, step_s, most, single >= self.level * SLOT_S
        )
        before = self._open.pop(subject, None)
        if before is not None and start_s - before.end_s <= self._quiet_s:
            new = replace(
                new, start_s=before.start_s, step_s=max(before.step_s, step_s),
                most=max(before.most, most), lasting=before.lasting or new.lasting,
            )  # fmt: skip
            before = None
        elif before is None and len(self._open) >= MAX_OPEN:
            before = self._open.pop(next(iter(self._open)))  # the one that began to wait first
        self._open[subject] = new
        if before is not None:
            yield before

    def ended(self, now_s: float) -> Iterator[Exceedance]:
        """Yield what nothing that begins at a time or later can be a part of."""
        for one in list(self._open.values()):
            if now_s - one.end_s > self._quiet_s:
                del self._open[one.subject]
                yield one

    def rest(self) -> Iterator[Exceedance]:
        """Yield what is left at the end."""
        yield from self._open.values()
        self._open.clear()
