"""How well one target answered of late. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROUNDS: Final = 8
"""Rounds that are remembered: of so many an alert on a single target wants six bad ones."""
LIKELY: Final = 4
"""Bad ones of them that make a target one of several with the same trouble."""
_UNKNOWN: Final = (1 << ROUNDS) - 1


@dataclass(slots=True)
class TargetLine:
    """The last rounds of one target."""

    bits: int = _UNKNOWN
    """One for each round, the last one lowest; 1: bad, or not known."""
    was_well: bool = False
    turned_at: float | None = None
    """When it had become bad after it had been well for all of them."""
    is_silent: bool = False

    @property
    def bad(self) -> int:
        """Bad ones among the last rounds."""
        return 0 if self.is_silent else self.bits.bit_count()

    def take(self, counts: int | None, at: float) -> None:
        """Take a round, and as how many bad ones it counts; None: it says nothing of the line."""
        self.is_silent = counts is None
        if counts is None:
            return
        self.bits = (self.bits << 1 | (1 << counts) - 1) & _UNKNOWN
        if not self.bits:
            self.was_well, self.turned_at = True, None
        elif self.was_well and self.bad >= LIKELY:
            self.was_well, self.turned_at = False, at
