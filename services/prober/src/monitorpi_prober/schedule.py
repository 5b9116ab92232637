"""Who is asked when: rounds of evenly spaced requests under one limit, and the quiet ones. Pure.

Theory of operation. Targets with the same interval share a group. A group's round asks every target
in turn, and then every target again, with the same gap between any two requests, so that they
never queue behind each other and a target's own requests lie as far apart as the round allows.
Where all groups together would pass the limit, first the requests per target are reduced, and when
one each is still too many, the rounds get longer.

Targets that do not answer are in no round: they are *quiet*, and asked seldom (:mod:`.quiet`), so
that a thousand of them take nothing from those that do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

QUIET_PER_S: Final = 10.0
"""Requests to all quiet targets together, at most."""
LEAST_QUIET_PER_S: Final = 1.0
"""What is left for them where the rounds use up ``max_rate``."""

TOGETHER: Final = 8
"""Requests of all rounds that leave together at most, below 500 per second: 784 bytes on the wire,
half of one full frame. A server begins each connection with ten of those (RFC 6928)."""
LEAST_STEP_S: Final = 0.016
MOST_STEP_S: Final = 0.064
"""Between two moments of sending: an awakening costs more than all its requests."""

_LAG_S: Final = 0.02

EXTRA_S: Final = 2.0
"""Length of the round that a command asks for: at most 10 requests, 5 per second."""
EXTRA_PROBES: Final = 10
EXTRA_WANTED_S: Final = 0.0
"""No round's interval: an extra round reports nobody else."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
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
    cause: str | None = None
    """The error as programs know it."""
    origin: str | None = None
    """Why it is probed, as in the contract."""


@dataclass(frozen=True, slots=True)
class ProbeGroup:
    """Targets that share a round."""

    interval_s: float
    probes: int
    targets: tuple[ProbeTarget, ...]
    wanted_s: float
    """The interval asked for; the group's name while plans change."""

    @property
    def rate(self) -> float:
        """Echo requests per second."""
        return sum(one.ip is not None for one in self.targets) * self.probes / self.interval_s


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What the pinger goes by until it gets another one."""

    groups: tuple[ProbeGroup, ...] = ()
    timeout_s: float = 1.0
    limited: bool = False
    """The limit allows fewer requests than asked for."""
    quiet: tuple[ProbeTarget, ...] = ()
    """Targets that do not answer, or have not been asked yet."""
    quiet_per_s: float = QUIET_PER_S
    """Requests to them per second, at most."""
    arp_per_s: float = 20.0
    """ARP requests per second that the kernel may be made to send, at most."""

    @property
    def rate(self) -> float:
        """Echo requests per second of all rounds together."""
        return sum(group.rate for group in self.groups)

    @property
    def targets(self) -> tuple[ProbeTarget, ...]:
        """All targets."""
        return (*(one for group in self.groups for one in group.targets), *self.quiet)

    def first_pause_s(self, target: ProbeTarget) -> float:
        """Return the time between the first requests to a quiet target: the interval it is owed."""
        if target.interval_s is not None:
            return target.interval_s
        return max((group.wanted_s for group in self.groups), default=1.0)


def make_plan(
    targets: Iterable[ProbeTarget],
    *,
    interval_s: float,
    probes: int,
    max_rate: float,
    timeout_s: float,
    quiet: Iterable[ProbeTarget] = (),
    arp_per_s: float = 20.0,
) -> ProbePlan:
    """Sort targets into groups and fit them under ``max_rate`` (echo requests per second).

    ``quiet`` targets are in no round and do not count; each interval of theirs has a round all the
    same, in which they are reported.
    """
    grouped: dict[float, list[ProbeTarget]] = {}
    quiet = tuple(quiet)
    for one in targets:
        grouped.setdefault(one.interval_s or interval_s, []).append(one)
    for one in quiet:
        grouped.setdefault(one.interval_s or interval_s, [])
    once = sum(sum(t.ip is not None for t in group) / every for every, group in grouped.items())
    fitting = probes if once == 0 else min(probes, max(1, int(max_rate / once + 1e-9)))
    stretch = max(1.0, once * fitting / max_rate)
    groups = tuple(
        ProbeGroup(every * stretch, fitting, tuple(group), every)
        for every, group in sorted(grouped.items())
    )
    left = max_rate - sum(group.rate for group in groups)
    return ProbePlan(
        groups,
        timeout_s,
        limited=fitting < probes or stretch > 1,
        quiet=quiet,
        quiet_per_s=min(max(left, LEAST_QUIET_PER_S), QUIET_PER_S),
        arp_per_s=arp_per_s,
    )


def extra_group(target: ProbeTarget, probes: int) -> ProbeGroup:
    """Return the round of one target that a command asks for."""
    return ProbeGroup(EXTRA_S, min(probes, EXTRA_PROBES), (target,), EXTRA_WANTED_S)


def step_of(rate: float, period_s: float) -> float:
    """Return the time between two moments at which all that is due leaves together.

    Args:
        rate: requests per second of all rounds.
        period_s: the least time between two requests to one target: no two of them leave together.

    """
    fitting = TOGETHER / rate if rate > 0 else LEAST_STEP_S
    return min(max(fitting, LEAST_STEP_S), MOST_STEP_S, period_s)


@dataclass(slots=True)
class Pace:
    """Moments at equal distances; what was missed is not made up for in one burst."""

    next_at: float
    gap_s: float

    def take(self, now: float, step_s: float = 0.0) -> None:
        """Use the moment that is due, where sending waits for moments a step apart.

        Behind by more than that, and what a garbage collection or another process may take a core
        for, the rest is moved instead of sent at once.
        """
        self.next_at += self.gap_s
        if now - self.next_at > _LAG_S + step_s:
            self.next_at = now + self.gap_s
