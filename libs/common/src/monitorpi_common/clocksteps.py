"""Notices that the wall clock was set, by comparison with the boot-time clock. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_common.service import Tick

STEP_S: Final = 0.5
"""The wall clock was set when it moved so much against the boot-time clock (the contract's)."""


@dataclass(slots=True)
class ClockSteps:
    """Compares each tick with the one before it."""

    _offset_s: float | None = None

    def take(self, tick: Tick) -> float:
        """Return by how many seconds the clock was set ahead since the last tick; 0: it was not."""
        before_s, self._offset_s = self._offset_s, tick.at.timestamp() - tick.boot_s
        step_s = 0.0 if before_s is None else self._offset_s - before_s
        return step_s if abs(step_s) > STEP_S else 0.0
