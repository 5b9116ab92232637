"""Sends echo requests at an even pace and takes the times of the replies.

Theory of operation. One socket per address family serves all targets: an unprivileged ICMP socket
where the system allows it, else a raw one. A single loop sends what is due, and between two
requests takes what has come. A round trip is the difference of two stamps of the kernel: the one
the driver took the request at (SO_TIMESTAMPING, read from the error queue), and the one the reply
arrived at (SO_TIMESTAMPNS). Whatever this process waits for - the other threads, a garbage
collection, a busy core, an ARP request still unanswered - is in neither, so it is not mistaken for
the network's delay. Where a driver sets no stamp, the moment just before the request was handed
over takes its place. So nobody has to be awake for a reply, and an awakening costs more than all
else: while requests follow each other closely, replies are read some at a time.

Both stamps are of the wall clock, which may be stepped in between: a round trip cannot be longer
than the monotonic time from handing over to reading, so then that time is taken.
"""

from __future__ import annotations

import errno
import heapq
import os
import select
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from icmplib import (
    ICMPSocketError,
    ICMPv4Socket,
    ICMPv6Socket,
    SocketAddressError,
    SocketPermissionError,
)

from monitorpi_common.service import ResourceError
from monitorpi_prober import interfaces, packets
from monitorpi_prober.packets import V4, V6, Family, Format
from monitorpi_prober.rounds import Echoes, PlanTaken, RoundDone
from monitorpi_prober.schedule import Lane, Pace, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

_ICMP_FILTER: Final = (255, 1)  # SOL_RAW, ICMP_FILTER (linux/icmp.h)
_ICMP6_FILTER: Final = (socket.IPPROTO_ICMPV6, 1)  # linux/icmpv6.h
_RECEIVE_BUFFER: Final = 1 << 20  # a second of replies at the highest rate
_BURST: Final = 4  # requests in one go, when late
_IDLE_S: Final = 1.0
_NEAR_S: Final = 0.02  # until the next request: replies wait for it
_READ_S: Final = 0.01  # between two readings while requests follow each other closely
_EXPIRY_S: Final = 0.02  # how late a missing reply may be found out: its time limit is exact
_AT_ONCE: Final = 1024  # packets taken before something is sent again: all a buffer holds
_PACKET, _ANCILLARY = 512, 256  # bytes: a reply of ours has 84; stamps and errors together 128
_NOISE_PROBES: Final = 10
_SLACK_NS: Final = 1_000_000  # between monotonic and wall clock: what slewing cannot reach
_REMEMBERED: Final = 4096  # requests whose late or second replies are told from foreign ones
_SOURCES_S: Final = 60.0
_PAST_DEAD: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED})


@dataclass(slots=True)
class Tally:
    """What came back without counting."""

    late: int = 0
    duplicate: int = 0
    foreign: int = 0
    """Not an answer to anything we sent, or with a wrong sequence number."""
    impostor: int = 0
    """From another address than the one asked."""


@dataclass(slots=True)
class _Round:
    """A round of one lane, on its way."""

    plan: Plan
    lane: Lane
    start: datetime
    pace: Pace
    ends_at: float
    times: list[list[float | None]]
    errors: list[str | None]
    noise: list[float | None]
    total: int
    sent: int = 0
    under_way: int = 0

    @property
    def is_over(self) -> bool:
        """All is sent, and nothing is waited for."""
        return self.under_way == 0 and self.sent >= self.total


@dataclass(slots=True)
class _Sent:
    """An echo request that is under way."""

    round: _Round
    target: int
    """Index in the lane; -1: loopback, for the noise floor."""
    probe: int
    ip: str
    before_ns: int
    """Monotonic, just before it was handed over."""
    wall_ns: int
    """The same moment by the wall clock, until the driver's own stamp replaces it."""
    stamped: bool = False


@dataclass(slots=True)
class _Link:
    """One ICMP socket with the format of its packets."""

    sock: socket.socket
    format: Format
    stamps: bool = True
    """The kernel takes the moment of sending."""
    is_used: bool = False
    """Something was sent, so something may come."""


@dataclass(slots=True)
class Pinger:
    """A source of finished rounds.

    ``source`` is an address or an interface of this machine to send from; None: as routed.
    """

    source: str | None = None
    tally: Tally = field(default_factory=Tally)
    _plan: Plan = field(default_factory=Plan)
    _ordered: deque[Plan] = field(default_factory=lambda: deque(maxlen=1))
    _extra: deque[Lane | None] = field(default_factory=lambda: deque(maxlen=64))
    _stopped: bool = False
    _wake: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK))
    _token: bytes = field(default_factory=lambda: os.urandom(packets.TOKEN_BYTES))
    _number: int = field(default_factory=lambda: int.from_bytes(os.urandom(4), "big"))
    _links: dict[int, _Link] = field(default_factory=dict)
    _noise: _Link | None = None
    _by_number: dict[int, _Link] = field(default_factory=dict)
    _watched: list[int] = field(default_factory=list)
    _flights: dict[int, _Sent] = field(default_factory=dict)
    _expiry: deque[tuple[float, int]] = field(default_factory=deque)
    _done: dict[int, str] = field(default_factory=dict)
    _rounds: list[_Round] = field(default_factory=list)
    _some_are_over: bool = False
    _due: list[tuple[float, int, _Round]] = field(default_factory=list)
    _starts: dict[float, float] = field(default_factory=dict)
    _order: int = 0
    _sources_at: float = 0.0
    _read_at: float = 0.0

    # --- called from other threads ----------------------------------------------------------

    def order(self, plan: Plan) -> None:
        """Take another plan: rounds under way end as they began."""
        self._ordered.append(plan)
        os.eventfd_write(self._wake, 1)

    def hurry(self, lane: Lane | None) -> None:
        """Probe the targets of a lane once, besides the rounds; None: begin all rounds anew."""
        self._extra.append(lane)
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
                self._take_orders(emit)
                now = time.monotonic()
                self._begin_rounds(now)
                self._send_due(now)
                self._expire(now)
                self._finish(emit)
                self._listen()
        finally:
            for link in self._by_number.values():
                link.sock.close()
            self._by_number.clear()

    def _take_orders(self, emit: Callable[[object], None]) -> None:
        now = time.monotonic()
        ordered = bool(self._ordered)
        if ordered:
            self._plan = self._ordered.popleft()
            wanted = {lane.wanted_s for lane in self._plan.lanes}
            old = self._starts
            self._starts = {lane: old.get(lane, now) for lane in wanted}
        if ordered or (self._plan.lanes and now - self._sources_at > _SOURCES_S):
            self._sources_at = now
            exits = interfaces.exits(self._plan, self.source)
            emit(PlanTaken(datetime.now(UTC), self._plan, exits))
        while self._extra:
            lane = self._extra.popleft()
            if lane is not None:
                self._begin(lane, now)
                continue
            self._starts = dict.fromkeys(self._starts, now)
            for running in self._rounds:
                running.total = running.sent
            self._some_are_over = True

    def _begin_rounds(self, now: float) -> None:
        for lane in self._plan.lanes:
            if now >= self._starts.get(lane.wanted_s, now):
                self._begin(lane, now)
                self._starts[lane.wanted_s] = max(
                    self._starts.get(lane.wanted_s, now) + lane.interval_s, now
                )

    def _begin(self, lane: Lane, now: float) -> None:
        aims = lane.aims
        total = lane.probes * len(aims)
        if total == 0:
            return
        one = _Round(
            self._plan,
            lane,
            datetime.now(UTC),
            Pace(now, lane.interval_s / total),
            now + lane.interval_s,
            [[] for _ in aims],
            [aim.error for aim in aims],
            [],
            total,
        )
        self._rounds.append(one)
        self._push(one)

    def _push(self, one: _Round) -> None:
        self._order += 1
        heapq.heappush(self._due, (one.pace.next_at, self._order, one))

    def _next_at(self, now: float) -> float:
        """Return when something is due next."""
        soonest = now + _IDLE_S
        if self._due and self._due[0][0] < soonest:
            soonest = self._due[0][0]
        if self._expiry and self._expiry[0][0] + _EXPIRY_S < soonest:
            soonest = self._expiry[0][0] + _EXPIRY_S
        for start in self._starts.values():
            soonest = min(soonest, start)
        return soonest

    # --- sending ----------------------------------------------------------------------------

    def _send_due(self, now: float) -> None:
        for _ in range(_BURST):
            if not self._due or self._due[0][0] > now:
                return
            one = heapq.heappop(self._due)[2]
            if one.sent >= one.total:
                continue
            self._send_next(one)
            one.pace.take(now)
            if one.sent < one.total:
                self._push(one)
            else:
                self._some_are_over = True

    def _send_next(self, one: _Round) -> None:
        """Send the next request of a round, and now and then one over loopback."""
        index, probe = one.sent % len(one.lane.aims), one.sent // len(one.lane.aims)
        if one.sent * _NOISE_PROBES // one.total >= len(one.noise) and self._noise is not None:
            one.noise.append(None)
            self._send(self._noise, one, -1, len(one.noise) - 1, "127.0.0.1")
        one.sent += 1
        aim = one.lane.aims[index]
        if aim.ip is None:
            return
        one.times[index].append(None)
        link = self._links.get(6 if ":" in aim.ip else 4)
        if link is None:
            one.errors[index] = f"this machine has no IPv{6 if ':' in aim.ip else 4}"
            return
        error = self._send(link, one, index, probe, aim.ip)
        if error is not None:
            one.errors[index] = error

    def _send(self, link: _Link, one: _Round, target: int, probe: int, ip: str) -> str | None:
        """Send one request; returns what went wrong, if anything did."""
        self._number += 1
        number = self._number
        packet = link.format.request(number)
        before_ns = time.monotonic_ns()
        sent = _Sent(one, target, probe, ip, before_ns, time.time_ns())
        self._flights[number] = sent
        one.under_way += 1
        link.is_used = True
        self._expiry.append((before_ns / 1e9 + one.plan.timeout_s, number))
        try:
            try:
                link.sock.sendto(packet, (ip, 0))
            except OSError as error:
                if error.errno not in _PAST_DEAD:
                    raise
                # may be an ICMP error about another target that waited on the socket
                self._drain_errors(link)
                sent.wall_ns = time.time_ns()
                link.sock.sendto(packet, (ip, 0))
        except BlockingIOError:
            return "the send buffer is full: the link is too slow for prober.max_rate"
        except OSError as error:
            return packets.explain(error.errno, None) if error.errno else str(error)
        if link.stamps:
            self._drain_errors(link, at_most=1)
        return None

    # --- receiving --------------------------------------------------------------------------

    def _listen(self) -> None:
        """Wait until something is due or has come, and take what has come."""
        now = time.monotonic()
        seconds = self._next_at(now) - now
        if seconds >= _NEAR_S:
            ready, _, _ = select.select(self._watched, [], [], seconds)
            for number in ready:
                if number == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._receive(self._by_number[number])
            return
        if seconds > 0:
            time.sleep(seconds)
        if now + seconds >= self._read_at:
            self._receive_all(now + seconds)

    def _receive_all(self, now: float) -> None:
        self._read_at = now + _READ_S
        for link in self._by_number.values():
            if link.is_used:
                self._receive_from(link)

    def _receive_from(self, link: _Link) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, extra, _, sender = link.sock.recvmsg(_PACKET, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                self._drain_errors(link)
                return
            self._match(link, data, extra, sender[0])

    def _receive(self, link: _Link) -> None:
        try:
            data, extra, _, sender = link.sock.recvmsg(_PACKET, _ANCILLARY)
        except OSError:
            # nothing but a stamp or an ICMP error: they wait on the error queue
            self._drain_errors(link)
            return
        self._match(link, data, extra, sender[0])

    def _match(self, link: _Link, data: bytes, extra: list[packets.Ancillary], sender: str) -> None:
        """Credit a reply to its request; what is not ours, late or double is only counted."""
        read_ns = time.monotonic_ns()
        number = link.format.number_of(data)
        if number is None:
            self.tally.foreign += 1
            return
        sent = self._flights.get(number)
        if sent is None:
            self._too_late(number)
            return
        if link.stamps and not sent.stamped:
            self._drain_errors(link)
        if sender != sent.ip and _plain(sender) != _plain(sent.ip):
            self.tally.impostor += 1
            if sent.target >= 0:
                sent.round.errors[sent.target] = f"answered by {_plain(sender)}"
            return
        self._credit(number, sent, packets.arrival_ns(extra), read_ns)

    def _credit(self, number: int, sent: _Sent, arrived_ns: int | None, read_ns: int) -> None:
        longest_ns = read_ns - sent.before_ns
        took_ns = longest_ns if arrived_ns is None else arrived_ns - sent.wall_ns
        if not -_SLACK_NS <= took_ns <= longest_ns + _SLACK_NS:
            took_ns = longest_ns  # the wall clock was stepped in between
        self._land(number, sent)
        took_ms = max(took_ns, 0) / 1e6
        if took_ms > sent.round.plan.timeout_s * 1000:
            self.tally.late += 1
            return
        self._remember(number, "duplicate")
        row = sent.round.noise if sent.target < 0 else sent.round.times[sent.target]
        row[sent.probe] = took_ms

    def _too_late(self, number: int) -> None:
        match self._done.get(number):
            case "duplicate":
                self.tally.duplicate += 1
            case "late":
                self.tally.late += 1
            case _:
                self.tally.foreign += 1

    def _remember(self, number: int, meaning: str) -> None:
        """Keep what another reply to this request would be."""
        self._done[number] = meaning
        if len(self._done) > _REMEMBERED:
            del self._done[next(iter(self._done))]

    def _land(self, number: int, sent: _Sent) -> None:
        del self._flights[number]
        sent.round.under_way -= 1
        if sent.round.is_over:
            self._some_are_over = True

    def _drain_errors(self, link: _Link, at_most: int = 256) -> None:
        """Read stamps of sending and ICMP errors."""
        for _ in range(at_most):
            try:
                data, extra, _, to = link.sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            stamp = packets.departure_ns(extra)
            if stamp is not None:
                sent = self._flights.get(link.format.number_sent(data) or 0)
                if sent is not None:
                    sent.wall_ns, sent.stamped = stamp, True
                continue
            error = packets.icmp_error(extra, link.format.family)
            if error is not None:
                self._note_error(data, to, packets.explain(*error))

    def _note_error(self, quoted: bytes, to: Any, text: str) -> None:
        sequence = packets.sequence_of(quoted)
        if sequence is None or not to:
            return
        sent = self._flights.get(packets.latest_with(sequence, self._number))
        if sent is not None and sent.target >= 0 and _plain(sent.ip) == _plain(to[0]):
            sent.round.errors[sent.target] = text

    # --- the end of a round -----------------------------------------------------------------

    def _expire(self, now: float) -> None:
        """Give up on replies that are due, after a look whether they have come."""
        expiry, flights = self._expiry, self._flights
        while expiry and expiry[0][1] not in flights:
            expiry.popleft()
        if not expiry or expiry[0][0] + _EXPIRY_S > now:
            return
        self._receive_all(now)
        while expiry and expiry[0][0] <= now:
            number = expiry.popleft()[1]
            sent = flights.get(number)
            if sent is not None:
                self._land(number, sent)
                self._remember(number, "late")

    def _finish(self, emit: Callable[[object], None]) -> None:
        if not self._some_are_over:
            return
        self._some_are_over = False
        for one in [r for r in self._rounds if r.is_over]:
            self._rounds.remove(one)
            echoes = tuple(
                Echoes(aim.key, tuple(times), error)
                for aim, times, error in zip(one.lane.aims, one.times, one.errors, strict=True)
            )
            noise = tuple(time for time in one.noise if time is not None)
            emit(RoundDone(one.start, datetime.now(UTC), one.plan, one.lane, echoes, noise))

    # --- sockets ----------------------------------------------------------------------------

    def _open(self) -> None:
        place = interfaces.place(self.source)
        self._links[4] = _open_link(V4, self._token, place.ip(4), place.interface)
        try:
            self._links[6] = _open_link(V6, self._token, place.ip(6), place.interface)
        except (ResourceError, OSError):
            self._links.pop(6, None)  # a machine without IPv6: told with each such target
        self._noise = self._links[4]
        if place.interface is not None:
            self._noise = _open_link(V4, self._token, None, None)
        self._by_number = {link.sock.fileno(): link for link in self._links.values()}
        self._by_number[self._noise.sock.fileno()] = self._noise
        self._watched = [self._wake, *self._by_number]


def _open_link(family: Family, token: bytes, address: str | None, interface: str | None) -> _Link:
    """Open an ICMP socket, unprivileged where that is allowed, with the kernel's time stamps."""
    kind = ICMPv4Socket if family is V4 else ICMPv6Socket
    privileged = False
    try:
        try:
            owner = kind(address, privileged=False)
        except SocketPermissionError:
            owner, privileged = kind(address, privileged=True), True
    except SocketPermissionError:
        raise ResourceError(
            "no ICMP socket may be opened: run as root, give CAP_NET_RAW, or allow everybody "
            "with sysctl net.ipv4.ping_group_range='0 2147483647'"
        ) from None
    except SocketAddressError:
        raise ResourceError(
            f"cannot send from {address}: prober.source must be an address or an interface of "
            "this machine"
        ) from None
    except ICMPSocketError as error:
        raise ResourceError(f"no ICMP socket for IPv{family.version}: {error}") from None
    sock: socket.socket = socket.socket(fileno=os.dup(owner.sock.fileno()))
    owner.close()
    _prepare(sock, family, interface, privileged=privileged)
    identifier = int.from_bytes(os.urandom(2), "big") if privileged else None
    stamps = True
    try:
        sock.setsockopt(socket.SOL_SOCKET, packets.SO_TIMESTAMPING, packets.TX_STAMPS)
    except OSError:
        stamps = False
    return _Link(sock, Format(family, identifier, token), stamps)


def _prepare(
    sock: socket.socket, family: Family, interface: str | None, *, privileged: bool
) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, packets.SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    sock.setsockopt(family.level, family.recverr, 1)
    if interface is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        except OSError as error:
            raise ResourceError(
                f"cannot send from interface {interface} ({error.strerror}): prober.source must "
                "be an address or an interface of this machine"
            ) from None
    if privileged and family is V4:
        only_replies = ~(1 << V4.reply) & 0xFFFFFFFF
        sock.setsockopt(*_ICMP_FILTER, struct.pack("=I", only_replies))
    elif privileged:
        blocked = bytearray(b"\xff" * 32)
        blocked[V6.reply // 32 * 4 : V6.reply // 32 * 4 + 4] = struct.pack(
            "=I", ~(1 << V6.reply % 32) & 0xFFFFFFFF
        )
        sock.setsockopt(*_ICMP6_FILTER, bytes(blocked))


def _plain(ip: str) -> str:
    """Return an address without its zone."""
    return ip.split("%", maxsplit=1)[0]


def one_round(
    pinger: Pinger, lane: Lane, timeout_s: float, emit: Callable[[object], None] = lambda _: None
) -> RoundDone:
    """Measure one round and return it; for programs that are not services.

    Raises:
        ResourceError: no ICMP socket may be opened.

    """
    done: list[RoundDone] = []

    def take(item: object) -> None:
        emit(item)
        if isinstance(item, RoundDone):
            done.append(item)
            pinger.stop()

    pinger.order(Plan((), timeout_s))
    pinger.hurry(lane)
    pinger.run(take)
    return done[0]
