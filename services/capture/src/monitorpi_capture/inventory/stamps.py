"""By which clock the inventory's times are stamped: where it is set, all move at one moment. Pure.

Ticks, windows and frames each bring the wall clock's time, and what was set between them is seen
by one of them first. If each took its own, a device would be absent for a second, or gone for good
where the clock went ahead by more than absent ones are kept. So times go on by the old clock until
a window that was closed by the new one moves them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.clocksteps import ClockSteps

if TYPE_CHECKING:
    from monitorpi_capture.items import Sighting

STALE_S: Final = 5.0
"""After so long without a window a tick's clock is followed."""
LATE_S: Final = 10.0
"""No frame waits so long: what is stamped further off was stamped by another clock."""


@dataclass(slots=True)
class Stamps:
    """The offset of the wall clock to the boot-time clock that is followed."""

    _steps: ClockSteps = field(default_factory=ClockSteps)
    _boot_s: float = 0.0

    def follow(self, wall_s: float, boot_s: float) -> float:
        """Follow a clock from now on; returns by how many seconds it was set ahead, 0: it was not.

        Readings may come late: one from before the last is not followed.
        """
        if self._steps.offset_s is not None and boot_s < self._boot_s:
            return 0.0
        self._boot_s = boot_s
        return self._steps.compare(wall_s, boot_s)

    def is_stale(self, boot_s: float) -> bool:
        """Return whether no reading was taken for long."""
        return self._steps.offset_s is None or boot_s - self._boot_s > STALE_S

    def at(self, boot_s: float) -> float:
        """Return the time by the clock that is followed, seconds since 1970."""
        return boot_s + (self._steps.offset_s or 0.0)


def stamped(sighting: Sighting, at_s: float) -> Sighting:
    """Return what a frame says, dated by the clock that is followed.

    Args:
        sighting: as it was read.
        at_s: what that clock shows about now.

    """
    return sighting if abs(sighting.at_s - at_s) <= LATE_S else sighting._replace(at_s=at_s)
