"""Sockets without a wire, and what may be heard by them."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any, cast

from monitorpi_prober.flights import Request, TargetRow
from monitorpi_prober.sources import packets
from monitorpi_prober.sources.neighbours import Hop
from monitorpi_prober.sources.packets import V4, V6, Format
from monitorpi_prober.sources.sockets import Link
from monitorpi_prober.sources.wire import EchoWire

IP, OTHER = "192.0.2.1", "192.0.2.2"
TOKEN = b"\1\2\3\4\5\6\7\x08"
NEAR = Hop((2, bytes((192, 0, 2, 1))))


class Line:
    """A socket by which one hears what was put there."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.errors: list[Any] = []
        self.refusals: list[int] = []
        self.sent: list[tuple[bytes, int, Any]] = []

    def sendto(self, packet: bytes, *how: Any) -> int:
        """Take a packet, or refuse it."""
        if self.refusals:
            raise OSError(self.refusals.pop(0), "refused")
        self.sent.append((packet, how[0] if len(how) > 1 else 0, how[-1]))
        return len(packet)

    def recvmsg(self, _size: int, _extra: int, flags: int = 0) -> Any:
        """Return the next of what was put there."""
        waiting = self.errors if flags & socket.MSG_ERRQUEUE else self.heard
        if not waiting:
            raise BlockingIOError
        found = waiting.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class Rig:
    """Sockets without a wire, and one request."""

    def __init__(self, *, stamps: bool = False, identifier: int | None = None,
                 ip: str = IP) -> None:  # fmt: skip
        self.line = Line()
        family = V6 if ":" in ip else V4
        self.link = Link(
            cast("socket.socket", self.line), Format(family, identifier, TOKEN), stamps
        )
        self.wire = EchoWire()
        self.wire._all = [self.link]
        self.row = TargetRow("a")
        self.ip = ip

    def send(self) -> Request:
        """Send a request."""
        request = self.wire.send(self.link, self.row, self.ip)
        assert request is not None
        return request

    def hear(self, data: bytes, sender: str = "", *extra: packets.Ancillary) -> None:
        """Let a packet come."""
        self.line.heard.append((data, [*extra], 0, (sender or self.ip, 0)))
        self.wire.receive_one(self.link)

    def fail(self, quoted: bytes, kind: int, code: int, to: Any, **more: Any) -> None:
        """Let an ICMP error come."""
        self.line.errors.append((quoted, [error(kind, code, **more)], 0, to))
        self.wire.read_queue(self.link)

    @property
    def counted(self) -> dict[str, int]:
        """What came without counting."""
        tally = self.wire.flights.tally
        found = {name: getattr(tally, name) for name in tally.__slots__}
        return {name: number for name, number in found.items() if number}


def reply(packet: bytes, code: int = 0, payload: bytes | None = None, sequence: int | None = None
          ) -> bytes:  # fmt: skip
    """Answer a request as a host does, for an unprivileged socket."""
    data = bytes([129 if packet[0] == 128 else 0, code]) + packet[2:]
    if sequence is not None:
        data = data[:6] + struct.pack("!H", sequence & 0xFFFF) + data[8:]
    return data if payload is None else data[:8] + payload


def stamp(ns: int, kind: int = packets.SO_TIMESTAMPNS) -> packets.Ancillary:
    """Write a stamp of the kernel."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return socket.SOL_SOCKET, kind, struct.pack("@qq", seconds, rest) + bytes(32)


def error(kind: int, code: int, offender: str = "", number: int = errno.EHOSTUNREACH
          ) -> packets.Ancillary:  # fmt: skip
    """Write an ICMP error as the kernel hands it out (ip(7))."""
    body = struct.pack("@IBBBBII", number, 2, kind, code, 0, 0, 0)
    who = socket.inet_aton(offender) if offender else bytes(4)
    return 0, packets.IP_RECVERR, body + struct.pack("=HH", 2, 0) + who
