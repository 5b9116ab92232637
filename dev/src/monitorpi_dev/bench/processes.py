"""What another process has used so far (proc(5))."""

from __future__ import annotations

from pathlib import Path


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
