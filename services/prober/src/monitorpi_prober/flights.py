"""Requests under way, and what becomes of each. Pure: no socket, no clock.

Theory of operation. A request is *sent* when it was handed to the wire, and belongs to one
:class:`TargetRow`. It ends once, as *received* (a sound reply within the time limit), *late*,
*altered* (an answer, but not a sound reply), lost, or *unsent*, when it turns out that it never
left this machine: then the row forgets it. So for every row that is complete

    sent = received + late + altered + lost

An answer that is not sound ends nothing: whoever forges one cannot keep a sound reply that comes
after it from counting. It is only noted, and decides where nothing better comes in time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from monitorpi_prober.items import (
    LATE,
    NO_NEIGHBOUR,
    NO_NETWORK,
    NO_REPLY,
    UNREACHABLE,
    UNSENT,
    Echoes,
)

GRACE_S: Final = 2.0
"""A reply that comes up to so long after the time limit is known as late, not as lost."""
_REMEMBERED: Final = 2048
"""Requests whose late or second replies are told from foreign ones, and as many before them."""


@dataclass(slots=True)
class ReplyCounts:
    """What came back without counting."""

    late: int = 0
    duplicate: int = 0
    foreign: int = 0
    """Not an answer to anything we sent, or with a wrong sequence number."""
    impostor: int = 0
    """From another address than the one asked."""
    damaged: int = 0
    """With a wrong checksum; an unprivileged socket is never handed those."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is wrong, for people and for programs."""

    text: str
    cause: str


@dataclass(slots=True)
class Awaited:
    """How many requests are under way together, of a round or alone."""

    count: int = 0
    is_complete: bool = True
    """No further ones will be sent."""


@dataclass(slots=True)
class TargetRow:
    """What is collected for one target."""

    key: str
    awaited: Awaited = field(default_factory=Awaited)
    limit_s: float = 1.0
    """How long a reply may take."""
    note: Note | None = None
    """The last thing that went wrong."""
    times: dict[int, float | None] = field(default_factory=dict)
    """By the number of each request that was sent, in order of sending."""
    unsent: int = 0
    late: int = 0
    altered: int = 0
    has_answered: bool = False
    """A sound reply came since the last request."""

    def finish(self) -> Echoes:
        """Return what became of all requests."""
        times = tuple(self.times.values())
        note = self.note
        if note is not None and self._is_over(note):
            note = None
        is_silent = bool(times) and all(time is None for time in times)
        if note is None and is_silent and self.late + self.altered == 0:
            note = Note("no reply", NO_REPLY)
        return Echoes(
            self.key,
            times,
            None if note is None else note.text,
            None if note is None else note.cause,
            self.unsent,
            self.late,
            self.altered,
        )

    def _is_over(self, note: Note) -> bool:
        """All that was sent was answered in time after all, and nothing was held back."""
        passing = note.cause in (UNREACHABLE, NO_NEIGHBOUR, NO_NETWORK, UNSENT)
        return passing and bool(self.times) and self.unsent == 0 and None not in self.times.values()


@dataclass(slots=True)
class Request:
    """An echo request that is under way."""

    row: TargetRow
    number: int
    ip: str
    before_ns: int
    """Monotonic, just before it was handed over."""
    wall_ns: int
    """The same moment by the wall clock, until the driver's own stamp replaces it."""
    stamped: bool = False


@dataclass(slots=True)
class Flights:
    """All requests under way, by number."""

    tally: ReplyCounts = field(default_factory=ReplyCounts)
    requests: dict[int, Request] = field(default_factory=dict)
    """Those under way."""
    flaws: dict[int, Note] = field(default_factory=dict)
    """What was wrong with the answers to some of them so far."""
    _expiry: deque[tuple[float, int]] = field(default_factory=deque)
    """In order of sending, which is the order of ending too."""
    _longer: dict[int, float] = field(default_factory=dict)
    """Those that end at another time, and when: few."""
    _done: dict[int, str] = field(default_factory=dict)
    _done_before: dict[int, str] = field(default_factory=dict)
    """Two tables by turns: to drop the first of one costs a search through all that are gone."""
    ended: int = 0
    """Counts how often the last request of a round landed, or of an attempt."""

    def __len__(self) -> int:
        return len(self.requests)

    def depart(self, request: Request, ends_at: float) -> None:
        """Take a request that is handed to the kernel now, and ends later than those before it."""
        number = request.number
        self.requests[number] = request
        self._expiry.append((ends_at, number))
        row = request.row
        row.times[number] = None
        row.awaited.count += 1

    def receive(self, request: Request, took_ms: float) -> None:
        """Take the sound reply to a request."""
        self._land(request)
        request.row.has_answered = True
        if took_ms > request.row.limit_s * 1000:
            self._late(request, took_ms)
            return
        self._remember(request.number, "duplicate")
        request.row.times[request.number] = took_ms

    def _late(self, request: Request, took_ms: float) -> None:
        self.tally.late += 1
        self._remember(request.number, "duplicate")
        request.row.late += 1
        request.row.note = Note(
            f"answers late, after {took_ms / 1000:.1f} s: the limit is {request.row.limit_s:g} s",
            LATE,
        )

    def unsend(self, request: Request, note: Note) -> None:
        """Take it that a request never left this machine."""
        self._land(request)
        self._remember(request.number, "late")
        row = request.row
        del row.times[request.number]
        row.unsent += 1
        row.note = note

    def expire(self, request: Request) -> None:
        """Give a request up: it was answered with something else, or it is lost."""
        flaw = self.flaws.get(request.number)
        self._land(request)
        self._remember(request.number, "late")
        if flaw is not None:
            request.row.altered += 1
            request.row.note = flaw

    def after_the_end(self, number: int) -> None:
        """Count a reply to a request that is not under way."""
        match self._done.get(number) or self._done_before.get(number):
            case "duplicate":
                self.tally.duplicate += 1
            case "late":
                self.tally.late += 1
            case _:
                self.tally.foreign += 1

    def next_expiry(self) -> float | None:
        """Return when a request still under way is to be given up."""
        expiry = self._expiry
        while expiry and (expiry[0][1] not in self.requests or expiry[0][1] in self._longer):
            expiry.popleft()
        first = expiry[0][0] if expiry else None
        if self._longer:
            other = min(self._longer.values())
            return other if first is None else min(first, other)
        return first

    def take_expired(self, now: float) -> Request | None:
        """Return a request whose time is over; None: there is none."""
        for number, ends_at in self._longer.items():
            if ends_at <= now:
                return self.requests[number]
        expiry = self._expiry
        while expiry and expiry[0][0] <= now:
            number = expiry.popleft()[1]
            if number in self.requests and number not in self._longer:
                return self.requests[number]
        return None

    def postpone(self, request: Request, ends_at: float) -> None:
        """Let a request end at another time."""
        self._longer[request.number] = ends_at

    def _land(self, request: Request) -> None:
        del self.requests[request.number]
        self._longer.pop(request.number, None)
        self.flaws.pop(request.number, None)
        awaited = request.row.awaited
        awaited.count -= 1
        if awaited.count == 0 and awaited.is_complete:
            self.ended += 1

    def _remember(self, number: int, meaning: str) -> None:
        """Keep what another reply to this request would be."""
        if len(self._done) >= _REMEMBERED:
            self._done, self._done_before = {}, self._done
        self._done[number] = meaning
