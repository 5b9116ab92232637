"""The sockets in use: hands requests to the kernel, and credits what comes back to each.

Theory of operation. Two sockets per address family: one for the rounds, one for single requests to
targets that may be silent, whose waiting requests so take no room from the others. The kernel
says on the error queue when the driver took a request, and what went wrong with it; both are read
as early as it costs little.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.service import ResourceError
from monitorpi_prober.flights import GRACE_S, Flights, Note, Request, TargetRow
from monitorpi_prober.items import (
    ALTERED,
    NO_NEIGHBOUR,
    NO_NETWORK,
    NO_REPLY,
    OTHER_ADDRESS,
    UNREACHABLE,
    UNSENT,
)
from monitorpi_prober.sources import packets
from monitorpi_prober.sources.exits import destination
from monitorpi_prober.sources.neighbours import Hop, Neighbours
from monitorpi_prober.sources.packets import V4, V6, IcmpError
from monitorpi_prober.sources.sockets import ANCILLARY_BYTES, PACKET_BYTES, Link, open_link

if TYPE_CHECKING:
    from monitorpi_prober.sources.exits import Place

_AT_ONCE: Final = 1024
"""Packets taken from a socket before something is sent again. Its buffer holds more: 2,521 replies
of ours were counted in a full one (Linux 6.18, x86-64)."""
_QUEUED_AT_ONCE: Final = 256
_EXPIRY_S: Final = 0.25  # how late a missing reply may be found out: its time limit is exact
_SLACK_NS: Final = 1_000_000  # between monotonic and wall clock: what slewing cannot reach
_PAST_DEAD: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED})
_FULL: Final = Note("the send buffer is full: the link is too slow for prober.max_rate", UNSENT)
_CONFIRM: Final = 0x800
"""MSG_CONFIRM (send(2)): the neighbour has just passed a reply on, so the kernel need not ask."""
_HOST_UNREACHABLE: Final = {4: (3, 1), 6: (1, 3)}  # RFC 792; RFC 4443, 3.1


@dataclass(slots=True)
class EchoWire:
    """The ICMP sockets, and the requests that are under way through them."""

    neighbours: Neighbours = field(default_factory=Neighbours)
    flights: Flights = field(default_factory=Flights)
    hops: dict[str, Hop] = field(default_factory=dict)
    """The neighbour that requests to an address go to, where there is one to ask for."""
    links: dict[int, Link] = field(default_factory=dict)
    """For rounds, by IP version."""
    quiet_links: dict[int, Link] = field(default_factory=dict)
    noise: Link | None = None
    """For loopback."""
    unsent: int = 0
    """Requests the kernel refused, or gave up for want of a neighbour."""
    _all: list[Link] = field(default_factory=list)
    _number: int = field(default_factory=lambda: int.from_bytes(os.urandom(4), "big"))

    def open(self, place: Place) -> None:
        """Open the sockets.

        Raises:
            ResourceError: none may be opened, or not from this place.

        """
        token = os.urandom(packets.TOKEN_BYTES)
        for links in (self.links, self.quiet_links):
            links[4] = open_link(V4, token, place.ip(4), place.interface)
            try:
                links[6] = open_link(V6, token, place.ip(6), place.interface)
            except (ResourceError, OSError):
                links.pop(6, None)  # a machine without IPv6: told with each such target
        self.noise = self.links[4]
        if place.interface is not None:
            self.noise = open_link(V4, token, None, None)
        self._all = [*self.links.values(), *self.quiet_links.values()]
        if self.noise not in self._all:
            self._all.append(self.noise)
        self.neighbours.open()

    def close(self) -> None:
        """Close all sockets."""
        for link in self._all:
            link.sock.close()
        self._all.clear()
        self.neighbours.close()

    def by_fileno(self) -> dict[int, Link]:
        """Return the sockets by their descriptors."""
        return {link.sock.fileno(): link for link in self._all}

    # --- sending ----------------------------------------------------------------------------

    def lacks_neighbour(self, ip: str) -> bool:
        """Return whether the kernel would keep a request to an address and broadcast first."""
        hop = self.hops.get(ip)
        return hop is not None and hop.neighbour not in self.neighbours.usable

    def send(self, link: Link, row: TargetRow, ip: str) -> Request | None:
        """Send one request; None: the kernel did not take it, and the row says why."""
        self._number += 1
        number = self._number
        packet = link.format.request(number)
        link.is_used = True
        before_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        try:
            to = destination(ip) if "%" in ip else (ip, 0)
            flags, row.has_answered = (_CONFIRM if row.has_answered else 0), False
            try:
                link.sock.sendto(packet, flags, to)
            except OSError as error:
                if error.errno not in _PAST_DEAD:
                    raise
                # may be an ICMP error about another target that waited on the socket
                self.read_queue(link)
                wall_ns = time.time_ns()
                link.sock.sendto(packet, to)
        except OSError as error:
            row.unsent += 1
            self.unsent += 1
            row.note = _refusal(error, ip)
            return None
        request = Request(row, number, ip, before_ns, wall_ns)
        self.flights.depart(request, before_ns / 1e9 + row.limit_s + GRACE_S)
        if link.stamps:
            self.read_queue(link, at_most=1)
        return request

    def no_family(self, ip: str) -> Note:
        """Say that this machine cannot reach an address of this version of IP."""
        return Note(f"this machine has no IPv{6 if ':' in ip else 4}", NO_NETWORK)

    # --- receiving --------------------------------------------------------------------------

    def receive_all(self) -> None:
        """Take what has come on all sockets."""
        for link in self._all:
            if link.is_used:
                self._receive_from(link)

    def _receive_from(self, link: Link) -> None:
        receive, match = link.sock.recvmsg, self._match
        read_ns = time.monotonic_ns()
        for _ in range(_AT_ONCE):
            try:
                data, extra, _, sender = receive(PACKET_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.read_queue(link)
                return
            match(link, data, extra, sender[0], read_ns)

    def receive_one(self, link: Link) -> None:
        """Take what made a socket readable."""
        try:
            data, extra, _, sender = link.sock.recvmsg(PACKET_BYTES, ANCILLARY_BYTES)
        except OSError:
            # nothing but a stamp or an ICMP error: they wait on the error queue
            self.read_queue(link)
            return
        self._match(link, data, extra, sender[0], time.monotonic_ns())

    def _match(
        self, link: Link, data: bytes, extra: list[packets.Ancillary], sender: str, read_ns: int
    ) -> None:
        """Credit a sound reply to its request; what is not ours, late or double is only counted."""
        number = link.format.number_of(data)
        if number is None:
            self._examine(link, data, sender)
            return
        request = self.flights.requests.get(number)
        if request is None:
            self.flights.after_the_end(number)
            return
        if link.stamps and not request.stamped:
            self.read_queue(link)
        if sender != request.ip and plain(sender) != plain(request.ip):
            self.flights.tally.impostor += 1
            self.flights.flaws[number] = Note(f"answered by {plain(sender)}", OTHER_ADDRESS)
            return
        arrived_ns = packets.arrival_ns(extra)
        longest_ns = read_ns - request.before_ns
        took_ns = longest_ns if arrived_ns is None else arrived_ns - request.wall_ns
        if not -_SLACK_NS <= took_ns <= longest_ns + _SLACK_NS:
            took_ns = longest_ns  # the wall clock was stepped in between
        self.flights.receive(request, max(took_ns, 0) / 1e6)

    def _examine(self, link: Link, data: bytes, sender: str) -> None:
        """Note an answer that is no sound reply, where it is the one to a request under way."""
        found = link.format.examine(data)
        if found is None:
            self.flights.tally.foreign += 1
            return
        number = found.number
        if number is None:
            number = packets.latest_with(found.sequence, self._number)
        request = self.flights.requests.get(number)
        if request is None or plain(sender) != plain(request.ip):
            self.flights.after_the_end(found.number or 0)
        elif found.flaw is None:
            # an unprivileged socket never sees it: so it is no answer here either
            self.flights.tally.damaged += 1
            request.row.note = Note("its replies have a wrong checksum", NO_REPLY)
        else:
            if found.number is not None and found.sequence != found.number & 0xFFFF:
                self.flights.tally.foreign += 1
            self.flights.flaws[request.number] = Note(found.flaw, ALTERED)

    # --- the error queue --------------------------------------------------------------------

    def read_queue(self, link: Link, at_most: int = _QUEUED_AT_ONCE) -> None:
        """Read stamps of sending and ICMP errors."""
        for _ in range(at_most):
            try:
                data, extra, _, to = link.sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            found = packets.read_queued(extra, link.format.family)
            if isinstance(found, int):
                request = self.flights.requests.get(link.format.number_sent(data) or 0)
                if request is not None:
                    request.wall_ns, request.stamped = found, True
            elif found is not None:
                self._take_error(link, found, data, to)

    def _take_error(self, link: Link, error: IcmpError, quoted: bytes, to: Any) -> None:
        """Note an ICMP error with the request it quotes; forged ones do not know identifiers."""
        one = packets.quoted_request(quoted)
        if one is None or not to or link.format.identifier not in (None, one[0]):
            return
        request = self.flights.requests.get(packets.latest_with(one[1], self._number))
        if request is None or plain(request.ip) != plain(to[0]):
            return
        family = link.format.family
        is_ours = error.offender is None or error.offender in self.neighbours.own
        if is_ours and (error.kind, error.code) == _HOST_UNREACHABLE[family.version]:
            self.give_up(request)
        else:
            request.row.note = Note(packets.explain(error, family), UNREACHABLE)

    # --- the end ----------------------------------------------------------------------------

    def give_up(self, request: Request) -> None:
        """Take it that nobody answered ARP: the kernel has thrown the request away."""
        self.unsent += 1
        self.flights.unsend(request, self.silence(request.ip))

    def silence(self, ip: str) -> Note:
        """Return who does not answer ARP or neighbour discovery."""
        hop = self.hops.get(ip)
        protocol = "neighbour discovery" if ":" in ip else "ARP"
        if hop is not None and hop.gateway is not None:
            return Note(
                f"the router to it, {hop.gateway}, does not answer {protocol}", NO_NEIGHBOUR
            )
        return Note(f"nobody answers {protocol} for this address", NO_NEIGHBOUR)

    def expire(self, now: float) -> float | None:
        """Give up on replies that are due, after a look whether they have come.

        Returns:
            when there is something to give up next; None: nothing is under way.

        """
        at = self.flights.next_expiry()
        if at is None or at + _EXPIRY_S > now:
            return None if at is None else at + _EXPIRY_S
        self.receive_all()
        while (request := self.flights.take_expired(now)) is not None:
            if not request.stamped and self.lacks_neighbour(request.ip):
                self.give_up(request)
            else:
                self.flights.expire(request)
        return now + _EXPIRY_S


def _refusal(error: OSError, ip: str) -> Note:
    """Return why the kernel did not take a request."""
    if isinstance(error, BlockingIOError):
        return _FULL
    address, _, zone = ip.partition("%")
    if zone and not _has_interface(zone):
        return Note(f"this machine has no interface {zone}", NO_NETWORK)
    if error.errno == errno.EINVAL and address.startswith("fe80:") and not zone:
        return Note(f"say on which interface it is: {address}%eth0, for example", NO_NETWORK)
    text = os.strerror(error.errno).lower() if error.errno else str(error)
    match error.errno:
        case errno.ENETUNREACH | errno.EADDRNOTAVAIL | errno.ENODEV | errno.ENETDOWN:
            return Note(text, NO_NETWORK)
        case errno.EHOSTUNREACH | errno.ECONNREFUSED:
            return Note(text, UNREACHABLE)
        case _:
            return Note(text, UNSENT)


def _has_interface(name: str) -> bool:
    return name.isdecimal() or name in (other for _, other in socket.if_nameindex())


def plain(ip: str) -> str:
    """Return an address without its zone."""
    return ip.partition("%")[0]
