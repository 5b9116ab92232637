"""Lets processes of one name that start at the same moment begin one after the other. I/O.

A broker cannot tell two that ask for a free name at once who was first, and would throw each off
for the other. Replicas on one machine share their state folder: whoever holds a lock there is
ahead. It is held for a process's life and ends with it, however it ends. Somebody who holds it and
says nothing to the broker, such as one that hangs, is waited for no longer than a start takes.
"""

from __future__ import annotations

import fcntl
import time
from typing import IO, TYPE_CHECKING, Final

from monitorpi_common.plainfile import open_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOKS: Final = 10
"""How often whoever has not got it looks a second long: a service is online within ten seconds
(contract)."""
_LOOK_S: Final = 1.0
_PAUSE_S: Final = 0.05


class Claim:
    """The lock of one name in one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        """Name it; ``name`` is one of those that stand in topics."""
        self._file = folder / f"{name}.lock"
        self._stream: IO[bytes] | None = None

    def take(self) -> bool:
        """Take the lock; False: it is another's.

        Where no file can be made nobody can be ahead: that it cannot be written is said elsewhere.
        """
        try:
            if self._stream is None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._stream = open_lock(self._file)
        except OSError:
            return True
        try:
            fcntl.lockf(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def look(self, is_stopped: Callable[[], bool]) -> None:
        """Wait a second for whoever has it."""
        end_s = time.monotonic() + _LOOK_S
        while not (self.take() or is_stopped()) and time.monotonic() < end_s:
            time.sleep(_PAUSE_S)
