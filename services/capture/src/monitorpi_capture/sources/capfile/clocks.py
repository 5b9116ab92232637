"""The clocks of several interfaces in one capture, kept apart and laid on one time line. Pure.

Theory of operation. A capture of several interfaces holds the frames in the order in which they
came, nearly; each is stamped by its interface's own clock (the card's, or the host's). A frame that
comes :data:`BEHIND_S` behind the newest, of an interface whose own clock went on, shows that the
clocks differ: from then on that interface's times are moved onto the line. So the line never goes
back, and rates stay what they were. Between two moves of an interface lie :data:`PATIENCE_S` of its
own time, in which what is late counts at the newest time: a writer that hands over one interface
late, now and then, must not push the line ahead each time.

Two matters look alike at first. An interface whose own clock goes back was set, and everything
begins anew. An interface that is seen for the first time and far behind is either another clock, if
others go on beside it, or another capture that was put behind this one: the frames that follow tell
which, so whoever asks must wait (:meth:`TimeLine.place` says None).
"""

from __future__ import annotations

import math
from typing import Final

BEHIND_S: Final = 1.0
"""As much as threads of one capture program write out of order."""
PATIENCE_S: Final = 60.0


class Clock:
    """One interface's clock against the line."""

    __slots__ = ("last_s", "moved_at_s", "shift_s")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget what this clock showed: another capture begins."""
        self.last_s: float | None = None
        self.shift_s = 0.0
        self.moved_at_s = -math.inf


class TimeLine:
    """The common time of the interfaces of one section."""

    def __init__(self) -> None:
        self.clocks: list[Clock] = []
        self._latest_s = -math.inf

    def place(self, number: int, at_s: float) -> float | None:
        """Return when, on the line, a frame of an interface came.

        Args:
            number: of the interface, in ``clocks``.
            at_s: the frame's time by the interface's own clock.

        Returns:
            Seconds since 1970; None for a first frame that is far behind: it takes
            :meth:`align` or :meth:`begin_anew` before it has a place.

        """
        clock = self.clocks[number]
        placed_s = at_s + clock.shift_s
        last_s = clock.last_s
        if placed_s >= self._latest_s - BEHIND_S:
            clock.last_s = at_s
            self._latest_s = max(self._latest_s, placed_s)
            return placed_s
        if last_s is None:
            return None
        clock.last_s = at_s
        if at_s < last_s - BEHIND_S:
            self.begin_anew()
            return self.place(number, at_s)
        if at_s - clock.moved_at_s >= PATIENCE_S:
            self.align(number, at_s)
        return self._latest_s

    def align(self, number: int, at_s: float) -> None:
        """Move an interface so that this time of its clock is now."""
        clock = self.clocks[number]
        clock.shift_s = self._latest_s - at_s
        clock.moved_at_s = at_s

    def begin_anew(self) -> None:
        """Forget what was: times before mean nothing now."""
        for one in self.clocks:
            one.forget()
        self._latest_s = -math.inf

    @property
    def moved(self) -> dict[int, float]:
        """By how many seconds interfaces are moved now, by number."""
        return {at: one.shift_s for at, one in enumerate(self.clocks) if one.shift_s}
