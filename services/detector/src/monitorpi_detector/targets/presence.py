"""Who is there: how each target of the probers came and went. Pure.

Theory of operation. Each target has a :class:`Stay`: since when it is known, how long it has been
there, since when it is silent, and its last absences. From that follow two judgements. A device
is *expected* when the operator named it, or when it was there for most of the time watched, or for
a day: whatever its MAC address looks like. And it *comes and goes* when it was away several times
in a week: then being away is news only when it lasts longer than it ever did.

Silence is counted in event time, so that targets that fell together are known by it; habits are
counted in seconds watched: a night without power is nobody's absence.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded
from monitorpi_detector.targets.line import TargetLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from monitorpi_common.messages import Probe, ProbeResult, Target

MAX_TARGETS: Final = 8192
"""Two addresses for each device there can be."""
DAY_S: Final = 86400.0
NIGHT_S: Final = DAY_S / 2
WEEK_S: Final = 7 * DAY_S
DOWN_ROUNDS: Final = 3
"""Rounds without an answer that are an absence: the prober's own patience."""
_MOSTLY: Final = 0.5
"""Share of the time watched in which a target must have been there to be expected."""
_MADE_UP_S: Final = 300.0
_LOCAL_BIT: Final = 0x02
_HABIT: Final = 3
"""Absences within a week that are a habit: twice may be two faults."""
_LONGER: Final = 2.0
"""Times its longest absence after which even a device that comes and goes is missed."""
_SETTLED_S: Final = 300.0
"""So long after an absence the quality of a target's answers is its own again."""
_DOZES_S: Final = 1800.0
"""The same for a target that was away twice within a night: it sleeps between its answers."""
_PAUSE_S: Final = 300.0
"""A target is taken as there between two answers that are at most so far apart."""
STARTS_S: Final = 180.0
"""A router takes two minutes to start: so long after our own start its silence may be that."""
_ANSWERED_S: Final = 120.0
"""A prober repeats the state of a target each minute."""
STARTS_SLOWLY_S: Final = 600.0
"""After a power failure a NAS takes five minutes."""
NAMED: Final = ("configured", "pinned")
"""Origins of targets that the operator asked for."""
NO_NETWORK: Final = "no-network"
_NOT_MEASURED: Final = ("unsent", "no-address", "duplicate")


@dataclass(slots=True)
class Stay:
    """One target's coming and going."""

    address: str
    name: str = ""
    mac: str | None = None
    prober: str = ""
    named: bool = False
    up_s: float = 0.0
    """Seconds watched in which it was there."""
    left_s: float = 0.0
    """Seconds watched when it answered last."""
    steady_s: float = 0.0
    """Seconds watched when its last absence ended."""
    answered_at: float = 0.0
    """End of the last round with an answer, event time."""
    reported_at: float = 0.0
    """End of the last round in which it was probed."""
    silent_from: float | None = None
    """Beginning of the first round without an answer; None: it answers."""
    silent_rounds: int = 0
    was_silent: bool = False
    """The round before this one had no answer."""
    lacks_network: bool = False
    """This machine had no route to it in the last round."""
    silent_before_s: float = 0.0
    """So long it had been silent when this process started."""
    excused: bool = False
    """Its silence is another's fault, and no absence of its own."""
    line: TargetLine = field(default_factory=TargetLine)
    """How well it answered of late."""
    absences: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=8))
    """When each ended, in seconds watched, and how long it was."""

    @property
    def has_made_up_mac(self) -> bool:
        """The locally administered bit: phones' private addresses, but also virtual machines."""
        return self.mac is not None and bool(int(self.mac[:2], 16) & _LOCAL_BIT)

    @property
    def ip(self) -> str | None:
        """The address; None: the target is a host name that has none yet."""
        try:
            ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return None
        return self.address

    def answer(self, watched_s: float, at: float) -> None:
        """Take a round with an answer."""
        passed_s = max(0.0, watched_s - self.left_s)
        if self.silent_rounds >= DOWN_ROUNDS and not self.excused:
            self.absences.append((watched_s, passed_s))
            self.steady_s = watched_s
        elif passed_s <= _PAUSE_S:
            self.up_s += passed_s
        self.left_s, self.answered_at = watched_s, at
        self.was_silent = self.silent_rounds > 0
        self.silent_from, self.silent_rounds, self.silent_before_s = None, 0, 0.0
        self.excused = self.lacks_network = False

    def miss(self, began: float, *, lacks_network: bool) -> None:
        """Take a round without an answer."""
        self.silent_rounds += 1
        self.was_silent = self.silent_rounds > 1
        self.lacks_network = lacks_network
        if self.silent_from is None:
            self.silent_from = began - self.silent_before_s

    def absent(self, within_s: float, watched_s: float) -> list[float]:
        """Return how long each absence was that ended within a time."""
        return [length for ended, length in self.absences if watched_s - ended <= within_s]

    def comes_and_goes(self, watched_s: float) -> bool:
        """Return whether being away is a habit."""
        return len(self.absent(WEEK_S, watched_s)) >= _HABIT

    def is_missed(self, watched_s: float) -> bool:
        """Return whether being away so long is news."""
        if not self.comes_and_goes(watched_s):
            return True
        return watched_s - self.left_s > _LONGER * max(self.absent(WEEK_S, watched_s))

    def was_away_before(self, watched_s: float) -> bool:
        """Return whether it came back by itself from such an absence: a habit, or half as long."""
        before = self.absent(WEEK_S, watched_s)
        if not before:
            return False
        away_s = watched_s - self.left_s
        return self.comes_and_goes(watched_s) or away_s <= _LONGER * max(before)

    def is_known(self, seconds: float) -> bool:
        """Return whether it was watched for so long that its ways are known, or is asked for."""
        return self.named or self.up_s >= seconds

    def is_steady(self, watched_s: float) -> bool:
        """Return whether the answers of this round speak of the line, not of a coming or going."""
        if self.silent_rounds or self.was_silent:
            return False
        if not self.absences:
            return True
        away = self.absent(NIGHT_S, watched_s)
        patience_s = _DOZES_S if len(away) > 1 else _SETTLED_S
        return not away or watched_s - self.steady_s >= patience_s


class Stays:
    """The stays of all targets that ever answered; bounded."""

    def __init__(self) -> None:
        self._stays: Bounded[Stay] = Bounded(MAX_TARGETS)
        self._devices: dict[str, list[Stay]] = {}
        self.began_s: float | None = None
        """Seconds watched when the first round came."""
        self._first_round_at: float | None = None
        """When the first round that this process took began, event time."""

    def __len__(self) -> int:
        return len(self._stays)

    def get(self, address: str) -> Stay | None:
        """Return the stay of a target that has answered before."""
        return self._stays.get(address)

    def stays(self, prober: str) -> list[Stay]:
        """Return all stays that a prober reports."""
        return [stay for stay in self._stays.values() if stay.prober == prober]

    def is_expected(self, stay: Stay) -> bool:
        """Return whether a target is missed when it is gone: named, or there for long.

        A MAC address that the device made up asks for a few minutes of evidence more.
        """
        watched_s = stay.left_s - (self.began_s or 0.0)
        least_s = _MADE_UP_S if stay.has_made_up_mac else 0.0
        return stay.named or stay.up_s >= min(DAY_S, max(least_s, _MOSTLY * watched_s))

    def may_start(self, now: float, within_s: float) -> bool:
        """Return whether we started so recently that what is silent since then may be starting too.

        A power failure takes everything along, this machine as well.
        """
        began = self._first_round_at
        return began is None or now - began < within_s

    def has_answered(self, stay: Stay) -> bool:
        """Return whether a target answered since our start, or a moment before."""
        return stay.answered_at >= (self._first_round_at or 0.0) - _ANSWERED_S

    def device(self, stay: Stay) -> list[Stay]:
        """Return all targets of the same device: a dual-stack host has four addresses."""
        return self._devices.get(stay.mac or "", [stay])

    def gather(self, shared: Callable[[str], bool]) -> None:
        """Sort targets by device; a MAC address that is ``shared``, a router's, tells none."""
        devices: dict[str, list[Stay]] = {}
        for stay in self._stays.values():
            if stay.mac is not None and not shared(stay.mac):
                devices.setdefault(stay.mac, []).append(stay)
        self._devices = devices

    def see_round(self, prober: str, probe: Probe, watched_s: float) -> None:
        """Take a round. What never answered has no stay: it cannot go."""
        if self.began_s is None:
            self.began_s = watched_s
        began, ended = probe.round_start.timestamp(), probe.round_end.timestamp()
        if self._first_round_at is None:
            self._first_round_at = began
        for result in probe.targets:
            if not was_probed(result):
                continue
            stay = self._stays.get(result.address)
            if not is_silent(result):
                if stay is None:
                    stay = Stay(result.address, left_s=watched_s)
                stay.answer(watched_s, ended)
            elif stay is None:
                continue
            else:
                stay.miss(began, lacks_network=result.cause == NO_NETWORK or _lacks_network(result))
            stay.name, stay.prober, stay.reported_at = result.name, prober, ended
            stay.mac = result.mac or stay.mac
            stay.named = result.origin in NAMED
            self._stays.put(result.address, stay, ended)

    def see_target(self, target: Target, watched_s: float) -> None:
        """Take a prober's retained word on a target: it knows longer than we do."""
        if target.state not in ("up", "flapping"):
            return
        at = target.at.timestamp()
        stay = self._stays.get(target.address)
        if stay is None:
            since_s = max(0.0, at - target.since.timestamp())
            stay = Stay(target.address, target.name, target.mac, up_s=since_s, left_s=watched_s)
            self._stays.put(target.address, stay, at)
        if not stay.reported_at:
            stay.answered_at, stay.silent_before_s = at, 0.0

    def saved(self) -> dict[str, tuple[float, float, list[tuple[float, float]]]]:
        """Return what is worth keeping: seconds there, when last, and the absences."""
        return {
            stay.address: (
                round(stay.up_s, 1),
                round(stay.left_s, 1),
                [(round(ended, 1), round(length, 1)) for ended, length in stay.absences],
            )
            for stay in self._stays.values()
        }

    def restore(
        self,
        saved: Mapping[str, tuple[float, float, list[tuple[float, float]]]],
        was_up: Iterable[str],
        watched_s: float,
    ) -> None:
        """Take back what was kept at a time; of ``was_up`` only that they were there is known."""
        for address in was_up:
            self._stays.put(address, Stay(address, up_s=DAY_S), 0.0)
        for address, (up_s, left_s, absences) in saved.items():
            silent_s = max(0.0, watched_s - left_s)
            stay = Stay(address, up_s=up_s, left_s=left_s, silent_before_s=silent_s)
            stay.absences.extend(absences)
            self._stays.put(address, stay, 0.0)


def was_probed(result: ProbeResult) -> bool:
    """Return whether a round says anything of a target."""
    tried = result.sent > 0 or result.unsent > 0 or result.cause == NO_NETWORK
    return tried and result.cause not in _NOT_MEASURED


def is_silent(result: ProbeResult) -> bool:
    """Return whether nothing came back at all; what comes late or altered is an answer."""
    return not (result.received or result.late or result.altered)


def _lacks_network(result: ProbeResult) -> bool:
    """Return whether a prober without causes says in words that this machine is cut off."""
    return (result.error or "").lower().startswith("network is ")
