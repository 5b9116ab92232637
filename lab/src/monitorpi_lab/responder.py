"""Answers echo requests for any number of addresses, as programmed, and keeps what it really did.

Theory of operation. It sits on a packet socket and owns no address. What becomes of the n-th
request to an address (delay, loss, a second reply, one with a wrong sequence number) follows from
a seed alone. Python cannot send at an exact moment, and need not: the kernel stamps each request's
arrival and each reply's departure, and the difference of the two is the truth that a measurement
is held against, so the responder's own lateness never counts as somebody's error.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
_TIMESTAMPNS: Final = 64  # asm-generic/socket.h: those with times of 64 bits on every machine
_TIMESTAMPING: Final = 65
_RCVBUFFORCE: Final = 33  # asm-generic/socket.h
_RECEIVE_BUFFER: Final = 1 << 24  # requests of ten seconds: none is lost while a core is away
_TX_SOFTWARE: Final = (1 << 1) | (1 << 4)
_TIMESPEC: Final = struct.Struct("=qq")
_LEAST: Final = 14 + 20 + 8
_ECHO_REQUEST: Final = 8
_ICMP: Final = 1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How requests are answered. Ratios are chances per request, times milliseconds."""

    seed: int = 1
    delay_ms: float = 0.5
    spread_ms: float = 6.0
    """An address's own delay is up to this much longer."""
    jitter_ms: float = 1.0
    loss: float = 0.05
    duplicate: float = 0.02
    wrong_sequence: float = 0.02
    """A reply whose sequence number was never asked goes out before the right one."""
    reorder: float = 0.02
    """Held ``reorder_ms`` longer, so that the answers to later requests overtake it."""
    reorder_ms: float = 120.0
    late: float = 0.0
    """Answered ``late_ms`` later than it should."""
    late_ms: float = 2000.0
    impostor: float = 0.0
    """Answered from the next address."""
    flaw: str = ""
    """What is wrong with every answer: one of :data:`FLAWS`."""


FLAWS: Final = ("empty", "short", "other data", "code", "sequence", "checksum")


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request."""

    delay_ms: float
    lost: bool
    duplicate: bool
    wrong_sequence: bool
    overtaken: bool
    late: bool
    impostor: bool


def fate(behaviour: Behaviour, address: str, number: int) -> Fate:
    """Return what becomes of the n-th request to an address: the same for the same seed."""
    own = _chances(f"{behaviour.seed}/{address}")[0]
    jitter, lost, duplicate, wrong, late, impostor, overtaken, _ = _chances(
        f"{behaviour.seed}/{address}/{number}"
    )
    delay = behaviour.delay_ms + own * behaviour.spread_ms + jitter * behaviour.jitter_ms
    if is_late := late < behaviour.late:
        delay += behaviour.late_ms
    if is_overtaken := overtaken < behaviour.reorder:
        delay += behaviour.reorder_ms
    return Fate(
        delay_ms=delay,
        lost=lost < behaviour.loss,
        duplicate=duplicate < behaviour.duplicate,
        wrong_sequence=wrong < behaviour.wrong_sequence,
        overtaken=is_overtaken,
        late=is_late,
        impostor=impostor < behaviour.impostor,
    )


def _chances(text: str) -> tuple[float, ...]:
    digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
    return tuple(value / 2**32 for value in struct.unpack("!8I", digest))


@dataclass(slots=True)
class AnsweredAddress:
    """One request: when it came, when its right reply left (Unix time, ns); 0: never."""

    fate: Fate
    arrived_ns: int
    left_ns: int = 0


@dataclass(slots=True)
class Responder:
    """The loop of the responder on one interface."""

    sock: socket.socket
    behaviour: Behaviour
    held: dict[str, list[AnsweredAddress]] = field(default_factory=dict)
    _pending: list[tuple[float, int, bytes]] = field(default_factory=list)
    _by_reply: dict[tuple[str, bytes], AnsweredAddress] = field(default_factory=dict)
    _order: int = 0
    stopped: bool = False

    def run(self) -> None:
        """Answer until stopped."""
        while not self.stopped:
            now = time.monotonic()
            while self._pending and self._pending[0][0] <= now:
                self.sock.send(heapq.heappop(self._pending)[2])
                self._read_departure()
            wait = self._pending[0][0] - time.monotonic() if self._pending else 0.2
            if select.select([self.sock], [], [], min(max(wait, 0.0), 0.2))[0]:
                self._take()

    def _take(self) -> None:
        try:
            frame, extra, _, _ = self.sock.recvmsg(2048, 256)
        except OSError:  # only a stamp has come, or the cable was pulled
            self._read_departure()
            return
        arrived = _stamp(extra, _TIMESTAMPNS) or time.time_ns()
        if len(frame) < _LEAST or frame[12:14] != b"\x08\x00" or frame[23] != _ICMP:
            return
        if frame[34] != _ECHO_REQUEST:
            return
        address = socket.inet_ntoa(frame[30:34])
        requests = self.held.setdefault(address, [])
        one = AnsweredAddress(fate(self.behaviour, address, len(requests)), arrived)
        requests.append(one)
        if not one.fate.lost:
            self._plan(frame, address, one)

    def _plan(self, frame: bytes, address: str, one: AnsweredAddress) -> None:
        source = frame[30:34]
        if one.fate.impostor:
            source = struct.pack("!I", struct.unpack("!I", source)[0] + 1)
        reply = answer(frame, source)
        if self.behaviour.flaw:
            reply = flawed(reply, self.behaviour.flaw)
        due = time.monotonic() + one.fate.delay_ms / 1000
        due -= max(0.0, (time.time_ns() - one.arrived_ns) / 1e9)
        self._by_reply[address, reply[38:42]] = one
        if one.fate.wrong_sequence:
            sequence = struct.unpack_from("!H", frame, 40)[0] ^ 0x8000
            self._push(due - 1e-4, answer(frame, source, sequence))
        self._push(due, reply)
        if one.fate.duplicate:
            self._push(due + 1e-4, reply)

    def _push(self, due: float, frame: bytes) -> None:
        self._order += 1
        heapq.heappush(self._pending, (due, self._order, frame))

    def _read_departure(self) -> None:
        try:
            frame, extra, _, _ = self.sock.recvmsg(2048, 256, socket.MSG_ERRQUEUE)
        except OSError:
            return
        left = _stamp(extra, _TIMESTAMPING)
        one = self._by_reply.get((socket.inet_ntoa(frame[26:30]), frame[38:42]))
        if one is not None and one.left_ns == 0 and left is not None:
            one.left_ns = left

    def truth(self) -> dict[str, list[float | None]]:
        """Return what each request was really held, in ms; None: it was not answered."""
        return {
            address: [
                (one.left_ns - one.arrived_ns) / 1e6 if one.left_ns else None for one in requests
            ]
            for address, requests in self.held.items()
        }


def answer(frame: bytes, source: bytes, sequence: int | None = None) -> bytes:
    """Transition an echo request into its reply, from an address of choice."""
    length = struct.unpack_from("!H", frame, 16)[0]
    icmp = bytearray(frame[34 : 14 + length])
    icmp[0:4] = b"\0\0\0\0"
    if sequence is not None:
        icmp[6:8] = struct.pack("!H", sequence)
    icmp[2:4] = struct.pack("!H", _checksum(bytes(icmp)))
    ip = bytearray(frame[14:34])
    ip[12:16], ip[16:20] = source, frame[26:30]
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack("!H", _checksum(bytes(ip)))
    return frame[6:12] + frame[0:6] + frame[12:14] + bytes(ip) + bytes(icmp)


def flawed(reply: bytes, flaw: str) -> bytes:
    """Make a reply wrong in one way, and right in all others."""
    ip, icmp = bytearray(reply[14:34]), bytearray(reply[34:])
    match flaw:
        case "empty":
            del icmp[8:]
        case "short":
            del icmp[30:]
        case "other data":
            icmp[8:] = b"z" * (len(icmp) - 8)
        case "code":
            icmp[1] = 3
        case "sequence":
            icmp[6] ^= 0x80
    icmp[2:4] = b"\0\0"
    icmp[2:4] = struct.pack("!H", _checksum(bytes(icmp)) ^ (0x5555 if flaw == "checksum" else 0))
    ip[2:4] = struct.pack("!H", 20 + len(icmp))
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack("!H", _checksum(bytes(ip)))
    return reply[:14] + bytes(ip) + bytes(icmp)


def _checksum(data: bytes) -> int:
    """Return the ones' complement checksum of RFC 1071."""
    even = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _stamp(extra: list[tuple[int, int, bytes]], kind: int) -> int | None:
    for level, found, data in extra:
        if level == socket.SOL_SOCKET and found == kind:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return None


def open_socket(interface: str) -> socket.socket:
    """Open a packet socket that stamps what comes and what goes."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    sock.bind((interface, 0x0800))
    sock.setsockopt(*_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPING, _TX_SOFTWARE)
    sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _RECEIVE_BUFFER)
    sock.setblocking(False)
    return sock


def main(argv: Sequence[str] | None = None) -> int:
    """Answer on one interface until a line comes in, then print the truth as JSON."""
    parser = argparse.ArgumentParser(prog="monitorpi-responder")
    parser.add_argument("interface")
    parser.add_argument("--behaviour", type=json.loads, default={}, help="JSON object")
    options = parser.parse_args(argv)
    responder = Responder(open_socket(options.interface), Behaviour(**options.behaviour))

    def stop(*_: Any) -> None:
        responder.stopped = True

    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    responder.run()
    json.dump(responder.truth(), sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
