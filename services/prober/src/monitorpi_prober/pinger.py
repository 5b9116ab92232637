"""Sends echo requests at an even pace and takes the times of the replies.

One socket for all targets: an unprivileged ICMP socket where the system allows it, else a raw one.
The time of a reply is taken by the kernel when it arrives (SO_TIMESTAMPNS), not by Python when it
gets round to reading, so waiting in this process does not count as the network's delay.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import ProbeSource
from monitorpi_common.service import ResourceError
from monitorpi_prober.rounds import Echoes, Plan, RoundDone

if TYPE_CHECKING:
    from collections.abc import Callable

_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; Python 3.11 has no name for it
_ICMP_FILTER: Final = 1  # linux/icmp.h
_SOL_RAW: Final = 255
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER: Final = struct.Struct("!BBHHH")
_TIMESPEC: Final = struct.Struct("@qq")
_TOKEN_BYTES: Final = 8
_PAYLOAD_BYTES: Final = 56  # what ping(8) sends


@dataclass(slots=True)
class _Sent:
    """An echo request that is under way."""

    key: str
    index: int
    address: str
    at_ns: int


@dataclass(slots=True)
class Pinger:
    """A source of finished rounds."""

    source: str | None
    _plan: Plan | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _now: threading.Event = field(default_factory=threading.Event)
    _sequence: int = 0
    _token: bytes = field(default_factory=lambda: os.urandom(_TOKEN_BYTES))
    _identifier: int = field(default_factory=lambda: int.from_bytes(os.urandom(2), "big"))
    _raw: bool = False

    def order(self, plan: Plan) -> None:
        """Take the plan for the next round; called from another thread."""
        self._plan = plan

    def hurry(self) -> None:
        """Start the next round at once."""
        self._now.set()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Measure round after round.

        Raises:
            ResourceError: no ICMP socket may be opened.

        """
        with self._open() as sock:
            while not self._stopped.is_set():
                plan = self._plan
                started = time.monotonic()
                if plan is not None and plan.aims:
                    done = self._round(sock, plan)
                    if self._stopped.is_set():
                        return  # half a round would look like loss
                    emit(done)
                interval = plan.interval_s if plan is not None else 1.0
                self._now.clear()
                self._rest(started + interval)

    def _rest(self, until: float) -> None:
        """Wait for the next round, a hurry or the end."""
        while (left := until - time.monotonic()) > 0 and not self._stopped.is_set():
            if self._now.wait(min(left, 0.2)):
                return
            if self._plan is not None and self._plan.aims and left > self._plan.interval_s:
                return

    def _open(self) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        except PermissionError:
            sock = self._open_raw()
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        if self.source is not None:
            try:
                sock.bind((self.source, 0))
            except OSError as error:
                raise ResourceError(
                    f"cannot send from {self.source} ({error.strerror}): prober.source must be an "
                    "address of this machine"
                ) from None
        sock.setblocking(False)
        return sock

    def _open_raw(self) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        except PermissionError:
            raise ResourceError(
                "no ICMP socket may be opened: run as root, give CAP_NET_RAW, or allow everybody "
                "with sysctl net.ipv4.ping_group_range='0 2147483647'"
            ) from None
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY) & 0xFFFFFFFF))
        self._raw = True
        return sock

    # --- one round --------------------------------------------------------------------------

    def _round(self, sock: socket.socket, plan: Plan) -> RoundDone:
        """Send the round's requests evenly spaced, interleaved over the targets, and listen."""
        start = datetime.now(UTC)
        times: dict[str, list[float | None]] = {aim.key: [None] * plan.probes for aim in plan.aims}
        errors: dict[str, str] = {}
        under_way: dict[int, _Sent] = {}
        total = plan.probes * len(plan.aims)
        span = max(plan.interval_s - plan.timeout_s - 0.2, plan.interval_s / 2)
        begin = time.monotonic()
        for number in range(total):
            if self._stopped.is_set():
                break
            aim = plan.aims[number % len(plan.aims)]
            self._listen(sock, begin + number * span / total, under_way, times)
            index = number // len(plan.aims)
            error = self._send(sock, aim.key, aim.address, index, under_way)
            if error is not None:
                errors[aim.key] = error
        self._listen(sock, time.monotonic() + plan.timeout_s, under_way, times, until_empty=True)
        echoes = tuple(
            Echoes(aim.key, tuple(times[aim.key]), errors.get(aim.key)) for aim in plan.aims
        )
        source = own_source(self.source, plan.aims[0].address)
        return RoundDone(start, datetime.now(UTC), plan, echoes, source, None)

    def _send(
        self, sock: socket.socket, key: str, address: str, index: int, under_way: dict[int, _Sent]
    ) -> str | None:
        """Send one request; returns what went wrong, if anything did."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        packet = echo_request(self._identifier, self._sequence, self._token)
        under_way[self._sequence] = _Sent(key, index, address, time.time_ns())
        try:
            sock.sendto(packet, (address, 0))
        except BlockingIOError:
            return "the send buffer is full"
        except (OSError, UnicodeError) as error:
            return getattr(error, "strerror", None) or str(error)
        return None

    def _listen(
        self,
        sock: socket.socket,
        until: float,
        under_way: dict[int, _Sent],
        times: dict[str, list[float | None]],
        *,
        until_empty: bool = False,
    ) -> None:
        """Take replies until a moment, or until none is missing."""
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        while not self._stopped.is_set():
            left = until - time.monotonic()
            if left <= 0 or (until_empty and not under_way):
                return
            if not poll.poll(min(left, 0.2) * 1000):
                continue
            try:
                data, extra, _, sender = sock.recvmsg(2048, 128)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    continue
                continue  # an ICMP error for one target is no reason to lose the others
            at_ns = _arrival_ns(extra)
            self._match(data, sender[0], at_ns, under_way, times)

    def _match(
        self,
        data: bytes,
        sender: str,
        at_ns: int,
        under_way: dict[int, _Sent],
        times: dict[str, list[float | None]],
    ) -> None:
        """Credit a reply to its request; what is not ours, late or double is dropped."""
        body = data[(data[0] & 0x0F) * 4 :] if self._raw else data
        if len(body) < _HEADER.size + _TOKEN_BYTES:
            return
        kind, _, _, identifier, sequence = _HEADER.unpack_from(body)
        if kind != _ECHO_REPLY or (self._raw and identifier != self._identifier):
            return
        if body[_HEADER.size : _HEADER.size + _TOKEN_BYTES] != self._token:
            return
        sent = under_way.get(sequence)
        if sent is None or sent.address != sender:
            return
        del under_way[sequence]
        times[sent.key][sent.index] = max(at_ns - sent.at_ns, 0) / 1e6


def echo_request(identifier: int, sequence: int, token: bytes) -> bytes:
    """Build an ICMP echo request (RFC 792) whose payload begins with the token."""
    payload = token + bytes(_PAYLOAD_BYTES - len(token))
    blank = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence) + payload
    checksum = internet_checksum(blank)
    return _HEADER.pack(_ECHO_REQUEST, 0, checksum, identifier, sequence) + payload


def internet_checksum(data: bytes) -> int:
    """Return the ones' complement checksum of RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _arrival_ns(extra: list[tuple[int, int, bytes]]) -> int:
    """Return when the kernel received a packet (Unix time, ns); now, where it does not say."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def own_source(configured: str | None, towards: str) -> ProbeSource:
    """Find the address and MAC that requests to a target leave from."""
    address = configured
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if configured:
                sock.bind((configured, 0))
            sock.connect((towards, 9))
            address = sock.getsockname()[0]
    except OSError:
        return ProbeSource()
    return ProbeSource(mac=_mac_of(address), ip=address)


def _mac_of(address: str) -> str | None:
    """Return the MAC of the interface that has an address."""
    import fcntl  # noqa: PLC0415 - only where a round was measured

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                found = fcntl.ioctl(sock, 0x8915, request)[20:24]  # SIOCGIFADDR
                if socket.inet_ntoa(found) != address:
                    continue
                mac = fcntl.ioctl(sock, 0x8927, request)[18:24]  # SIOCGIFHWADDR
            except OSError:
                continue
            return mac.hex(":") if any(mac) else None
    return None
