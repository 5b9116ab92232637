"""How often a story was reported late: a target that comes and goes is no news each time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_STORIES: Final = 8192
"""As many as there are targets."""
NIGHT_S: Final = 43200.0
"""Alerts of one story are counted over so many seconds watched."""
_MAX_OPENED: Final = 8


class Stories:
    """When alerts of each story opened, in seconds watched; bounded."""

    def __init__(self) -> None:
        self._opened: Bounded[list[float]] = Bounded(MAX_STORIES)
        self.held_back_total = 0
        """Alerts that did not open because enough was reported that night."""

    def of(self, story: str, now_s: float) -> list[float]:
        """Return when the story was reported within the last twelve hours."""
        return [at_s for at_s in self._opened.get(story) or () if 0 <= now_s - at_s < NIGHT_S]

    def is_full(self, story: str, a_night: int, now_s: float) -> bool:
        """Return whether a story was reported as often as it may be; counts what is held back."""
        full = len(self.of(story, now_s)) >= a_night
        self.held_back_total += full
        return full

    def count(self, story: str, now_s: float) -> None:
        """Count an alert."""
        self._opened.put(story, [*self.of(story, now_s), now_s][-_MAX_OPENED:], now_s)

    def saved(self, now_s: float) -> dict[str, list[float]]:
        """Return what is worth keeping."""
        return {
            story: [round(at_s, 1) for at_s in reported]
            for story, _ in self._opened.items()
            if (reported := self.of(story, now_s))
        }

    def restore(self, saved: Mapping[str, list[float]]) -> None:
        """Take back what was kept."""
        for story, reported in saved.items():
            self._opened.put(story, reported[-_MAX_OPENED:], 0.0)
