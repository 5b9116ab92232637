"""What waits, as time passes: dated anew where the clock was set, dropped when it is old. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_common.clocksteps import ClockSteps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_common.service import Tick
    from monitorpi_notifier.items import ChangeStore, NoticeChange
    from monitorpi_notifier.planned import Plan

KEEP_S: Final = 7 * 86_400.0
"""What could not be delivered in a week is no news."""
EXPIRE_S: Final = 3600.0
ALIVE_EVERY_S: Final = 60.0
ALIVE: Final = "alive_at"
"""Under which name it is remembered when we were last there."""


@dataclass(slots=True)
class Upkeep:
    """Looks after what waits in the store; paces itself by the boot-time clock."""

    store: ChangeStore
    plan: Plan
    destinations: Iterable[str]
    _steps: ClockSteps = field(default_factory=ClockSteps)
    _at_s: float = 0.0
    _alive_s: float = -math.inf
    _expiry_s: float = -math.inf

    def tick(self, tick: Tick) -> float:
        """Let time pass; returns by how many seconds the clock was set ahead, 0: it was not."""
        step_s = self._steps.take(tick)
        is_first, self._at_s = not self._at_s, tick.at.timestamp()
        if is_first or step_s:
            self.store.amend(lambda change: self._redated(change, step_s))
        if tick.boot_s - self._alive_s >= ALIVE_EVERY_S:
            self._alive_s = tick.boot_s
            self.store.remember({ALIVE: self._at_s})
        if tick.boot_s >= self._expiry_s:
            self._expiry_s = tick.boot_s + EXPIRE_S
            # a clock that nobody has set knows no age
            self.store.expire(self.destinations, self._at_s - KEEP_S if tick.clock_synced else 0.0)
        return step_s

    def close(self) -> None:
        """Remember until when we were there."""
        if self._at_s:
            self.store.remember({ALIVE: self._at_s})

    def _redated(self, change: NoticeChange, step_s: float) -> NoticeChange:
        """Return a change as it would have been noted by the clock as it is set now.

        What is held waits for a time of day, whatever day the clock took it for.
        """
        due_s = change.due_s + step_s
        if change.held and change.destination in self.destinations:
            at = datetime.fromtimestamp(self._at_s, UTC)
            end_s = self.plan.quiet_until(change.destination, change.severity, at)
            due_s = self._at_s if end_s is None else end_s
        return replace(
            change, due_s=due_s, at_s=change.at_s + step_s, opened_s=change.opened_s + step_s
        )
