"""Lets processes of one name that start at the same moment begin one after the other. I/O.

A broker cannot tell two that ask for a free name at once who was first, and would throw each off
for the other. Replicas on one machine share their state folder: whoever holds a lock there asks,
and begins; until the broker says of it that it is there, nobody else does either. From then on the
broker's word holds, and the lock is for the next one. It ends with its process, however that ends.
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

    def release(self) -> None:
        """Leave it to others."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def look(self, is_stopped: Callable[[], bool]) -> None:
        """Wait a second for whoever has it."""
        end_s = time.monotonic() + _LOOK_S
        while not (self.take() or is_stopped()) and time.monotonic() < end_s:
            time.sleep(_PAUSE_S)


class Turn:
    """Whose turn it is to begin under a name. Of several, one holds it at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self._claim = Claim(folder, name)
        self._heir = Claim(folder, f"{name}-heir")
        """For when whoever has the first hangs: one goes ahead without it, not all."""
        self._looks = 0
        self._since_s = time.monotonic()
        self.is_ours = False

    def take(self) -> bool:
        """Take it; False: it is another's."""
        self.is_ours = self._claim.take() or (self._is_late() and self._heir.take())
        return self.is_ours

    def _is_late(self) -> bool:
        """Return whether the one whose turn it is was waited for as long as a start takes."""
        waited_s = time.monotonic() - self._since_s
        return self._looks >= LOOKS or (self._looks > 0 and waited_s > LOOKS)

    def pass_on(self) -> None:
        """Leave it to others: somebody is there, be it ourselves."""
        self._claim.release()
        self._heir.release()
        self.is_ours, self._looks, self._since_s = False, 0, time.monotonic()

    def look(self, is_stopped: Callable[[], bool]) -> None:
        """Wait a second for whoever has it."""
        self._looks += 1
        self._claim.look(is_stopped)
