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
    """Compares each reading of both clocks with the one before it."""

    _offset_s: float | None = None

    def take(self, tick: Tick) -> float:
        """Return by how many seconds the clock was set ahead since the last tick; 0: it was not."""
        return self.compare(tick.at.timestamp(), tick.boot_s)

    def compare(self, wall_s: float, boot_s: float) -> float:
        """Return by how many seconds the clock was set ahead since the last reading; 0: it was not.

        Args:
            wall_s: the wall clock, seconds since 1970.
            boot_s: the boot-time clock, at the same moment.

        """
        before_s, self._offset_s = self._offset_s, wall_s - boot_s
        step_s = 0.0 if before_s is None else self._offset_s - before_s
        return step_s if abs(step_s) > STEP_S else 0.0

    @property
    def offset_s(self) -> float | None:
        """The wall clock minus the boot-time clock, as last read; None: never yet."""
        return self._offset_s
