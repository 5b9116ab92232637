"""How much of something is allowed in a time: a token bucket. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Allowance:
    """So many a second, and so many at once after a pause."""

    per_s: float
    at_once: float
    _left: float = field(init=False)
    _at_s: float | None = None

    def __post_init__(self) -> None:
        self._left = self.at_once

    def has(self, now_s: float) -> bool:
        """Return whether there is one left; ``now_s`` are seconds of a clock that never steps."""
        if self._at_s is not None:
            self._left = min(self.at_once, self._left + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        return self._left >= 1

    def take(self, now_s: float) -> bool:
        """Take one, if there is one left."""
        if not self.has(now_s):
            return False
        self._left -= 1
        return True
