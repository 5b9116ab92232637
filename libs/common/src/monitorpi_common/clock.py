"""The clocks: wall time for stamps, boot time for pace, and whether the wall clock can be trusted.

A Raspberry Pi has no battery behind its clock: after a power cut it starts with an old time and
jumps when the network is back. So windows are paced by the boot-time clock, which never steps,
and every stream message says whether the wall clock was synchronised.
"""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES: Final = 256  # struct timex is 208 bytes on 64-bit Linux
_TIMESYNCD: Final = Path("/run/systemd/timesync/synchronized")


def wall() -> datetime:
    """Return the wall clock, UTC."""
    return datetime.now(UTC)


def boot_s() -> float:
    """Return seconds since boot, suspension included; never steps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def synchronised() -> bool:
    """Return whether the kernel or systemd-timesyncd calls the wall clock synchronised."""
    try:
        libc = ctypes.CDLL(None)
        state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    return 0 <= state < _TIME_ERROR or _TIMESYNCD.exists()
