"""What has been over its limit for so long that it is usual. Pure.

Theory of operation. Each alert of a rule that allows it gathers the time it is open and the values
it saw, both fading over a day. When that time reaches the rule's ``usual_after_s``, nine tenths of
those values become the *level* of this subject: the alert closes as ``usual``, and only half as
much again opens it anew. Values beyond that begin a new count: a ramp is reported at each step and
can lift no limit faster than it is watched for, and rules of floods that must be found have no
such level at all. A level that was not reached for a week is forgotten.

Times are seconds watched, see :mod:`monitorpi_detector.baseline`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitorpi_detector.rule import Finding

MAX_HABITS: Final = 4096
FADES_S: Final = 86400.0
"""Time constant: an hour each night adds up to a habit, an hour last month does not."""
FORGET_S: Final = 7 * 86400.0
MARGIN: Final = 1.5
"""Times its level at which a subject is over its limit again."""
_QUANTILE: Final = 0.9
"""Share of the values seen that the level covers."""
_STEP: Final = 1.1
"""Values are counted in classes 10 % wide: the level is at most so much too high."""
_PAUSE_S: Final = 120.0
"""A gap between two values that is longer counts as one window or round."""


@dataclass(slots=True)
class Habit:
    """One subject of one rule."""

    level: float | None = None
    open_s: float = 0.0
    """Seconds over the limit, fading."""
    at_s: float = 0.0
    reached_s: float = 0.0
    """When the level, or the limit before there is one, was reached last."""
    seen: dict[int, float] = field(default_factory=dict)
    """Seconds by class of value, fading."""

    def add(self, value: float, span_s: float, now_s: float) -> None:
        """Count one window or round of an open alert."""
        gap_s = max(0.0, now_s - self.at_s)
        fade = math.exp(-gap_s / FADES_S)
        weight = gap_s if 0 < gap_s <= _PAUSE_S else min(span_s, _PAUSE_S)
        self.seen = {name: held * fade for name, held in self.seen.items() if held * fade > 1e-3}  # noqa: PLR2004 - a millisecond
        name = math.ceil(math.log(max(value, 1e-6), _STEP) - 1e-9)
        self.seen[name] = self.seen.get(name, 0.0) + weight
        self.open_s = self.open_s * fade + weight
        self.at_s = self.reached_s = now_s

    def learn(self) -> None:
        """Make what was seen the level, and begin to count anew."""
        wanted, held = _QUANTILE * sum(self.seen.values()), 0.0
        for name in sorted(self.seen):
            held += self.seen[name]
            if held >= wanted:
                self.level = max(self.level or 0.0, _STEP**name)
                break
        self.open_s, self.seen = 0.0, {}


class Habits:
    """The habits of all subjects, by the alert's key; bounded."""

    def __init__(self) -> None:
        self._habits: Bounded[Habit] = Bounded(MAX_HABITS)

    def __len__(self) -> int:
        return len(self._habits)

    def held_against(self, key: str, finding: Finding, now_s: float) -> Finding:
        """Return a finding with the limit that its subject's level gives it."""
        habit = self._habits.get(key)
        if habit is None or habit.level is None:
            return finding
        if now_s - habit.reached_s > FORGET_S:
            self._habits.remove(key)
            return finding
        if finding.value >= finding.threshold:
            habit.reached_s = now_s
        limit = MARGIN * habit.level
        if limit <= finding.threshold:
            return finding
        return replace(finding, threshold=limit, baseline=habit.level)

    def limit(self, key: str) -> float | None:
        """Return from what value on a key is over its limit again; None: nothing is usual."""
        level = self.level(key)
        return None if level is None else MARGIN * level

    def level(self, key: str) -> float | None:
        """Return the level of a key."""
        habit = self._habits.get(key)
        return None if habit is None else habit.level

    def add(
        self, key: str, value: float, span_s: float, now_s: float, usual_after_s: float
    ) -> float | None:
        """Count a window or round of an open alert; return the level if it has just become one."""
        habit = self._habits.get(key) or Habit(at_s=now_s)
        if not self._habits.put(key, habit, now_s):
            return None
        habit.add(value, span_s, now_s)
        if habit.open_s < usual_after_s:
            return None
        habit.learn()
        return habit.level

    def levels(self, most: int = 64) -> dict[str, float]:
        """Return what is usual by now, for the health message."""
        return {key: level for key, (level, _) in list(self.saved().items())[-most:]}

    def saved(self) -> dict[str, tuple[float, float]]:
        """Return the levels, and when each was reached last."""
        return {
            key: (round(habit.level, 4), round(habit.reached_s, 1))
            for key, habit in self._habits.items()
            if habit.level is not None
        }

    def restore(self, saved: Mapping[str, tuple[float, float]]) -> None:
        """Take back what was kept."""
        for key, (level, reached_s) in saved.items():
            self._habits.put(key, Habit(level, at_s=reached_s, reached_s=reached_s), 0.0)
