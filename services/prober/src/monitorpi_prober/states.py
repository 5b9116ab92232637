"""The states of all targets: ours as they change, and others' as they stand on the bus. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.clocksteps import ClockSteps
from monitorpi_prober.reachability import Reachability, StateLimits

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitorpi_common.messages import Target
    from monitorpi_common.service import Tick

MAX_LATCHED: Final = 8192


@dataclass(slots=True)
class States:
    """States by the target's key."""

    limits: StateLimits
    ours: dict[str, Reachability] = field(default_factory=dict)
    latched: dict[str, Target] = field(default_factory=dict)
    """On the bus, of targets that are not ours, or not yet."""
    _steps: ClockSteps = field(default_factory=ClockSteps)
    _began: datetime | None = None
    """When this process began, by the clock as it is set now."""

    def tick(self, tick: Tick) -> None:
        """Take the time; where the clock was set, what it had stamped is dated by it as it is now.

        What an earlier process stamped stays, unless it lies ahead.
        """
        self._began = self._began or tick.at
        step = timedelta(seconds=self._steps.take(tick))
        if not step:
            return
        for one in self.ours.values():
            if one.since is not None and one.since >= self._began:
                one.since += step
            elif one.since is not None:
                one.since = min(one.since, tick.at)
        self._began += step

    def remember(self, key: str, target: Target, *, retained: bool) -> None:
        """Take up the state of a target as it stands on the bus: from before, or of a replica."""
        known = self.ours.get(key)
        if known is None:
            self.latched[key] = target
            if len(self.latched) > MAX_LATCHED:
                del self.latched[next(iter(self.latched))]
        elif retained and known.state == "unknown":
            self.ours[key] = Reachability.latched(target.state, target.since, self.limits)
        elif retained and known.state == target.state and known.since is not None:
            known.since = min(known.since, target.since)

    def adopt(self, key: str) -> Reachability:
        """Return the state of a target of ours, taken from the bus where it was known there."""
        known = self.ours.get(key)
        if known is None:
            old = self.latched.pop(key, None)
            known = (
                Reachability()
                if old is None
                else Reachability.latched(old.state, old.since, self.limits)
            )
            self.ours[key] = known
        return known

    def answers(self, key: str) -> bool:
        """Return whether a target is probed in rounds, as those that answer are."""
        known = self.ours.get(key)
        if known is not None:
            return known.answers
        old = self.latched.get(key)
        return old is not None and old.state == "up"

    def answering(self) -> dict[str, float]:
        """Return the targets that answer, ours and those of replicas, with the time since when."""
        latched = {key: (one.state, one.since) for key, one in self.latched.items()}
        ours = {key: (one.state, one.since) for key, one in self.ours.items()}
        return {
            key: since.timestamp()
            for key, (state, since) in {**latched, **ours}.items()
            if state in ("up", "flapping") and since is not None
        }

    def unclaimed(self, everybody: Collection[str]) -> list[str]:
        """Forget the states on the bus that are nobody's; returns their keys."""
        keys = [key for key in self.latched if key not in everybody]
        for key in keys:
            del self.latched[key]
        return keys
