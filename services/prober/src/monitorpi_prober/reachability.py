"""Whether a target is up, down or flapping: hysteresis over rounds. Pure.

Theory of operation. One round with a reply makes a target up, several in a row without one make it
down; a single lost round changes nothing. A target that goes up and down again and again is
``flapping`` until it has kept still for a while, so that it is one state and not a stream of them.
Two levels (four changes to begin, fewer than two to end) keep that state itself from flapping, as
Nagios does with its high and low thresholds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from monitorpi_common.messages import TargetState

FLAPPING_ENDS_BELOW: Final = 2
"""Changes left in the window at which a target no longer flaps."""


@dataclass(frozen=True, slots=True)
class StateLimits:
    """How patient the judgement is."""

    down_after: int = 3
    up_after: int = 1
    flap_changes: int = 4
    flap_rounds: int = 60


@dataclass(slots=True)
class Reachability:
    """The state of one target, round by round."""

    state: TargetState = "unknown"
    since: datetime | None = None
    _level: TargetState = "unknown"
    """Up or down, whether or not it flaps."""
    _silent: int = 0
    _answered: int = 0
    _round: int = 0
    _changes: deque[int] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def answers(self) -> bool:
        """It answered when it was asked last, or not long ago: it is worth a round."""
        return self._level == "up" or self._answered > 0

    @classmethod
    def latched(cls, state: TargetState, since: datetime, limits: StateLimits) -> Reachability:
        """Take up a state as it was before a restart: one that flapped has to prove itself."""
        one = cls(state, since, state if state != "flapping" else "unknown")
        if state == "flapping":
            one._changes.extend([0] * limits.flap_changes)
        return one

    def follow(self, *, answered: bool, at: datetime, limits: StateLimits) -> bool:
        """Take one round; True when the state changed."""
        self._round += 1
        self._answered = self._answered + 1 if answered else 0
        self._silent = 0 if answered else self._silent + 1
        level = self._level
        if answered and self._answered >= limits.up_after:
            level = "up"
        elif not answered and self._silent >= limits.down_after:
            level = "down"
        if self._level not in (level, "unknown"):
            self._changes.append(self._round)
        self._level = level
        return self._become(self._judged(limits), at)

    def _judged(self, limits: StateLimits) -> TargetState:
        while self._changes and self._changes[0] <= self._round - limits.flap_rounds:
            self._changes.popleft()
        if len(self._changes) >= limits.flap_changes:
            return "flapping"
        if self.state == "flapping" and len(self._changes) >= FLAPPING_ENDS_BELOW:
            return "flapping"
        return self._level

    def _become(self, state: TargetState, at: datetime) -> bool:
        changed = state != self.state
        if changed or self.since is None:
            self.state, self.since = state, at
        return changed
