"""One cause: what made many targets answer badly at once. Pure.

Theory of operation. Of each target the last eight rounds are remembered: bad is one over a limit,
of loss, delay or jitter, that holds for that target, with what is usual for it. A target that was
well for eight rounds and is then bad in four of eight *turned*. Targets that turned within four
rounds of each other have one cause, as soon as one of them was bad in six: the uplink, if nothing
beyond the router is well and (nearly) everybody else is; else an access point, a switch or a full
link. Who turns a little later belongs to it. What was bad before, or always is, does not.

A cause lasts while as many targets are bad as it takes to be one. Nothing is judged of a target
that is silent or has just come back: that is an outage's matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from monitorpi_common.topics import slug
from monitorpi_detector.targets.cause import (
    GROUP,
    MAX_RESUMED,
    CommonCause,
    clusters,
    count_devices,
    is_beyond,
)
from monitorpi_detector.targets.line import LIKELY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_detector.targets.presence import Stay

Cause = Literal["uplink-degraded", "group-degraded"]

SURE: Final = 6
"""Bad rounds of eight that raise an alert on a single target: ``slow_target``."""
TOGETHER: Final = 4
"""Rounds within which targets of one cause are found to have turned: of a link that loses a third
of the packets each sixth round looks well."""
LATER: Final = 12
"""Rounds after the first one in which whoever turns belongs to the same cause."""
PAIR: Final = 2
"""Targets beyond the router that are enough to blame the uplink: one is that target's matter."""
_ALL: Final = 0.9


@dataclass(slots=True)
class Degradation(CommonCause):
    """One cause that makes several targets answer badly."""

    cause: Cause
    is_nearly_all: bool
    """Hardly anybody is well: this machine's own link, or the switch it is on."""
    bad: list[Stay] = field(default_factory=list)
    """The members that are bad now."""
    well: int = 0
    """Devices that are well."""


@dataclass(slots=True)
class Degradations:
    """How well the targets of each prober answer, and what they have in common."""

    _of: dict[str, list[Degradation]] = field(default_factory=dict)
    _resumed: dict[tuple[Cause, str], frozenset[str]] = field(default_factory=dict)
    """MACs and addresses of what the process before us told of, by cause and subject."""

    def resume(self, cause: Cause, subject: str, names: frozenset[str]) -> None:
        """Take up a cause that the process before us told of, until the rounds say otherwise."""
        if len(self._resumed) < MAX_RESUMED:
            self._resumed[cause, subject] = names

    def follow(
        self, prober: str, stays: Sequence[Stay], now: float, round_s: float
    ) -> tuple[Degradation, ...]:
        """Return what several of a prober's targets have in common after a round.

        Args:
            prober: whose targets.
            stays: all of them; their lines have taken the round.
            now: end of the round, event time.
            round_s: length of the round.

        """
        known = self._of.get(prober, [])
        if self._resumed:
            known += self._taken_up(stays, now)
        turned = [
            (stay.line.turned_at, stay)
            for stay in stays
            if stay.line.turned_at is not None and stay.line.bad >= LIKELY
        ]
        if not known and len(turned) < PAIR:
            return ()
        well = [stay for stay in stays if stay.silent_from is None and stay.line.bad < LIKELY]
        step_s = max(round_s, 10.0)
        free = [pair for pair in turned if not _joins(*pair, known, LATER * step_s)]
        for together in clusters(free, TOGETHER * step_s):
            known += self._judge(prober, together, well)
        for one in known:
            one.bad = [stay for stay in one.members.values() if stay.line.bad >= LIKELY]
            one.well = count_devices(well)
        self._of[prober] = known = [one for one in known if _lasts(one)]
        return tuple(known)

    def _taken_up(self, stays: Sequence[Stay], now: float) -> Iterator[Degradation]:
        """Return what is taken up from before a restart, now that its members are there."""
        for (cause, subject), names in list(self._resumed.items()):
            members = {one.address: one for one in stays if {one.mac, one.address} & names}
            if any(one.line.bad for one in members.values()):
                del self._resumed[cause, subject]
                yield Degradation(cause, subject, now, members, is_nearly_all=False)

    def forget(self, prober: str) -> None:
        """Drop what a prober that is gone found."""
        self._of.pop(prober, None)

    @staticmethod
    def _judge(
        prober: str, together: Sequence[tuple[float, Stay]], well: Sequence[Stay]
    ) -> list[Degradation]:
        """Return what these targets have in common; nothing: each is a matter of its own."""
        stays = [stay for _, stay in together]
        if max(stay.line.bad for stay in stays) < SURE:
            return []
        members = {stay.address: stay for stay in stays}
        many, others = count_devices(stays), count_devices(well)
        beyond = [stay for stay in stays if is_beyond(stay, (*well, *stays))]
        cause: Cause = "group-degraded"
        if len(beyond) >= PAIR and not any(is_beyond(stay, well) for stay in well):
            near = [stay for stay in stays if stay not in beyond]
            if count_devices(near) < GROUP:
                cause, members = "uplink-degraded", {stay.address: stay for stay in beyond}
        if cause == "group-degraded" and many < GROUP:
            return []
        subject = "internet" if cause == "uplink-degraded" else slug(min(members))
        began, nearly = together[0][0], many >= _ALL * (many + others)
        if nearly and cause == "group-degraded":
            subject = slug(prober)
        return [Degradation(cause, subject, began, members, nearly)]


def _lasts(one: Degradation) -> bool:
    least = PAIR if one.cause == "uplink-degraded" else GROUP
    return count_devices(one.bad) >= least


def _joins(at: float, stay: Stay, known: Sequence[Degradation], within_s: float) -> bool:
    """Return whether a target belongs to a cause that is known; who turned a little later joins."""
    for one in known:
        if stay.address in one.members:
            return True
        fits = one.cause != "uplink-degraded" or is_beyond(stay, tuple(one.members.values()))
        if fits and abs(at - one.began) <= within_s:
            one.members[stay.address] = stay
            return True
    return False
