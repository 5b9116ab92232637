"""One cause: what took many targets away at once. Pure.

Theory of operation. Targets that were expected and fell silent in the same round or the next have
one cause. If nothing answers any more, this machine is cut off; if only what is beyond the router
is gone, the uplink is; if a part of the LAN is, a switch, an access point or a fuse. The outage is
one alert that carries its members; a member is not reported by itself while its outage lasts, and
for ten minutes after it: what has to start comes back later.

An outage lasts while at least half of its members are silent. Whatever falls silent with it, or is
found silent later and was last received before it began, belongs to it; what was away before not.
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
from monitorpi_detector.targets.presence import STARTS_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from monitorpi_detector.targets.presence import Stay, Stays

Cause = Literal["cut-off", "uplink-down", "group-down"]

TOGETHER: Final = 1.5
"""Rounds within which targets fall together: the targets of a round are probed one after another,
so that one round may end with some of them gone and the next begin with the rest."""
SILENT_ROUNDS: Final = 2
"""Rounds without an answer from all of them; a single one may be a roaming Wi-Fi link."""
FEW: Final = 5
"""Members of a group that are also reported one by one, as its effects."""
_NEARLY_ALL: Final = 0.9
_MANY: Final = 10
_LASTS: Final = 0.5
_GRACE_S: Final = 600.0
"""After a power failure a NAS takes five minutes to start."""
_FRESH_S: Final = 120.0


@dataclass(slots=True)
class Outage(CommonCause):
    """One cause that took several targets away."""

    cause: Cause
    lacks_network: bool = False
    """This machine itself had no route."""
    has_answered: bool = True
    """Most of its members answered since this process started."""
    is_sure: bool = True
    """It can be no machine that is starting up just as this one is."""
    others: int = 0
    """Targets that still answer."""
    witnessed: int = 0
    """Members whose frames are still seen on the mirror port."""
    ended: float | None = None

    @property
    def reports_each(self) -> bool:
        """Its members are few enough to be reported beside it, each linked to it."""
        return self.cause == "group-down" and len(self.devices) <= FEW

    @property
    def silent(self) -> list[Stay]:
        """The members that do not answer now."""
        return [stay for stay in self.members.values() if stay.silent_rounds]

    @property
    def has_beyond(self) -> bool:
        """Something beyond the router went too."""
        return any(stay.mac is None for stay in self.members.values())


@dataclass(slots=True)
class Outages:
    """The outages of each prober."""

    presence: Stays
    is_alive: Callable[[Stay], bool]
    """Frames of a silent target are still seen."""
    forwards: Callable[[str], bool]
    """A MAC address is a router's."""
    _of: dict[str, list[Outage]] = field(default_factory=dict)
    _resumed: dict[str, frozenset[str]] = field(default_factory=dict)
    """Groups of the process before us that were still away: addresses, by the alert's subject."""

    def resume(self, subject: str, addresses: frozenset[str]) -> None:
        """Take up a group that was away when the process before us ended."""
        if len(self._resumed) < MAX_RESUMED:
            self._resumed[subject] = addresses

    def follow(
        self,
        prober: str,
        stays: Sequence[Stay],
        now: float,
        round_s: float,
        own: frozenset[str],
        watched_s: float,
    ) -> tuple[Outage, ...]:
        """Return a prober's outages after a round, those that have just ended included.

        Args:
            prober: whose targets.
            stays: all of them.
            now: end of the round, event time.
            round_s: length of the round.
            own: addresses of the prober's machine, whose answers say nothing.
            watched_s: seconds watched so far.

        """
        known = [one for one in self._of.get(prober, ()) if not self._is_over(one, now)]
        within_s = TOGETHER * max(round_s, 10.0)
        members = {address for one in known for address in one.members}
        gone = [
            stay
            for stay in stays
            if stay.silent_from is not None
            and stay.address not in members
            and not stay.comes_and_goes(watched_s)
            and self.presence.is_expected(stay)
            and not _joins(stay, known, within_s)
        ]
        others = [
            stay for stay in stays
            if stay.silent_from is None and stay.address not in own
            and stay.answered_at >= now - _FRESH_S
        ]  # fmt: skip
        for together in clusters(((stay.silent_from or 0.0, stay) for stay in gone), within_s):
            known += self._judge(prober, [stay for _, stay in together], others)
        starting = self.presence.may_start(now, STARTS_S)
        for one in known:
            one.is_sure = one.has_answered or not starting
            one.others = count_devices(others)
            one.witnessed = max(one.witnessed, sum(map(self.is_alive, one.silent)))
            for stay in one.silent:
                stay.excused = True
        self._of[prober] = known
        return tuple(known)

    def forget(self, prober: str) -> None:
        """Drop the outages of a prober that is gone."""
        self._of.pop(prober, None)

    @staticmethod
    def _is_over(one: Outage, now: float) -> bool:
        """End an outage that most of its members have come back from; drop it a while later."""
        back = len(one.silent) < max(1.0, _LASTS * len(one.members))
        if one.cause == "uplink-down":
            back = back or any(not s.silent_rounds and s.mac is None for s in one.members.values())
        if one.ended is None and back:
            one.ended = now
        return one.ended is not None and (now - one.ended > _GRACE_S or not one.silent)

    def _judge(
        self, prober: str, together: Sequence[Stay], others: Sequence[Stay]
    ) -> Iterator[Outage]:
        """Return what took these targets away; nothing: each is a matter of its own."""
        lacking = 2 * sum(stay.lacks_network for stay in together) > len(together)
        lasting = sum(stay.silent_rounds >= SILENT_ROUNDS for stay in together)
        if not lacking and 2 * lasting < len(together):
            return
        began = min(stay.silent_from or 0.0 for stay in together)
        # what was last probed before says nothing of now
        answering = [stay for stay in others if stay.answered_at > began]

        def outage(cause: Cause, members: Sequence[Stay], subject: str) -> Outage:
            by_address = {stay.address: stay for stay in members}
            has_answered = 2 * sum(map(self.presence.has_answered, members)) > len(members)
            return Outage(
                cause, subject, began, by_address, lacks_network=lacking, has_answered=has_answered
            )

        many = count_devices(together)
        nearly = many >= max(_MANY, _NEARLY_ALL * (many + count_devices(answering)))
        if nearly or (not answering and (lacking or many > 1)):
            yield outage("cut-off", together, slug(prober))
            return
        near = [stay for stay in together if not is_beyond(stay, others)]
        beyond = [stay for stay in together if stay not in near]
        if beyond and not any(is_beyond(stay, others) for stay in answering):
            # a router that is gone takes along what is beyond it
            beyond += [stay for stay in near if stay.mac is not None and self.forwards(stay.mac)]
            rest = [stay for stay in near if stay not in beyond]
            if count_devices(rest) < GROUP:
                yield outage("uplink-down", beyond, "internet")
                return
        if count_devices(together) >= GROUP:
            yield outage("group-down", together, self._subject(together))

    def _subject(self, together: Sequence[Stay]) -> str:
        """Return what a group is called: as before a restart, or by its first member."""
        addresses = {stay.address for stay in together}
        for subject, before in self._resumed.items():
            if not before.isdisjoint(addresses):
                return subject
        return slug(min(addresses))


def _joins(stay: Stay, known: Sequence[Outage], within_s: float) -> bool:
    """Add a target to the outage it belongs to: nothing was heard of it since that began.

    That the others are back, or most of them, does not matter: it has to start, too. What was
    silent long before is a story of its own.
    """
    for one in known:
        fits = one.cause != "uplink-down" or stay.mac is None
        was_there = (stay.silent_from or 0.0) >= one.began - within_s
        if fits and was_there and stay.answered_at <= one.began + within_s:
            one.members[stay.address] = stay
            return True
    return False
