"""What another process has used so far (proc(5), clock_getcpuclockid(3))."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_WHOLE_PROCESS: Final = 2
"""CPUCLOCK_SCHED of linux/posix-timers.h: what its threads ran, to the nanosecond."""


def cpu_s(pid: int) -> float:
    """Return a process's CPU time in seconds."""
    return time.clock_gettime(~pid << 3 | _WHOLE_PROCESS)


def peak_rss(pid: int | str) -> int:
    """Return a process's highest resident memory in bytes, 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    line = next((one for one in status.splitlines() if one.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def is_runnable(pid: int) -> bool:
    """Return whether a thread of a process runs or waits for a CPU: it has work, done or not."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = stat.read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()[0]
        except OSError:  # the thread has ended
            continue
        if state == "R":
            return True
    return False
