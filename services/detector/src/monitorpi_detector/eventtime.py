"""How far the windows and rounds have come, in their own time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

WATCHED_S: Final = 60.0
"""Time without a sign of life counts as watched up to so long: devices are announced once a
minute."""


@dataclass(slots=True)
class EventTime:
    """The latest end of a window or round, and the seconds watched so far.

    Seconds watched are the clock of everything learned: they stand still while the sensor, or this
    process, is away.
    """

    since: datetime | None = None
    """When this installation first saw anything."""
    watched_s: float = 0.0
    now: datetime | None = None

    def reach(self, at: datetime, window_s: float = 0.0) -> None:
        """Go on to the end of a window or round. Gaps in a file, or our own, teach nothing."""
        if self.now is not None:
            passed_s = max(0.0, (at - self.now).total_seconds())
            self.watched_s += min(passed_s, max(window_s, WATCHED_S))
        self.now = at if self.now is None else max(self.now, at)
        if self.since is None:
            self.since = at
