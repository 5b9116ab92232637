"""ICMP sockets with the kernel's time stamps.

Theory of operation. An unprivileged ICMP socket where the system allows it, else a raw one; both
give the same answers. A raw socket is handed every echo reply that arrives at this machine, so it
gets a filter (of the classic kind, which needs no privilege) for its own identifier.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from icmplib import (
    ICMPSocketError,
    ICMPv4Socket,
    ICMPv6Socket,
    SocketAddressError,
    SocketPermissionError,
)

from monitorpi_common.service import ResourceError
from monitorpi_prober.sources import packets
from monitorpi_prober.sources.packets import V4, Family, Format

_ICMP_FILTER: Final = (255, 1)  # SOL_RAW, ICMP_FILTER (linux/icmp.h)
_ICMP6_FILTER: Final = (socket.IPPROTO_ICMPV6, 1)  # linux/icmpv6.h
_ATTACH_FILTER: Final = 26  # SO_ATTACH_FILTER, asm-generic/socket.h
_RECEIVE_BUFFER: Final = 1 << 20  # a second of replies at the highest rate
PACKET_BYTES, ANCILLARY_BYTES = 512, 256
"""A reply of ours has 84 bytes; stamps and errors together 128."""


@dataclass(slots=True)
class Link:
    """One ICMP socket with the format of its packets."""

    sock: socket.socket
    format: Format
    stamps: bool = True
    """The kernel takes the moment of sending."""
    is_used: bool = False
    """Something was sent, so something may come."""


def open_link(family: Family, token: bytes, address: str | None, interface: str | None) -> Link:
    """Open an ICMP socket, unprivileged where that is allowed, with the kernel's time stamps.

    Raises:
        ResourceError: it may not be opened, or not from this address or interface.

    """
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
    _prepare(sock, family, interface)
    identifier = None
    if privileged:
        identifier = int.from_bytes(os.urandom(2), "big")
        _filter(sock, family, identifier)
    stamps = True
    try:
        _stamp(sock, packets.SO_TIMESTAMPING, packets.TX_STAMPS)
    except OSError:
        stamps = False
    return Link(sock, Format(family, identifier, token), stamps)


def _stamp(sock: socket.socket, option: int, value: int) -> None:
    """Have the kernel stamp packets, with times of 64 bits where it can."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, value)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, packets.BEFORE_LINUX_5_1[option], value)


def _prepare(sock: socket.socket, family: Family, interface: str | None) -> None:
    sock.setblocking(False)
    _stamp(sock, packets.SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    sock.setsockopt(family.level, family.recverr, 1)
    if interface is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        except OSError as error:
            sock.close()
            raise ResourceError(
                f"cannot send from interface {interface} ({error.strerror}): prober.source must "
                "be an address or an interface of this machine"
            ) from None


def _filter(sock: socket.socket, family: Family, identifier: int) -> None:
    """Let only echo replies with our identifier pass."""
    if family is V4:
        only_replies = ~(1 << V4.reply) & 0xFFFFFFFF
        sock.setsockopt(*_ICMP_FILTER, struct.pack("=I", only_replies))
    else:
        blocked = bytearray(b"\xff" * 32)
        word = struct.pack("=I", ~(1 << family.reply % 32) & 0xFFFFFFFF)
        blocked[family.reply // 32 * 4 : family.reply // 32 * 4 + 4] = word
        sock.setsockopt(*_ICMP6_FILTER, bytes(blocked))
    program = _only_identifier(identifier, has_ip_header=family.has_ip_header)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    head = struct.pack("@HP", len(program), ctypes.addressof(code))  # struct sock_fprog
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, head)


def _only_identifier(identifier: int, *, has_ip_header: bool) -> list[tuple[int, int, int, int]]:
    """Write the filter (bpf_common.h): the 16 bits at byte 4 behind the IP header, if any."""
    load = (0x48, 0, 0, 4) if has_ip_header else (0x28, 0, 0, 4)  # ldh [x + 4]; ldh [4]
    return [
        *([(0xB1, 0, 0, 0)] if has_ip_header else []),  # ldxb 4 * ([0] & 0xf)
        load,
        (0x15, 0, 1, identifier),  # jeq
        (0x06, 0, 0, 0xFFFFFFFF),  # ret all
        (0x06, 0, 0, 0),  # ret nothing
    ]
