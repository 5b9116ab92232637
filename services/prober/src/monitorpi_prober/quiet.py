"""When quiet targets are asked, and what that may cost the LAN. Pure: time comes as an argument.

Theory of operation. A request to an address that nobody answers ARP for never leaves the machine:
the kernel keeps it and broadcasts up to three ARP requests a second apart, then throws it away.
So who does not answer is asked one request at a time, after pauses that grow to a minute, and all
of them together no faster than the LAN is to bear (:class:`ArpBudget`). Whoever capture has just
seen goes to the front (:meth:`QuietTargets.wake`), but one of the others has its turn after every
third, so that nobody who invents devices keeps the rest from being asked.
"""

from __future__ import annotations

import bisect
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.backoff import QUIET_TARGET_MOST_S, BackOff

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE: Final = 3
"""Requests in vain before the pauses grow: those that decide whether it is down."""
URGENT_IN_A_ROW: Final = 3
SOLICITATIONS: Final = 3
"""ARP requests to one silent address (mcast_solicit in arp(7)), a second apart (retrans_time)."""
SOLICITATION_S: Final = 1.0
_ROUNDING_S: Final = 1e-6
HEADROOM: Final = 0.85
"""Share of a limit on ARP requests that is planned with: those of any second lie under it then, for
the kernel's timers make no promise to the millisecond, and a second may begin anywhere."""


@dataclass(slots=True)
class _Standing:
    first_s: float
    misses: int = 0
    due: float = 0.0
    order: int = 0
    """Of its valid entry in the heap."""
    is_under_way: bool = False
    was_seen: bool = False
    """While it was under way."""


@dataclass(slots=True)
class QuietTargets:
    """The schedule of the quiet targets, by key."""

    _standing: dict[str, _Standing] = field(default_factory=dict)
    _due: list[tuple[float, int, str]] = field(default_factory=list)
    _urgent: dict[str, None] = field(default_factory=dict)
    _in_a_row: int = 0
    _order: int = 0

    def __contains__(self, key: str) -> bool:
        return key in self._standing

    def set(self, first_s: Mapping[str, float], now: float) -> None:
        """Take the quiet targets with the first pause of each (seconds); new ones are due now."""
        for key in self._standing.keys() - first_s.keys():
            del self._standing[key]
            self._urgent.pop(key, None)
        for key, seconds in first_s.items():
            known = self._standing.get(key)
            if known is None:
                self._standing[key] = known = _Standing(seconds)
                self._push(key, known, now)
            known.first_s = seconds

    def wake(self, key: str) -> None:
        """Ask a target as soon as possible: it was seen."""
        known = self._standing.get(key)
        if known is None:
            return
        if known.is_under_way:
            known.was_seen = True
        else:
            self._urgent[key] = None

    def next_at(self) -> float | None:
        """Return when somebody is due; None: nobody is quiet, or all are under way."""
        if self._urgent:
            return 0.0
        self._drop_stale()
        return self._due[0][0] if self._due else None

    def take(self, now: float) -> str | None:
        """Return whom to ask now; it is under way until :meth:`record` or :meth:`put_back`."""
        self._drop_stale()
        is_due = bool(self._due) and self._due[0][0] <= now
        if self._urgent and not (is_due and self._in_a_row >= URGENT_IN_A_ROW):
            key = next(iter(self._urgent))
            self._in_a_row += 1
        elif is_due:
            key = self._due[0][2]
            self._in_a_row = 0
        else:
            return None
        self._urgent.pop(key, None)
        known = self._standing[key]
        known.is_under_way, known.was_seen = True, False
        return key

    def record(self, key: str, now: float, *, answered: bool) -> None:
        """Take the outcome of a request."""
        known = self._standing.get(key)
        if known is None:
            return
        known.is_under_way = False
        known.misses = 0 if answered else known.misses + 1
        self._push(key, known, now + pause_s(known.misses, known.first_s))
        if known.was_seen and not answered:
            self._urgent[key] = None

    def put_back(self, key: str, at: float) -> None:
        """Take back a request that could not be made: it counts neither way."""
        known = self._standing.get(key)
        if known is not None:
            known.is_under_way = False
            self._push(key, known, at)

    def _push(self, key: str, known: _Standing, due: float) -> None:
        self._order += 1
        known.due, known.order = due, self._order
        heapq.heappush(self._due, (due, self._order, key))

    def _drop_stale(self) -> None:
        """Take entries off the heap that a newer one, or a removal, has replaced."""
        while self._due:
            _, order, key = self._due[0]
            known = self._standing.get(key)
            if known is not None and known.order == order and not known.is_under_way:
                return
            heapq.heappop(self._due)


def pause_s(misses: int, first_s: float) -> float:
    """Return the pause after so many requests in vain: a round at first, then growing."""
    return BackOff(first_s, QUIET_TARGET_MOST_S).after(misses - PATIENCE + 1)


@dataclass(slots=True)
class ArpBudget:
    """Paces what makes the kernel ask for neighbours, so that no second has more than a rate.

    Each request is charged all that it may cost, and what an early answer saves is given back. An
    address is asked for once a second at most; so who may still be asked for is counted too, up to
    a second after the last time: as many as the rate, and no second has more.
    """

    per_s: float
    _next_at: float = 0.0
    _ends: list[float] = field(default_factory=list)
    """Up to when each address may still be asked for, in order."""

    def is_ready(self, now: float) -> bool:
        """Return whether another address may be asked for."""
        return now >= self.next_at

    @property
    def next_at(self) -> float:
        """When another one may be."""
        most = max(int(self.per_s), 1)
        free_at = self._ends[-most] - _ROUNDING_S if len(self._ends) >= most else 0.0
        return max(self._next_at, free_at)

    def charge(self, now: float) -> None:
        """Ask for an address now."""
        self._next_at = max(self._next_at, now) + SOLICITATIONS / self.per_s
        self._ends = [end for end in self._ends if end > now + _ROUNDING_S]
        bisect.insort(self._ends, now + SOLICITATIONS * SOLICITATION_S)

    def refund(self, began: float, after_s: float) -> None:
        """Take it that an address answered after so many seconds: no more is asked for it."""
        asked = min(int(after_s / SOLICITATION_S) + 1, SOLICITATIONS)
        now, saved = began + after_s, SOLICITATIONS - asked
        self._next_at = max(now, self._next_at - saved / self.per_s)
        end = began + SOLICITATIONS * SOLICITATION_S
        nearest = min(self._ends, key=lambda one: abs(one - end), default=None)
        if nearest is not None and abs(nearest - end) < _ROUNDING_S:
            self._ends.remove(nearest)
            bisect.insort(self._ends, began + asked * SOLICITATION_S)
