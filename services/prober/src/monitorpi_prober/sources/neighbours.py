"""Who answers ARP and neighbour discovery, and which way requests go: as the kernel knows it.

Theory of operation. A routing socket (rtnetlink(7)) needs no privilege. It is asked once per
address for the next hop, and it is told of each neighbour that becomes usable or is given up, so
that before a request is sent it is known whether the kernel can hand it to the wire at once, or
would keep it and broadcast. Where there is no such socket, nothing is known, and nothing is held
back for want of a neighbour.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_host.interfaces import has_no_arp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# linux/rtnetlink.h, linux/netlink.h
_NEWADDR, _GETADDR = 20, 22
_GETROUTE, _NEWROUTE, _DELROUTE = 26, 24, 25
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_GROUPS: Final = 0x4 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_NEIGH, and addresses and routes of IPv4 and IPv6."""
_DST, _OIF, _GATEWAY, _VIA = 1, 4, 5, 18  # RTA_*; NDA_DST is 1 too
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_LOCAL: Final = 2  # RTN_LOCAL
_USABLE: Final = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
"""NUD_REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT (linux/neighbour.h)."""
_HEADER: Final = struct.Struct("=IHHII")
_NEIGHBOUR: Final = struct.Struct("=BxxxiHBB")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_ADDRESS: Final = struct.Struct("=BBBBi")
_ATTRIBUTE: Final = struct.Struct("=HH")
_BUFFER: Final = 1 << 16
_RECEIVE_BUFFER: Final = 1 << 20
_ANSWER_S: Final = 1.0

Neighbour = tuple[int, bytes]
"""Index of the interface, and the address as bytes."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Whom the requests to an address are handed to on the link."""

    neighbour: Neighbour
    gateway: str | None = None
    """The router's address; None: the address itself is near."""


@dataclass(slots=True)
class Neighbours:
    """The kernel's neighbour table, kept up to date."""

    sock: socket.socket | None = None
    """Tells of changes."""
    usable: set[Neighbour] = field(default_factory=set)
    own: frozenset[str] = frozenset()
    """This machine's addresses."""
    routes_changed: bool = False
    """Since :meth:`hop` was asked last."""

    def open(self) -> None:
        """Begin to listen; where that is not allowed nothing will be known."""
        try:
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self.sock.bind((0, _GROUPS))
        except (OSError, AttributeError):
            self.close()
            return
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.sock.setblocking(False)
        self._read_all()

    def close(self) -> None:
        """Stop listening."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def fileno(self) -> int | None:
        """Return what to wait for."""
        return None if self.sock is None else self.sock.fileno()

    def poll(self) -> bool:
        """Take the changes since the last call; True: there were some."""
        if self.sock is None:
            return False
        changed = False
        while True:
            try:
                data = self.sock.recv(_BUFFER)
            except BlockingIOError:
                return changed
            except OSError:  # ENOBUFS: some were lost
                self._read_all()
                return True
            changed = True
            for kind, body in _messages(data):
                self._take(kind, body)

    def _read_all(self) -> None:
        self.usable = set()
        with _question() as sock:
            for kind, body in _ask(sock, _GETNEIGH, _NEIGHBOUR.pack(0, 0, 0, 0, 0), _DUMP):
                self._take(kind, body)
        self._read_own()
        self.routes_changed = True

    def _read_own(self) -> None:
        self.own = frozenset(_own_addresses())

    def _take(self, kind: int, body: bytes) -> None:
        if kind in (_NEWNEIGH, _DELNEIGH) and len(body) >= _NEIGHBOUR.size:
            family, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
            address = dict(_attributes(body, _NEIGHBOUR.size)).get(_DST)
            if address is None or family not in (socket.AF_INET, socket.AF_INET6):
                return
            if kind == _NEWNEIGH and state & _USABLE:
                self.usable.add((index, address))
            else:
                self.usable.discard((index, address))
        elif kind in (_NEWROUTE, _DELROUTE):
            self.routes_changed = True
        elif kind in (_NEWADDR, _NEWADDR + 1):
            self._read_own()
            self.routes_changed = True

    def hops(self, ips: Iterable[str], interface: str | None = None) -> dict[str, Hop]:
        """Return the neighbour that requests to each address go to.

        An address is left out where there is none to ask for (our own, a link without ARP, no
        route), and where it is not known.
        """
        self.routes_changed = False
        if self.sock is None:
            return {}
        found = {}
        silent: dict[int, bool] = {}
        with _question() as sock:
            for ip in ips:
                address, _, zone = ip.partition("%")
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                raw = socket.inet_pton(family, address)
                body = _ROUTE.pack(family, len(raw) * 8, 0, 0, 0, 0, 0, 0, 0)
                leaving = _leaving(zone or interface)
                if leaving is None:
                    continue
                body += _attribute(_DST, raw) + leaving
                for kind, answer in _ask(sock, _GETROUTE, body):
                    hop = _read_route(answer, raw, silent) if kind == _NEWROUTE else None
                    if hop is not None:
                        found[ip] = hop
        return found


def _read_route(answer: bytes, raw: bytes, silent: dict[int, bool]) -> Hop | None:
    """Read a route; ``silent`` keeps which links have no ARP."""
    if len(answer) < _ROUTE.size:
        return None
    kind = _ROUTE.unpack_from(answer)[7]
    found = dict(_attributes(answer, _ROUTE.size))
    out = found.get(_OIF)
    if kind == _LOCAL or out is None:
        return None
    index = int(struct.unpack("=i", out)[0])
    if index not in silent:
        silent[index] = has_no_arp(index)
    if silent[index]:
        return None
    gateway = found.get(_GATEWAY)
    if gateway is None and (via := found.get(_VIA)) is not None:
        gateway = via[2:]  # an IPv4 route through an IPv6 neighbour (RFC 5549)
    if gateway is None:
        return Hop((index, raw))
    family = socket.AF_INET if len(gateway) == 4 else socket.AF_INET6  # noqa: PLR2004 - bytes of IPv4
    return Hop((index, gateway), socket.inet_ntop(family, gateway))


def _leaving(interface: str | None) -> bytes | None:
    """Ask for a way through an interface, if one is named; None: there is none of this name."""
    if not interface:
        return b""
    try:
        return _attribute(_OIF, struct.pack("=i", socket.if_nametoindex(interface)))
    except OSError:
        return None


def _own_addresses() -> Iterator[str]:
    with _question() as sock:
        for kind, body in _ask(sock, _GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0), _DUMP):
            if kind == _NEWADDR and len(body) >= _ADDRESS.size:
                found = dict(_attributes(body, _ADDRESS.size))
                raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
                family = body[0]
                if raw is not None and family in (socket.AF_INET, socket.AF_INET6):
                    yield socket.inet_ntop(family, raw)


def _question() -> socket.socket:
    """Open a socket to ask the kernel by."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.settimeout(_ANSWER_S)
    return sock


def _ask(sock: socket.socket, kind: int, body: bytes, flags: int = 0) -> list[tuple[int, bytes]]:
    """Ask one question and return all messages of the answer; none where the kernel refuses."""
    found: list[tuple[int, bytes]] = []
    head = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0)
    try:
        sock.send(head + body)
        while True:
            for got, content in _messages(sock.recv(_BUFFER)):
                if got in (_ERROR, _DONE):
                    return found
                found.append((got, content))
            if not flags & _DUMP:
                return found
    except OSError:
        return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Go through the messages in a packet from the kernel (netlink(7))."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Go through the attributes of a message (rtnetlink(7))."""
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    padding = bytes(-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding
