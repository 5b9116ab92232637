"""Echo requests and what comes back for them, as bytes. No sockets here.

Theory of operation. Every request carries, behind the ICMP header (RFC 792, RFC 4443), a random
token of this process and a 64-bit number that is never used twice; the 16-bit sequence number of
the header is the number's low half. A reply is ours only if token, number and sequence number all
fit, so a foreign, forged or re-used one is never credited. What the kernel hands back on a socket's
error queue (time stamps of sending, ICMP errors) is told apart here too.

A reply to one of our requests that is not sound, with other data or another code, is never credited
either, but it is not silence: :meth:`Format.examine` says whose it is and what is wrong with it.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Ancillary = tuple[int, int, bytes]

TOKEN_BYTES: Final = 8
PAYLOAD_BYTES: Final = 56
"""What ping(8) and fping send, so that figures compare."""
PACKET_BYTES: Final = 8 + PAYLOAD_BYTES

SO_TIMESTAMPNS: Final = 64  # asm-generic/socket.h; Python 3.11 has no names for these
SO_TIMESTAMPING: Final = 65
BEFORE_LINUX_5_1: Final = {SO_TIMESTAMPNS: 35, SO_TIMESTAMPING: 37}
"""The same with times of this machine's longs: of 32 bits on many small boards."""
TX_STAMPS: Final = (1 << 1) | (1 << 4)
"""SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE (linux/net_tstamp.h)."""
IP_RECVERR: Final = 11  # linux/in.h
IPV6_RECVERR: Final = 25  # linux/in6.h
_ORIGIN_ICMP: Final = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 (linux/errqueue.h)

_SOL_SOCKET: Final = socket.SOL_SOCKET
_HEADER: Final = struct.Struct("!BBHHH")
_ECHO: Final = struct.Struct(f"!BBHHH{TOKEN_BYTES}sQ")
_TAG: Final = struct.Struct(f"!{TOKEN_BYTES}sQ")
_REQUEST: Final = struct.Struct(f"{_ECHO.format}{PACKET_BYTES - _ECHO.size}x")
_TIMESPEC, _LONGS = struct.Struct("=qq"), struct.Struct("@ll")
_OF_ARRIVAL: Final = {SO_TIMESTAMPNS: _TIMESPEC, BEFORE_LINUX_5_1[SO_TIMESTAMPNS]: _LONGS}
_OF_SENDING: Final = {SO_TIMESTAMPING: _TIMESPEC, BEFORE_LINUX_5_1[SO_TIMESTAMPING]: _LONGS}
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_ONES: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between ICMP and ICMPv6."""

    version: int
    request: int
    reply: int
    level: int
    recverr: int
    has_ip_header: bool
    """A raw socket hands out the IP header too."""


V4: Final = Family(4, 8, 0, socket.IPPROTO_IP, IP_RECVERR, has_ip_header=True)
V6: Final = Family(6, 128, 129, socket.IPPROTO_IPV6, IPV6_RECVERR, has_ip_header=False)


@dataclass(frozen=True, slots=True)
class Unsound:
    """An echo reply that is not what was asked for."""

    sequence: int
    number: int | None
    """Of the request whose token it carries; None: it carries none of ours."""
    flaw: str | None
    """What is wrong with it, in words; None: its checksum, so that nothing else can be said."""


@dataclass(frozen=True, slots=True)
class IcmpError:
    """What a router, or our own kernel, says of a request (ip(7), sock_extended_err)."""

    errno: int
    kind: int
    code: int
    offender: str | None = None
    """The address that says so."""


@dataclass(slots=True)
class Format:
    """Builds requests of one socket and recognises their replies.

    ``identifier`` is None on an unprivileged socket: the kernel sets and checks it there.
    """

    family: Family
    identifier: int | None
    token: bytes
    _base: int = field(init=False)
    _reply_base: int = field(init=False)
    _padding: bytes = field(init=False)
    _skips: bool = field(init=False)
    """A raw socket of IPv4: the IP header comes first, and the checksum is for us to check."""

    def __post_init__(self) -> None:
        self._skips = self.identifier is not None and self.family.has_ip_header
        self._padding = bytes(PAYLOAD_BYTES - _TAG.size)
        blank = _HEADER.pack(self.family.request, 0, 0, self.identifier or 0, 0) + self.token
        self._base = _sum(blank)
        self._reply_base = self._base + (self.family.reply - self.family.request) * 256

    def request(self, number: int) -> bytes:
        """Return the request with this number, checksum included.

        The checksum (RFC 1071) is a sum modulo 65,535, and 65,536 is 1 there: the words of the
        number add up to the number itself, so nothing has to be summed anew for each request. The
        kernel writes the one of ICMPv6.
        """
        sequence = number & _ONES
        checksum = ~(((self._base + sequence + number) % _ONES) or _ONES) & _ONES
        kind, identifier = self.family.request, self.identifier or 0
        return _REQUEST.pack(kind, 0, checksum, identifier, sequence, self.token, number)

    def number_of(self, data: bytes) -> int | None:
        """Return the number of the request that a packet is the sound reply to; None: of none.

        Sound is what a host sends that returns what it got (RFC 1122, 3.2.2.6): all of it.
        """
        start = (data[0] & 0x0F) * 4 if self._skips and data else 0
        if len(data) != start + PACKET_BYTES:
            return None
        kind, code, checksum, identifier, sequence, token, number = _ECHO.unpack_from(data, start)
        if kind != self.family.reply or code != 0 or token != self.token:
            return None
        if number & _ONES != sequence or not data.endswith(self._padding):
            return None
        if self.identifier is not None:
            if identifier != self.identifier:
                return None
            # as in request(); the kernel checks those of ICMPv6 and of unprivileged sockets
            if start and (self._reply_base + sequence + number + checksum) % _ONES:
                return None
        return int(number)

    def examine(self, data: bytes) -> Unsound | None:
        """Return what is wrong with a packet that is no sound reply; None: it is not ours."""
        start = self._start(data)
        if len(data) < start + _HEADER.size:
            return None
        kind, code, _, identifier, sequence = _HEADER.unpack_from(data, start)
        if kind != self.family.reply or self.identifier not in (None, identifier):
            return None
        if self._skips and _sum(data[start:]) % _ONES:
            return Unsound(sequence, None, None)
        payload = data[start + _HEADER.size :]
        number = None
        if len(payload) >= _TAG.size and payload.startswith(self.token):
            number = _TAG.unpack_from(payload)[1]
        return Unsound(sequence, number, self._flaw(code, sequence, number, payload))

    def _flaw(self, code: int, sequence: int, number: int | None, payload: bytes) -> str:
        if number is not None and number & _ONES != sequence:
            return "answers with another sequence number"
        is_whole = number is not None and len(payload) == PAYLOAD_BYTES
        if code != 0 and is_whole and payload.endswith(self._padding):
            return f"answers with code {code} instead of 0"
        if not payload:
            return "answers, but without the data that was sent"
        return "answers, but not with what was sent"

    def _start(self, data: bytes) -> int:
        """Return where the ICMP header begins."""
        return (data[0] & 0x0F) * 4 if self._skips and data else 0

    def number_sent(self, data: bytes) -> int | None:
        """Return the number in a request of ours that the kernel loops back with its stamp.

        The link's header stands before it, so it is read from the end.
        """
        if len(data) < PACKET_BYTES:
            return None
        token, number = _TAG.unpack_from(data, len(data) - PAYLOAD_BYTES)
        return int(number) if token == self.token else None


def quoted_request(data: bytes) -> tuple[int, int] | None:
    """Return (identifier, sequence number) of a request quoted in an ICMP error."""
    if len(data) < _HEADER.size:
        return None
    _, _, _, identifier, sequence = _HEADER.unpack_from(data)
    return int(identifier), int(sequence)


def latest_with(sequence: int, newest: int) -> int:
    """Return the highest number not above ``newest`` whose low half is ``sequence``."""
    return newest - ((newest - sequence) & _ONES)


def arrival_ns(extra: Iterable[Ancillary]) -> int | None:
    """Return when the kernel received a packet (Unix time, ns); None where it does not say."""
    for level, kind, data in extra:
        if level == _SOL_SOCKET and kind in _OF_ARRIVAL:
            return _ns(data, _OF_ARRIVAL[kind])
    return None


def read_queued(extra: Iterable[Ancillary], family: Family) -> IcmpError | int | None:
    """Read what the kernel put on the error queue: an ICMP error, or when the driver took a packet.

    An error comes first: Linux 6.18 gives one a stamp besides.

    Returns:
        the error, a moment (Unix time, ns), or None: neither.

    """
    stamp: int | None = None
    recverr = family.recverr
    for level, kind, data in extra:
        if level == _SOL_SOCKET and kind in _OF_SENDING:
            stamp = _ns(data, _OF_SENDING[kind]) or None
        elif kind == recverr and level == family.level and _is_of_icmp(data):
            number, _, icmp_type, code, *_ = _EXTENDED_ERROR.unpack_from(data)
            offender = _offender(data[_EXTENDED_ERROR.size :], family)
            return IcmpError(number, icmp_type, code, offender)
    return stamp


def _is_of_icmp(data: bytes) -> bool:
    """Tell an error from the note beside a stamp by its origin, the fifth byte (ip(7))."""
    return len(data) >= _EXTENDED_ERROR.size and data[4] in _ORIGIN_ICMP


def explain(error: IcmpError, family: Family) -> str:
    """Say an ICMP error in words: ``no route to host, says 192.168.1.1``."""
    words = _WORDS[family.version].get((error.kind, error.code))
    text = words or os.strerror(error.errno).lower()
    return f"{text}, says {error.offender}" if error.offender else text


_FILTERED: Final = "forbidden by a filter"
_TOO_FAR: Final = "the way is too long (time to live exceeded), perhaps a loop"
_WORDS: Final = {
    4: {  # RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1
        **{(3, code): _FILTERED for code in (9, 10, 13)},
        (3, 2): "it knows no ICMP",
        (3, 3): "it takes no echo requests",
        (11, 0): _TOO_FAR,
    },
    6: {  # RFC 4443, 3.1 and 3.3
        (1, 1): _FILTERED,
        (1, 4): "it takes no echo requests",
        (1, 5): _FILTERED,
        (3, 0): _TOO_FAR,
    },
}
"""Where the kernel's own word for an error says less than its type and code."""


def _sum(data: bytes) -> int:
    """Add up the 16-bit words of some bytes (RFC 1071)."""
    even = data + b"\0" * (len(data) % 2)
    return sum(struct.unpack(f"!{len(even) // 2}H", even))


def _ns(data: bytes, moment: struct.Struct) -> int | None:
    if len(data) < moment.size:
        return None
    seconds, nanoseconds = moment.unpack_from(data)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _offender(address: bytes, family: Family) -> str | None:
    """Read the sockaddr behind an extended error."""
    start, length = (4, 4) if family is V4 else (8, 16)
    raw = address[start : start + length]
    if len(raw) < length or not any(raw):
        return None
    return socket.inet_ntop(socket.AF_INET if family is V4 else socket.AF_INET6, raw)
