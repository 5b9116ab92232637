"""Alerts that people keep shut for a while. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

MAX_SILENCES: Final = 256


class Silences:
    """Until when each key is silent; bounded: the one that ends first leaves."""

    def __init__(self) -> None:
        self.until: dict[str, datetime] = {}

    def holds(self, key: str, at: datetime) -> bool:
        """Return whether a key is silent at a time; one that has ended is forgotten."""
        until = self.until.get(key)
        if until is None:
            return False
        if at >= until:
            del self.until[key]
        return at < until

    def add(self, key: str, until: datetime) -> None:
        """Keep a key shut."""
        while len(self.until) >= MAX_SILENCES:
            del self.until[min(self.until, key=lambda one: self.until[one])]
        self.until[key] = until

    def restore(self, saved: Mapping[str, datetime]) -> None:
        """Take back what was kept."""
        self.until.update(saved)

    def step_clock(self, by: timedelta) -> None:
        """Move with a clock that was set."""
        self.until = {key: until + by for key, until in self.until.items()}
