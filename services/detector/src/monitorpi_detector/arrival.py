"""Times of messages that cannot be: replaced by when they came. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.clocksteps import ClockSteps

if TYPE_CHECKING:
    from datetime import datetime

    from monitorpi_common.messages import Probe, Traffic
    from monitorpi_common.service import Tick

FAR_OFF: Final = timedelta(hours=1)
"""A window or round is delivered within minutes or not at all: one whose time is so far from its
arrival is of a clock that was never set, or forged."""


@dataclass(slots=True)
class ArrivalTime:
    """The wall clock as ticks tell it, and what is to be reckoned with by it."""

    at: datetime | None = None
    """None in a pipe: there messages alone carry time."""
    _steps: ClockSteps = field(default_factory=ClockSteps)
    _is_replaced: bool = False
    """A time was replaced since the last tick."""
    _moved: timedelta = timedelta()
    """By how much all was moved with the last tick: what comes now may be of before."""

    def tick(self, tick: Tick, latest: datetime | None) -> timedelta:
        """Take the time; returns by how much all that was taken so far must move.

        A window by a clock that was just set is dated by the one before it where it comes ahead of
        the tick that tells of it, and one of before by the new one where it comes behind; neither
        begins an epoch then, so time would stand still for as long as the clock went back.

        Args:
            tick: the present time.
            latest: the latest time that was taken.

        """
        step, is_replaced = timedelta(seconds=self._steps.take(tick)), self._is_replaced
        self.at, self._is_replaced, self._moved = tick.at, False, timedelta()
        if latest is None or not (is_replaced or abs(step) > FAR_OFF / 2):
            return timedelta()
        is_behind = abs(latest + step - tick.at) < abs(latest - tick.at)
        if is_behind:
            self._moved = step
        return self._moved

    def window(self, traffic: Traffic) -> Traffic:
        """Return a window that ended about when it came."""
        if self.at is None or self._is_of_now(traffic.end, self.at):
            return traffic
        self._is_replaced = True
        start = self.at - timedelta(seconds=traffic.window_s)
        return traffic.model_copy(update={"start": start, "end": self.at})

    def round(self, probe: Probe) -> Probe:
        """Return a round that ended about when it came, and lasted as long as it can have."""
        ends = (probe.round_start, probe.round_end)
        if self.at is None or all(self._is_of_now(one, self.at) for one in ends):
            return probe
        self._is_replaced = True
        lasted = min(max(ends[1] - ends[0], timedelta()), FAR_OFF)
        return probe.model_copy(update={"round_start": self.at - lasted, "round_end": self.at})

    def _is_of_now(self, time: datetime, now: datetime) -> bool:
        """Return whether a message with this time can be by the clock as it is set now."""
        off = abs(time - now)
        return off <= FAR_OFF and (not self._moved or off <= abs(time - now + self._moved))
