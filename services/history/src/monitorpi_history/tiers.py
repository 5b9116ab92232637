"""How fine what is kept is, for how long, and which leaves first. Pure.

Theory of operation. What is written grows in three tiers: slots of 10 s, of a minute, of an hour.
They share one budget of bytes and no time is promised: how much a site has to say decides. Each
tier has a *goal*, and the tier that reaches furthest beyond its own goal loses its oldest first, so
that all reach equally far in proportion: a site with a tenth of the traffic keeps each tier ten
times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from monitorpi_history.items import DAY_S, HOUR_S, SLOT_S

if TYPE_CHECKING:
    from collections.abc import Iterable

TierName = Literal["snapshot", "minute", "hour"]


@dataclass(frozen=True, slots=True)
class Tier:
    """One fineness."""

    name: TierName
    """Of its table."""
    slot_s: int
    block_s: int
    """What is written, read and deleted as one."""
    goal_s: int

    @property
    def length(self) -> int:
        """Slots in a block."""
        return self.block_s // self.slot_s


SNAPSHOT: Final = Tier("snapshot", SLOT_S, HOUR_S, DAY_S)
MINUTE: Final = Tier("minute", 60, HOUR_S, 30 * DAY_S)
HOUR: Final = Tier("hour", HOUR_S, DAY_S, 2 * 365 * DAY_S)
TIERS: Final = (SNAPSHOT, MINUTE, HOUR)

STEPS: Final = (10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
"""Seconds a point may stand for, so that hours and days are whole numbers of them."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one tier holds."""

    tier: Tier
    oldest_s: int | None
    """The beginning of its oldest block; None: it is empty."""

    def reach_s(self, now_s: float) -> float:
        """Return how far back it reaches; what lies ahead of now reaches 0 s."""
        return 0.0 if self.oldest_s is None else max(now_s - self.oldest_s, 0.0)


def leaves_first(held: Iterable[Held], now_s: float) -> Held | None:
    """Return the tier that gives up its oldest block; None: nothing is old enough to go.

    The block that is still being written stays.
    """
    old = [one for one in held if one.reach_s(now_s) > one.tier.block_s + HOUR_S]
    return max(old, key=lambda one: one.reach_s(now_s) / one.tier.goal_s, default=None)


def step_for(span_s: float, points: int) -> int:
    """Return the least of :data:`STEPS` by which a span has at most so many points."""
    return next((step for step in STEPS if span_s / step <= points), STEPS[-1])


def tier_for(step_s: int) -> Tier:
    """Return the coarsest tier whose slots make up a step."""
    return max((tier for tier in TIERS if step_s % tier.slot_s == 0), key=lambda one: one.slot_s)
