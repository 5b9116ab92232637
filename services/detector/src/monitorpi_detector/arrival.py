"""Times of messages that cannot be: replaced by when they came. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from monitorpi_common.messages import Probe, Traffic

FAR_OFF: Final = timedelta(hours=1)
"""A window or round is delivered within minutes or not at all: one whose time is so far from its
arrival is of a clock that was never set, or forged."""


@dataclass(slots=True)
class ArrivalTime:
    """The wall clock as ticks tell it, and what is to be reckoned with by it."""

    at: datetime | None = None
    """None in a pipe: there messages alone carry time."""

    def window(self, traffic: Traffic) -> Traffic:
        """Return a window that ended about when it came."""
        if self.at is None or abs(traffic.end - self.at) <= FAR_OFF:
            return traffic
        start = self.at - timedelta(seconds=traffic.window_s)
        return traffic.model_copy(update={"start": start, "end": self.at})

    def round(self, probe: Probe) -> Probe:
        """Return a round that ended about when it came, and lasted as long as it can have."""
        ends = (probe.round_start, probe.round_end)
        if self.at is None or all(abs(one - self.at) <= FAR_OFF for one in ends):
            return probe
        lasted = min(max(ends[1] - ends[0], timedelta()), FAR_OFF)
        return probe.model_copy(update={"round_start": self.at - lasted, "round_end": self.at})
