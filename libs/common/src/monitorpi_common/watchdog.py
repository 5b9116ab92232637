"""Ends a process that hangs as a bug of ours is ended: without a goodbye, for its supervisor.

Whoever hangs keeps what it holds: the lock on its outbox, for which another one stands by. The
timer is a thread of the interpreter's own, which needs nothing of Python's: it runs also where
whoever hangs lets no other thread run. It prints where each thread is.
"""

from __future__ import annotations

import faulthandler
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HANG_S = 90.0
"""Longer than a step of a loop takes: an SD card may hold up a write for half a minute."""
BEAT_S = 10.0


class Watchdog:
    """Wants to be told that the loop lives."""

    def __init__(self, is_stuck: Callable[[], bool]) -> None:
        """Watch from the first beat to the end of the process, which can hang, too.

        ``is_stuck`` says whether another thread hangs.
        """
        self._is_stuck = is_stuck
        self._next_s = -math.inf

    def beat(self, now_s: float) -> None:
        """Take it that the loop lives, by any one clock."""
        if now_s >= self._next_s and not self._is_stuck():
            self._next_s = now_s + BEAT_S
            faulthandler.dump_traceback_later(HANG_S, exit=True)


class Stint:
    """What a thread is at: entered when it begins a step of its work, left when it is through."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def __enter__(self) -> None:
        self._since_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since_s = None

    def lasts(self, seconds: float) -> bool:
        """Return whether the step has lasted so long already."""
        since_s = self._since_s
        return since_s is not None and time.monotonic() - since_s > seconds
