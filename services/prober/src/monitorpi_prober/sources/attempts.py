"""Single requests to targets that are quiet, or whose neighbour does not answer ARP just now.

Theory of operation. Whom to ask next says :mod:`.quiet`; here the requests are made, from sockets
of their own, at most :data:`MOST` under way. A request to an address without a usable neighbour is
charged to the ARP budget, and what an early answer saves is given back. Targets of a round that
lost their neighbour (the cable was out, the kernel's entry ran out) come first: each is asked for
by one request, while the round holds back the rest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_prober.flights import GRACE_S, TargetRow
from monitorpi_prober.items import ProbeAttempt
from monitorpi_prober.quiet import SOLICITATION_S, SOLICITATIONS, ArpBudget, QuietTargets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitorpi_prober.flights import Request
    from monitorpi_prober.schedule import ProbePlan, ProbeTarget
    from monitorpi_prober.sources.neighbours import Neighbour
    from monitorpi_prober.sources.wire import EchoWire

MOST: Final = 64
"""Requests under way: 64 that wait in the kernel take a third of a socket's least buffer."""
_SOLICITED_S: Final = SOLICITATIONS * SOLICITATION_S + 0.5
"""The kernel gives an address up within this time (3.06 to 3.09 s were seen)."""
_FULL_S: Final = 1.0  # until a target is asked again that the kernel took no request for


@dataclass(slots=True)
class _UnderWay:
    target: ProbeTarget
    row: TargetRow
    began: float
    request: Request | None
    neighbour: Neighbour | None
    """The one that is asked for; None: none had to be."""
    is_contact: bool


@dataclass(slots=True)
class Attempts:
    """The requests outside of rounds."""

    wire: EchoWire
    _quiet: QuietTargets = field(default_factory=QuietTargets)
    _budget: ArpBudget = field(default_factory=lambda: ArpBudget(20.0))
    _targets: dict[str, ProbeTarget] = field(default_factory=dict)
    _timeout_s: float = 1.0
    _gap_s: float = 0.1
    _next_at: float = 0.0
    _waiting: dict[str, ProbeTarget] = field(default_factory=dict)
    """Those without a neighbour that a round, or a contact, asks for."""
    _contacts: set[str] = field(default_factory=set)
    _reached: deque[ProbeAttempt] = field(default_factory=deque)
    _under_way: dict[str, _UnderWay] = field(default_factory=dict)
    _ended: int | None = None
    """Of the flights, when outcomes were reported last; None: there may be some to report."""

    def set(self, plan: ProbePlan, now: float) -> None:
        """Take a plan's quiet targets and its limits."""
        self._targets = {one.key: one for one in plan.quiet if one.ip is not None}
        pauses = {key: plan.first_pause_s(one) for key, one in self._targets.items()}
        self._quiet.set(pauses, now)
        self._budget.per_s = plan.arp_per_s
        self._timeout_s, self._gap_s = plan.timeout_s, 1 / plan.quiet_per_s

    def wake(self, keys: Iterable[str]) -> None:
        """Ask these quiet targets at once: they were seen."""
        for key in keys:
            self._quiet.wake(key)

    def ask_for(self, target: ProbeTarget) -> None:
        """Ask for the neighbour of a target, as soon as the budget allows."""
        self._waiting.setdefault(target.key, target)

    def contact(self, target: ProbeTarget) -> None:
        """Find out whether a target has a neighbour at all; an :class:`ProbeAttempt` says so."""
        self._contacts.add(target.key)
        self._waiting[target.key] = target

    # --- asking -----------------------------------------------------------------------------

    def ask(self, now: float) -> float | None:
        """Make the request that is due, if there is one; returns when to ask again."""
        if len(self._under_way) < MOST and now >= self._next_at and self._budget.is_ready(now):
            self._ask_next(now)
        if self._reached:
            return now
        if len(self._under_way) >= MOST:
            return None
        due = 0.0 if self._waiting else self._quiet.next_at()
        return None if due is None else max(due, self._next_at, self._budget.next_at)

    def _ask_next(self, now: float) -> None:
        for _ in range(len(self._waiting)):
            target = self._waiting.pop(next(iter(self._waiting)))
            if self._is_needed(target, now):
                self._begin(target, now)
                return
        key = self._quiet.take(now)
        if key in self._under_way:
            self._quiet.put_back(key, now + _FULL_S)  # it left the plan and came back meanwhile
        elif key is not None:
            self._begin(self._targets[key], now)

    def _is_needed(self, target: ProbeTarget, now: float) -> bool:
        """Return whether a neighbour is still to be asked for; targets may share a router."""
        assert target.ip is not None  # noqa: S101 - others never wait
        if target.key in self._under_way:
            return False
        if not self.wire.lacks_neighbour(target.ip):
            self._report_contact(target.key, has_neighbour=True)
            return False
        neighbour = self.wire.hops[target.ip].neighbour
        if any(one.neighbour == neighbour for one in self._under_way.values()):
            if target.key in self._contacts:
                self._waiting[target.key] = target
                self._next_at = now + self._gap_s
            return False
        return True

    def _begin(self, target: ProbeTarget, now: float) -> None:
        ip = target.ip
        assert ip is not None  # noqa: S101 - chosen so
        self._next_at = now + self._gap_s
        row = TargetRow(target.key, limit_s=self._timeout_s)
        link = self.wire.quiet_links.get(6 if ":" in ip else 4)
        neighbour = self.wire.hops[ip].neighbour if self.wire.lacks_neighbour(ip) else None
        may_solicit = neighbour is not None or self.wire.neighbours.sock is None
        is_contact = target.key in self._contacts
        self._contacts.discard(target.key)
        request = None
        if link is None:
            row.unsent, row.note = 1, self.wire.no_family(ip)
        else:
            request = self.wire.send(link, row, ip)
            if request is not None and may_solicit:
                self._budget.charge(now)
                self.wire.flights.postpone(request, now + _SOLICITED_S + row.limit_s + GRACE_S)
        self._under_way[target.key] = _UnderWay(target, row, now, request, neighbour, is_contact)
        self._ended = None

    # --- answers ----------------------------------------------------------------------------

    def neighbours_changed(self, now: float) -> None:
        """Give back what the answers of neighbours save, and end contacts that came about."""
        usable = self.wire.neighbours.usable
        for one in self._under_way.values():
            if one.neighbour is None or one.neighbour not in usable:
                continue
            one.neighbour = None
            self._budget.refund(one.began, now - one.began)
            if one.request is not None and one.request.number in self.wire.flights.requests:
                # from now on it takes as long as any other
                self.wire.flights.postpone(one.request, now + self._timeout_s + GRACE_S)
                if one.is_contact:
                    self.wire.flights.expire(one.request)
                    one.row.times.clear()

    def finish(self, now: float, emit: Callable[[object], None]) -> None:
        """Report the requests whose outcome is known."""
        while self._reached:
            emit(self._reached.popleft())
        if self._ended == self.wire.flights.ended or not self._under_way:
            return
        self._ended = self.wire.flights.ended
        for key, one in list(self._under_way.items()):
            if one.row.awaited.count > 0:
                continue
            del self._under_way[key]
            echoes = one.row.finish()
            if echoes.is_evidence:
                self._quiet.record(key, now, answered=echoes.answers)
            else:
                self._quiet.put_back(key, now + _FULL_S)
            ip = one.target.ip or ""
            emit(ProbeAttempt(datetime.now(UTC), echoes, not self.wire.lacks_neighbour(ip)))

    def _report_contact(self, key: str, *, has_neighbour: bool) -> None:
        if key in self._contacts:
            self._contacts.discard(key)
            row = TargetRow(key)
            self._reached.append(ProbeAttempt(datetime.now(UTC), row.finish(), has_neighbour))
