"""When findings become an alert: one strong window, m of n, or a sum over time.

Times are the windows' own. A window counts by when it ended, so that windows that were lost or
never sent (a file with pauses) are silence and not gaps that bring distant windows together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_detector.rule import Finding, Limits

CUSUM_DRIFT: Final = 0.5
"""Share of the threshold that is forgiven each second (the `a` of the CUSUM)."""
CUSUM_RAISES: Final = 3.0
"""Seconds' worth of threshold that raise: twelve seconds at three quarters of the threshold."""
LASTS_M: Final = 3
LASTS_N: Final = 4
"""Windows of so many that show that something lasts: a burst of announcements fills two."""
MAX_TRIGGERS: Final = 8192
_FORGET_S: Final = 60.0
_FEW: Final = 64
"""A handful costs nothing to keep."""
_SLACK: Final = 0.5
"""Windows are as long as they are, not exactly a second."""


@dataclass(slots=True)
class Trigger:
    """The recent windows of one subject on one interface."""

    over: list[float] = field(default_factory=list)
    cusum: float = 0.0
    at_s: float = 0.0

    @property
    def holds(self) -> bool:
        """A later window depends on this one."""
        return bool(self.over) or self.cusum > 0

    def take(self, finding: Finding, limits: Limits, now_s: float, span_s: float) -> bool:
        """Take one window's finding; True when it raises."""
        passed_s = max(span_s, now_s - self.at_s) if self.at_s else span_s
        self.at_s = now_s
        many = max(limits.raise_n, LASTS_N if finding.must_last else 0)
        self.over = [at for at in self.over if at > now_s - (many - _SLACK) * span_s]
        if finding.value >= finding.threshold:
            self.over.append(now_s)
        at_once = limits.raise_at_once * finding.threshold
        is_sure = finding.value - finding.late >= at_once
        if finding.cumulates:
            drift = CUSUM_DRIFT * finding.threshold
            # a burst that the next window may explain counts from the second one on
            value = finding.value if is_sure or finding.value < at_once else drift
            self.cusum = max(0.0, self.cusum + value * span_s - drift * passed_s)
        if finding.must_last:
            return len(self.over) >= max(limits.raise_m, LASTS_M)
        return (
            (finding.decisive and finding.value >= finding.threshold)
            or is_sure
            or len(self.over) >= limits.raise_m
            or (finding.cumulates and self.cusum >= CUSUM_RAISES * finding.threshold)
        )


Name = tuple[str, str | None]
"""An alert's key, and the interface its windows come from."""


class Triggers:
    """The triggers of all subjects that may raise; bounded."""

    def __init__(self) -> None:
        self._triggers: dict[Name, Trigger] = {}

    def __len__(self) -> int:
        return len(self._triggers)

    def take(
        self, name: Name, finding: Finding, limits: Limits, now_s: float, span_s: float
    ) -> bool:
        """Take one window's finding; True when it raises.

        What it leaves behind pushes out the longest untouched.
        """
        trigger = self._triggers.pop(name, None) or Trigger()
        raises = trigger.take(finding, limits, now_s, span_s)
        if trigger.holds:
            if len(self._triggers) >= MAX_TRIGGERS:
                del self._triggers[next(iter(self._triggers))]
            self._triggers[name] = trigger
        return raises

    def expire(self, now_s: float) -> None:
        """Forget subjects that have not been found for a minute."""
        if len(self._triggers) > _FEW:
            self._triggers = {
                name: trigger
                for name, trigger in self._triggers.items()
                if now_s - trigger.at_s < _FORGET_S
            }

    def forget(self, key: str) -> None:
        """Begin anew with an alert that has closed."""
        self._triggers = {name: one for name, one in self._triggers.items() if name[0] != key}

    def clear(self) -> None:
        """Forget all: nobody watches, or the clock was set."""
        self._triggers.clear()
