"""Sends echo requests at an even pace and takes the times of the replies.

Theory of operation. One socket per address family serves all targets that answer (:mod:`.sockets`).
A single loop sends what is due, and between two requests takes what has come. A round trip is the
difference of two stamps of the kernel: the one the driver took the request at (SO_TIMESTAMPING,
read from the error queue), and the one the reply arrived at (SO_TIMESTAMPNS). Whatever this process
waits for - the other threads, a garbage collection, a busy core, an ARP request still unanswered -
is in neither, so it is not mistaken for the network's delay. Where a driver sets no stamp, the
moment just before the request was handed over takes its place. So nobody has to be awake for a
reply, and an awakening costs more than all else: while requests follow each other closely, up to
eight leave together (:func:`.schedule.step_of`), and replies are read when the next ones do.

Both stamps are of the wall clock, which may be stepped in between: a round trip cannot be longer
than the monotonic time from handing over to reading, so then that time is taken.

A request to an address that nobody answers ARP for would wait in the kernel, at the expense of the
socket's buffer, and then of the requests to everybody else. So a round sends only what the kernel
can hand to the wire at once (:mod:`.neighbours`). All else, and whoever is quiet, is asked by
single requests from sockets of their own (:mod:`.attempts`).
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_prober.flights import Awaited, Note, ReplyCounts, TargetRow
from monitorpi_prober.items import UNSENT, PlanTaken, RoundDone
from monitorpi_prober.schedule import (
    LEAST_STEP_S,
    MOST_STEP_S,
    Pace,
    ProbeGroup,
    ProbePlan,
    step_of,
)
from monitorpi_prober.sources.attempts import Attempts
from monitorpi_prober.sources.exits import exits_of, place
from monitorpi_prober.sources.wire import EchoWire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monitorpi_prober.items import Exit
    from monitorpi_prober.schedule import ProbeTarget
    from monitorpi_prober.sources.sockets import Link

_BURST: Final = 64  # requests in one go
_IDLE_S: Final = 1.0
_NEAR_S: Final = 0.1  # until the next request: replies and orders wait for it
_READ_S: Final = 0.01  # between two readings while requests follow each other closely
_POLL_S: Final = 0.1  # between two looks at the neighbours meanwhile
_NOISE_PROBES: Final = 10
_WAYS_S: Final = 60.0
"""Between two looks which way requests go, where nothing tells of a change."""
_WAYS_LEAST_S: Final = 5.0
_NOISE: Final = "127.0.0.1"
_MOST_HOPS: Final = 8192


@dataclass(slots=True)
class _Round:
    """A round of one group, on its way."""

    plan: ProbePlan
    group: ProbeGroup
    began_s: float
    """By the monotonic clock."""
    pace: Pace
    rows: list[TargetRow]
    noise: TargetRow
    awaited: Awaited
    total: int
    used: int = 0
    """Places of the round that were used, whether or not something was sent."""
    noises: int = 0

    @property
    def is_over(self) -> bool:
        """All is sent, and nothing is waited for."""
        return self.awaited.is_complete and self.awaited.count == 0


@dataclass(slots=True)
class Pinger:
    """A source of finished rounds and single attempts.

    ``source`` is an address or an interface of this machine to send from; None: as routed.
    """

    source: str | None = None
    wire: EchoWire = field(default_factory=EchoWire)
    _attempts: Attempts = field(init=False)
    _plan: ProbePlan = field(default_factory=ProbePlan)
    _planned: deque[ProbePlan] = field(default_factory=lambda: deque(maxlen=1))
    _extra: deque[ProbeGroup | None] = field(default_factory=lambda: deque(maxlen=64))
    _seen: deque[tuple[str, ...]] = field(default_factory=lambda: deque(maxlen=1024))
    _contacts: deque[ProbeTarget] = field(default_factory=deque)
    _has_news: bool = False
    _stopped: bool = False
    _wake: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK))
    _by_fileno: dict[int, Link] = field(default_factory=dict)
    _watched: list[int] = field(default_factory=list)
    _rounds: list[_Round] = field(default_factory=list)
    _due: list[tuple[float, int, _Round]] = field(default_factory=list)
    _starts: dict[float, float] = field(default_factory=dict)
    _serials: Iterator[int] = field(default_factory=itertools.count)
    """So that of two that are due at one moment the first comes first."""
    _ended: int | None = None
    """As in :mod:`.attempts`."""
    _exits: dict[str, Exit] = field(default_factory=dict)
    _looked_up: set[str] = field(default_factory=set)
    _ways_at: float = 0.0
    _step_s: float = LEAST_STEP_S
    """Between two moments of sending: a grid, so that the requests of all rounds meet."""
    _read_at: float = 0.0
    _poll_at: float = 0.0

    def __post_init__(self) -> None:
        self._attempts = Attempts(self.wire)

    @property
    def tally(self) -> ReplyCounts:
        """What came back without counting."""
        return self.wire.flights.tally

    # --- called from other threads ----------------------------------------------------------

    def follow(self, plan: ProbePlan) -> None:
        """Take another plan: rounds under way end as they began."""
        self._planned.append(plan)
        self._take_up()

    def hurry(self, group: ProbeGroup | None) -> None:
        """Probe the targets of a group once, besides the rounds; None: begin all rounds anew."""
        self._extra.append(group)
        self._take_up()

    def wake(self, keys: Iterable[str]) -> None:
        """Ask these quiet targets at once: they were seen."""
        self._seen.append(tuple(keys))
        self._take_up()

    def contact(self, targets: Iterable[ProbeTarget]) -> None:
        """Find out which targets have a neighbour, one :class:`Attempt` each."""
        self._contacts.extend(targets)
        self._take_up()

    def _take_up(self) -> None:
        self._has_news = True
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped = True
        os.eventfd_write(self._wake, 1)

    # --- the loop ---------------------------------------------------------------------------

    def run(self, emit: Callable[[object], None]) -> None:
        """Measure round after round.

        Raises:
            ResourceError: no ICMP socket may be opened, or not from ``source``.

        """
        try:
            self._open()
            while not self._stopped:
                now = time.monotonic()
                if self._has_news or now - self._ways_at > self._ways_pause_s:
                    self._take_plan(now, emit)
                self._begin_rounds(now)
                self._send_due(now)
                asking = self._attempts.ask(now)
                expiring = self.wire.expire(now)
                self._finish(now, emit)
                self._listen(asking, expiring)
        finally:
            self.wire.close()
            self._by_fileno.clear()

    def _open(self) -> None:
        self.wire.open(place(self.source))
        self._by_fileno = self.wire.by_fileno()
        routing = self.wire.neighbours.fileno()
        self._watched = [self._wake, *self._by_fileno, *([] if routing is None else [routing])]

    # --- the plan -----------------------------------------------------------------------------

    def _take_plan(self, now: float, emit: Callable[[object], None]) -> None:
        self._has_news = False
        if self._planned:
            self._plan = self._planned.popleft()
            wanted = {group.wanted_s for group in self._plan.groups}
            old = self._starts
            self._starts = {every: old.get(every, now) for every in wanted}
            self._find_ways(now, emit)
            self._attempts.set(self._plan, now)
        elif now - self._ways_at > self._ways_pause_s:
            if self._plan.targets:
                self._find_ways(now, emit)
            self._ways_at = now
        while self._seen:
            self._attempts.wake(self._seen.popleft())
        if self._contacts:
            targets = tuple(self._contacts)
            self._contacts.clear()
            self._add_hops(targets)
            for one in targets:
                self._attempts.contact(one)
        while self._extra:
            self._take_extra(self._extra.popleft(), now)

    def _take_extra(self, group: ProbeGroup | None, now: float) -> None:
        if group is not None:
            self._add_hops(group.targets)
            self._begin(group, now)
            return
        self._starts = dict.fromkeys(self._starts, now)
        self._attempts.wake(one.key for one in self._plan.quiet)
        for running in self._rounds:
            running.total = running.used
            running.awaited.is_complete = True
        self._ended = None

    @property
    def _ways_pause_s(self) -> float:
        return _WAYS_LEAST_S if self.wire.neighbours.routes_changed else _WAYS_S

    def _find_ways(self, now: float, emit: Callable[[object], None]) -> None:
        """Find by which own address and neighbour requests go; known ones are kept a while."""
        if now - self._ways_at > self._ways_pause_s:
            self._ways_at = now
            self._exits.clear()
            self._looked_up.clear()
            for running in self._rounds:
                self._add_hops(running.group.targets)
        self._add_hops(self._plan.targets)
        exits = exits_of(self._plan, self.source, self._exits)
        emit(PlanTaken(datetime.now(UTC), self._plan, exits))

    def _add_hops(self, targets: Iterable[ProbeTarget]) -> None:
        ips = {one.ip for one in targets if one.ip is not None} - self._looked_up
        if not ips:
            return
        self._looked_up |= ips
        found = self.wire.neighbours.hops(ips, place(self.source).interface)
        for ip in ips:
            self.wire.hops.pop(ip, None)
        self.wire.hops |= found
        if len(self.wire.hops) > _MOST_HOPS:
            self.wire.hops = found

    # --- rounds -----------------------------------------------------------------------------

    def _begin_rounds(self, now: float) -> None:
        for group in self._plan.groups:
            start = self._starts.get(group.wanted_s, now)
            if now >= start:
                self._begin(group, now)
                # after a standstill not two at once, which would be twice the rate
                is_missed = now - start >= group.interval_s
                self._starts[group.wanted_s] = (now if is_missed else start) + group.interval_s

    def _begin(self, group: ProbeGroup, now: float) -> None:
        """Begin a round; one without targets lasts as long, and reports those that are quiet."""
        total = group.probes * len(group.targets)
        awaited, limit_s = Awaited(is_complete=False), self._plan.timeout_s
        one = _Round(
            self._plan,
            group,
            now,
            Pace(now if total else now + group.interval_s, group.interval_s / max(total, 1)),
            [TargetRow(target.key, awaited, limit_s) for target in group.targets],
            TargetRow("", awaited, limit_s),
            awaited,
            total,
        )
        self._rounds.append(one)
        heapq.heappush(self._due, self._place(one))
        self._step_s = self._step_of_all(now)

    def _step_of_all(self, now: float) -> float:
        """Find how far apart all rounds may send; those that are at their end give way to new."""
        lasting = [
            one.group
            for one in self._rounds
            if one.total and now + MOST_STEP_S < one.began_s + one.group.interval_s
        ]
        return step_of(
            sum(len(group.targets) * group.probes / group.interval_s for group in lasting),
            min((group.interval_s / group.probes for group in lasting), default=LEAST_STEP_S),
        )

    def _place(self, one: _Round) -> tuple[float, int, _Round]:
        return one.pace.next_at, next(self._serials), one

    def _send_due(self, now: float) -> None:
        due = self._due
        for _ in range(_BURST):
            if not due or due[0][0] > now:
                return
            one = due[0][2]
            if one.used < one.total:
                self._send_next(one)
                one.pace.take(now, self._step_s)
            if one.used < one.total:
                heapq.heapreplace(due, self._place(one))
            else:
                heapq.heappop(due)
                one.awaited.is_complete = True
                self._ended = None

    def _send_next(self, one: _Round) -> None:
        """Use the next place of a round, and now and then send a request over loopback."""
        wire = self.wire
        if one.used * _NOISE_PROBES >= one.noises * one.total and wire.noise is not None:
            one.noises += 1
            wire.send(wire.noise, one.noise, _NOISE)
        index = one.used % len(one.group.targets)
        one.used += 1
        target, row = one.group.targets[index], one.rows[index]
        ip = target.ip
        if ip is None:
            return
        link = wire.links.get(6 if ":" in ip else 4)
        if link is None:
            row.unsent += 1
            row.note = wire.no_family(ip)
        elif (hop := wire.hops.get(ip)) is not None and hop.neighbour not in wire.neighbours.usable:
            row.unsent += 1
            if row.note is None:
                row.note = Note("held back until its address is found by ARP", UNSENT)
            self._attempts.ask_for(target)
        else:
            wire.send(link, row, ip)

    def _finish(self, now: float, emit: Callable[[object], None]) -> None:
        self._attempts.finish(now, emit)
        if self._ended == self.wire.flights.ended:
            return
        self._ended = self.wire.flights.ended
        for one in [r for r in self._rounds if r.is_over]:
            self._rounds.remove(one)
            echoes = tuple(row.finish() for row in one.rows)
            noise = tuple(time for time in one.noise.times.values() if time is not None)
            end = datetime.now(UTC)
            start = end - timedelta(seconds=now - one.began_s)  # the clock may have been set
            emit(RoundDone(start, end, one.plan, one.group, echoes, noise))

    # --- waiting ----------------------------------------------------------------------------

    def _next_at(self, now: float, asking: float | None, expiring: float | None) -> float:
        """Return when something is due next."""
        moments = [now + _IDLE_S, *self._starts.values()]
        if self._due:
            moments.append(self._due[0][0])
        return min(moments + [one for one in (asking, expiring) if one is not None])

    def _listen(self, asking: float | None, expiring: float | None) -> None:
        """Wait until something is due or has come, and take what has come."""
        now = time.monotonic()
        seconds = self._next_at(now, asking, expiring) - now
        if seconds >= _NEAR_S:
            ready, _, _ = select.select(self._watched, [], [], seconds)
            for number in ready:
                if number == self._wake:
                    os.eventfd_read(self._wake)
                elif (link := self._by_fileno.get(number)) is not None:
                    self.wire.receive_one(link)
                else:
                    self._poll_neighbours()
            return
        if seconds > 0:
            seconds += -(now + seconds) % self._step_s
            time.sleep(seconds)
            now += seconds
        if now >= self._read_at:
            self._read_at = now + _READ_S
            self.wire.receive_all()
        if now >= self._poll_at:
            self._poll_at = now + _POLL_S
            self._poll_neighbours()

    def _poll_neighbours(self) -> None:
        if self.wire.neighbours.poll():
            self._attempts.neighbours_changed(time.monotonic())
