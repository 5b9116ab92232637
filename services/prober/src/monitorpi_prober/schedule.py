"""Who is asked when: rounds cut into evenly spaced requests under one cap. Pure.

Theory of operation. Targets with the same interval share a lane. A lane's round asks every target
in turn, and then every target again, with the same gap between any two requests, so that they
never queue behind each other and a target's own requests lie as far apart as the round allows.
Where all lanes together would pass the cap, first the requests per target are reduced, and when one
each is still too many, the rounds get longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Aim:
    """One target as it is probed and shown."""

    key: str
    """Its id in topics."""
    name: str
    address: str
    """What is shown: an IP address, or the host name of the configuration."""
    ip: str | None = None
    """Where requests go; None: nowhere, ``error`` tells why."""
    mac: str | None = None
    vendor: str | None = None
    interval_s: float | None = None
    """Its own interval, where it has one."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """Targets that share a round."""

    interval_s: float
    probes: int
    aims: tuple[Aim, ...]
    wanted_s: float
    """The interval asked for; the lane's name while plans change."""

    @property
    def rate(self) -> float:
        """Echo requests per second."""
        return sum(aim.ip is not None for aim in self.aims) * self.probes / self.interval_s


@dataclass(frozen=True, slots=True)
class Plan:
    """What the pinger shall do until it is told otherwise."""

    lanes: tuple[Lane, ...] = ()
    timeout_s: float = 1.0
    limited: bool = False
    """The cap allows fewer requests than asked for."""

    @property
    def rate(self) -> float:
        """Echo requests per second to all targets together."""
        return sum(lane.rate for lane in self.lanes)

    @property
    def aims(self) -> tuple[Aim, ...]:
        """All targets."""
        return tuple(aim for lane in self.lanes for aim in lane.aims)


def make_plan(
    aims: Iterable[Aim], *, interval_s: float, probes: int, max_rate: float, timeout_s: float
) -> Plan:
    """Sort targets into lanes and fit them under ``max_rate`` (echo requests per second)."""
    groups: dict[float, list[Aim]] = {}
    for aim in aims:
        groups.setdefault(aim.interval_s or interval_s, []).append(aim)
    once = sum(sum(a.ip is not None for a in group) / every for every, group in groups.items())
    fitting = probes if once == 0 else min(probes, max(1, int(max_rate / once + 1e-9)))
    stretch = max(1.0, once * fitting / max_rate)
    lanes = tuple(
        Lane(every * stretch, fitting, tuple(group), every)
        for every, group in sorted(groups.items())
    )
    return Plan(lanes, timeout_s, limited=fitting < probes or stretch > 1)


@dataclass(slots=True)
class Pace:
    """Moments at equal distances; what was missed is not made up for in one burst."""

    next_at: float
    gap_s: float
    allowed_lag_s: float = 0.02
    """Behind by more than this, the rest is moved instead of sent at once: a garbage collection
    or another process may take a core for that long."""

    def take(self, now: float) -> None:
        """Use the moment that is due."""
        self.next_at += self.gap_s
        if now - self.next_at > self.allowed_lag_s:
            self.next_at = now + self.gap_s
