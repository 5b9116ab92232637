"""This moment on both clocks. I/O."""

from __future__ import annotations

import time

from monitorpi_capture.items import Instant


def now() -> Instant:
    """Return this moment by the wall clock and by the boot-time clock."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))
