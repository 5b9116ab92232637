"""Echo requests and what comes back for them, as bytes. No sockets here.

Theory of operation. Every request carries, behind the ICMP header (RFC 792, RFC 4443), a random
token of this process and a 64-bit number that is never used twice; the 16-bit sequence number of
the header is the number's low half. A reply is ours only if token, number and sequence number all
fit, so a foreign, forged or re-used one is never credited. What the kernel hands back on a socket's
error queue (time stamps of sending, ICMP errors) is told apart here too.
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

SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; Python 3.11 has no names for these
SO_TIMESTAMPING: Final = 37
TX_STAMPS: Final = (1 << 1) | (1 << 4)
"""SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE (linux/net_tstamp.h)."""
IP_RECVERR: Final = 11  # linux/in.h
IPV6_RECVERR: Final = 25  # linux/in6.h
_ORIGIN_ICMP: Final = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 (linux/errqueue.h)

_HEADER: Final = struct.Struct("!BBHHH")
_TAG: Final = struct.Struct(f"!{TOKEN_BYTES}sQ")
_TIMESPEC: Final = struct.Struct("@qq")
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


@dataclass(slots=True)
class Format:
    """Builds requests of one socket and recognises their replies.

    ``identifier`` is None on an unprivileged socket: the kernel sets and checks it there.
    """

    family: Family
    identifier: int | None
    token: bytes
    _base: int = field(init=False)
    _padding: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._padding = bytes(PAYLOAD_BYTES - _TAG.size)
        blank = _HEADER.pack(self.family.request, 0, 0, self.identifier or 0, 0) + self.token
        self._base = sum(struct.unpack(f"!{len(blank) // 2}H", blank))

    def request(self, number: int) -> bytes:
        """Return the request with this number, checksum included.

        The checksum (RFC 1071) is a sum modulo 65,535, and 65,536 is 1 there: the words of the
        number add up to the number itself, so nothing has to be summed anew for each request. The
        kernel writes the one of ICMPv6.
        """
        sequence = number & _ONES
        checksum = ~(((self._base + sequence + number) % _ONES) or _ONES) & _ONES
        return (
            _HEADER.pack(self.family.request, 0, checksum, self.identifier or 0, sequence)
            + _TAG.pack(self.token, number)
            + self._padding
        )

    def number_of(self, data: bytes) -> int | None:
        """Return the number of the request that a received packet answers; None: not ours."""
        start = 0
        if self.identifier is not None and self.family.has_ip_header and data:
            start = (data[0] & 0x0F) * 4
        if len(data) < start + _HEADER.size + _TAG.size:
            return None
        kind, code, _, identifier, sequence = _HEADER.unpack_from(data, start)
        token, number = _TAG.unpack_from(data, start + _HEADER.size)
        if kind != self.family.reply or code != 0 or token != self.token:
            return None
        if self.identifier is not None and identifier != self.identifier:
            return None
        return int(number) if number & _ONES == sequence else None

    def number_sent(self, data: bytes) -> int | None:
        """Return the number in a request of ours that the kernel loops back with its stamp.

        The link's header stands before it, so it is read from the end.
        """
        if len(data) < PACKET_BYTES:
            return None
        token, number = _TAG.unpack_from(data, len(data) - PAYLOAD_BYTES)
        return int(number) if token == self.token else None


def sequence_of(data: bytes) -> int | None:
    """Return the sequence number of a request quoted in an ICMP error."""
    if len(data) < _HEADER.size:
        return None
    return int(_HEADER.unpack_from(data)[4])


def latest_with(sequence: int, newest: int) -> int:
    """Return the highest number not above ``newest`` whose low half is ``sequence``."""
    return newest - ((newest - sequence) & _ONES)


def arrival_ns(extra: Iterable[Ancillary]) -> int | None:
    """Return when the kernel received a packet (Unix time, ns); None where it does not say."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            return _ns(data)
    return None


def departure_ns(extra: Iterable[Ancillary]) -> int | None:
    """Return when the driver took a packet (Unix time, ns); None: not such a message."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING and len(data) >= _TIMESPEC.size:
            return _ns(data) or None
    return None


def icmp_error(extra: Iterable[Ancillary], family: Family) -> tuple[int, str | None] | None:
    """Return (errno, address that says so) of an ICMP error; None: not such a message."""
    for level, kind, data in extra:
        if (level, kind) != (family.level, family.recverr) or len(data) < _EXTENDED_ERROR.size:
            continue
        number, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
        if origin in _ORIGIN_ICMP:
            return number, _offender(data[_EXTENDED_ERROR.size :], family)
    return None


def explain(error: int, offender: str | None) -> str:
    """Say an error of the network in words: ``no route to host, says 192.168.1.1``."""
    text = os.strerror(error).lower()
    return f"{text}, says {offender}" if offender else text


def _ns(data: bytes) -> int:
    seconds, nanoseconds = _TIMESPEC.unpack_from(data)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _offender(address: bytes, family: Family) -> str | None:
    """Read the sockaddr behind an extended error."""
    start, length = (4, 4) if family is V4 else (8, 16)
    raw = address[start : start + length]
    if len(raw) < length or not any(raw):
        return None
    return socket.inet_ntop(socket.AF_INET if family is V4 else socket.AF_INET6, raw)
