"""Children that end with the process that started them, however that ends; what one has used."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHOLE_PROCESS: Final = 2
"""CPUCLOCK_SCHED of linux/posix-timers.h: what its threads ran, to the nanosecond."""
_UNLESS_ORPHANED: Final = '[ "$PPID" -eq "$0" ] || exit 1; exec "$@"'
"""The parent may die before the kernel is asked: then nothing is to be started."""


def tied(
    command: Sequence[str],
    signal: Literal["TERM", "KILL"] = "TERM",
    user: tuple[int, int] | None = None,
) -> list[str]:
    """Return a command that the kernel ends when the *thread* that starts it does (prctl(2)).

    setpriv(1) asks the kernel, and becomes the command: the process id is the command's own, and
    nothing of ours runs between fork and exec. It is of util-linux, which every Debian has.

    Args:
        command: the program and its arguments.
        signal: what it is ended by.
        user: user and group id to run it as; a program that changed its user itself would lose
            the tie. None: our own.

    """
    change = [] if user is None else [f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"]
    ask = ["setpriv", *change, f"--pdeathsig={signal}", "--"]
    return [*ask, "sh", "-c", _UNLESS_ORPHANED, str(os.getpid()), *command]


def cpu_s(pid: int) -> float:
    """Return a process's CPU time in seconds (clock_getcpuclockid(3)).

    Raises:
        OSError: there is none of this number.

    """
    return time.clock_gettime(~pid << 3 | _WHOLE_PROCESS)
