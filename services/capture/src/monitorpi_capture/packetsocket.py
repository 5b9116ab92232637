"""Opening Linux packet sockets (packet(7)). The constants Python's socket module lacks. I/O."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_STATISTICS: Final = 6
PACKET_VNET_HDR: Final = 15
PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_MR_PROMISC: Final = 1
_SO_ATTACH_FILTER: Final = 26
SO_RCVBUFFORCE: Final = 33
ETH_P_ALL: Final = 3

Instruction = tuple[int, int, int, int]
"""One instruction of classic BPF: code, jump if true, jump if false, constant."""

ACCEPT: Final[Instruction] = (0x06, 0, 0, 0x40000)
"""Return so many bytes of the frame: more than any has."""
REJECT: Final[Instruction] = (0x06, 0, 0, 0)


def program(instructions: Sequence[Instruction]) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """Return the option value for a filter, and the memory it points to (keep it until set)."""
    code = b"".join(struct.pack("HBBI", *one) for one in instructions)
    memory = ctypes.create_string_buffer(code, len(code))
    return struct.pack("@HP", len(instructions), ctypes.addressof(memory)), memory


def open_packet_socket(
    interface: str,
    instructions: Sequence[Instruction],
    *,
    receive_buffer: int,
    promiscuous: bool = True,
    offload_header: bool = False,
) -> socket.socket:
    """Return a socket that receives what comes in on an interface and passes the filter.

    Protocol 0 until it is bound: nothing gets in before the filter stands.

    Args:
        interface: its name.
        instructions: classic BPF.
        receive_buffer: bytes to ask for; the kernel may give less.
        promiscuous: ask the card for all frames; the kernel takes it back with the socket.
        offload_header: put a virtio_net_hdr before each frame, which tells merged segments.

    Raises:
        PermissionError: without CAP_NET_RAW.
        OSError: the interface is missing.

    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        value, memory = program(instructions)
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
        del memory
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
        except OSError:  # needs CAP_NET_ADMIN: take what is allowed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        if offload_header:
            sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        if promiscuous:
            index = socket.if_nametoindex(interface)
            membership = struct.pack("iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
            sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
        sock.bind((interface, ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def drops(sock: socket.socket) -> int:
    """Return the frames the socket had no room for since the last call."""
    dropped: int = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    return dropped
