"""The interfaces whose windows come in: which window is new, what was lost, whose clock was set.

Pure. Windows do not say which instance of capture counted them, so instances are followed apart.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from monitorpi_common.messages import Onset, Traffic

MAX_INTERFACES: Final = 64
REPEATS: Final = 64
"""Windows that may be delivered twice: more than are under way at once."""
MAX_LOST: Final = 86_400
"""Windows of a day: a number that is farther off counts no lost ones, and hides none to come."""
_STEP_S: Final = 2.0
"""Windows that jump by more tell of a clock that was set."""
_NO_STEP: Final = timedelta(0)
_RUNNING: Final = timedelta(seconds=5)
"""A window of a second, and some that were late or lost."""


@dataclass(slots=True)
class WatchedInterface:
    """What is known of one watched interface."""

    epoch: str
    first_s: float
    """When the first window of this epoch ended."""
    seq: int
    end: datetime
    """End of its last window."""
    windows: int = 0
    lost: int = 0
    sees_replies: bool | None = None
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=REPEATS))
    """Numbers of its last windows."""


class NewWindow(NamedTuple):
    """A window that was not there before."""

    interface: WatchedInterface
    step: timedelta = _NO_STEP
    """By how much the sensor's clock was set just before."""


class WatchedInterfaces:
    """All watched interfaces, and the instances of capture that are online."""

    def __init__(self) -> None:
        self._known: dict[str, WatchedInterface] = {}
        self._instances: set[str] = set()

    def items(self) -> list[tuple[str, WatchedInterface]]:
        """Return all interfaces by name."""
        return list(self._known.items())

    def __getitem__(self, name: str) -> WatchedInterface:
        return self._known[name]

    def take(self, window: Traffic, now: datetime | None) -> NewWindow | None:
        """Take a window; None: it was there before, or there are too many interfaces.

        Args:
            window: counts of one interface.
            now: the latest time reached by any of them.

        """
        seen = self._known.get(window.interface)
        if seen is None:
            new = self._begin(window, now)
        elif seen.epoch != window.epoch:
            new = self._renew(seen, window)
        elif window.seq in seen.recent:
            return None  # quality of service 1 may repeat
        else:
            if 0 < window.seq - seen.seq <= MAX_LOST:
                seen.lost += window.seq - seen.seq - 1
            seen.seq = window.seq
            new = NewWindow(seen)
        if new is not None:
            new.interface.recent.append(window.seq)
            new.interface.windows += 1
            new.interface.end = window.end
            new.interface.sees_replies = window.sees_replies
        return new

    def running(self, onset: Onset) -> WatchedInterface | None:
        """Return the interface of a look at a running window; None: not of one we wait for.

        Such a window follows the last one: a look that is far from it is late, or of another clock.
        """
        seen = self._known.get(onset.interface)
        if seen is None or seen.epoch != onset.epoch:
            return None
        return seen if _NO_STEP < onset.end - seen.end <= _RUNNING else None

    def _begin(self, window: Traffic, now: datetime | None) -> NewWindow | None:
        if len(self._known) >= MAX_INTERFACES:
            return None
        step = _NO_STEP if now is None else min(window.end - now, _NO_STEP)
        step = self._step(step)
        begun = WatchedInterface(window.epoch, window.end.timestamp(), window.seq, window.end)
        self._known[window.interface] = begun
        return NewWindow(begun, step)

    def _renew(self, seen: WatchedInterface, window: Traffic) -> NewWindow:
        """Begin a new epoch: the sensor lives; its counters were reset, or its clock was set."""
        step = self._step(window.end - seen.end - timedelta(seconds=window.window_s))
        seen.epoch, seen.seq = window.epoch, window.seq
        seen.recent.clear()
        seen.first_s = window.end.timestamp()
        return NewWindow(seen, step)

    def _step(self, by: timedelta) -> timedelta:
        """Move along with a clock that was set; a small difference is none."""
        if abs(by.total_seconds()) <= _STEP_S:
            return _NO_STEP
        return self.move(by)

    def move(self, by: timedelta) -> timedelta:
        """Move along with a clock that was set, and return by how much."""
        for one in self._known.values():
            one.end += by
        return by

    def status(self, instance: str, *, online: bool) -> bool:
        """Note the status of an instance of capture; True: the last one went.

        While another one lives, the interfaces of the one that went are missed by their windows.
        """
        if online:
            if len(self._instances) < MAX_INTERFACES:
                self._instances.add(instance)
            return False
        self._instances.discard(instance)
        if self._instances:
            return False
        self._known.clear()
        return True
