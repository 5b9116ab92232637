"""Opening Linux packet sockets (packet(7)). The constants Python's socket module lacks. I/O."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import Caught

if TYPE_CHECKING:
    from collections.abc import Sequence

SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_STATISTICS: Final = 6
PACKET_AUXDATA: Final = 8
PACKET_VNET_HDR: Final = 15
PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_MR_PROMISC: Final = 1
_SO_ATTACH_FILTER: Final = 26
SO_RCVBUFFORCE: Final = 33
ETH_P_ALL: Final = 3
_MSG_TRUNC: Final = 0x20
FRAME_BYTES: Final = 2048
"""Of a frame that is read, at most: more than any of an Ethernet without jumbo frames."""

_AUXDATA: Final = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata (linux/if_packet.h): status, length, captured length, two offsets, the
tag's control information and its protocol."""
_VLAN_VALID: Final = 0x10
"""TP_STATUS_VLAN_VALID: a tag was taken out; its control information may well be 0."""
ANCILLARY: Final = socket.CMSG_SPACE(_AUXDATA.size)

Instruction = tuple[int, int, int, int]
"""One instruction of classic BPF: code, jump if true, jump if false, constant."""

ACCEPT: Final[Instruction] = (0x06, 0, 0, 0x40000)
"""Return so many bytes of the frame: more than any has."""


def program(instructions: Sequence[Instruction]) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """Return the option value for a filter, and the memory it points to (keep it until set)."""
    code = b"".join(struct.pack("HBBI", *one) for one in instructions)
    memory = ctypes.create_string_buffer(code, len(code))
    return struct.pack("@HP", len(instructions), ctypes.addressof(memory)), memory


def attach_filter(sock: socket.socket, instructions: Sequence[Instruction]) -> None:
    """Let through only what a classic BPF program returns more than 0 for."""
    value, memory = program(instructions)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
    del memory


def be_promiscuous(sock: socket.socket, index: int) -> None:
    """Ask an interface's card for all frames; the kernel takes it back with the socket."""
    membership = struct.pack("iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)


def open_packet_socket(
    interface: str,
    instructions: Sequence[Instruction],
    *,
    receive_buffer: int,
    tags: bool = False,
) -> socket.socket:
    """Return a socket that receives what comes in on an interface and passes the filter.

    Protocol 0 until it is bound: nothing gets in before the filter stands.

    Args:
        interface: its name.
        instructions: classic BPF.
        receive_buffer: bytes to ask for; the kernel may give less.
        tags: say with each frame what VLAN tag was taken out, as ancillary data.

    Raises:
        PermissionError: without CAP_NET_RAW.
        OSError: the interface is missing.

    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        attach_filter(sock, instructions)
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
        except OSError:  # needs CAP_NET_ADMIN: take what is allowed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        if tags:
            sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((interface, ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def receive_frame(sock: socket.socket, buffer: bytearray) -> Caught | None:
    """Return one waiting frame of a socket that tells tags, None where none waits.

    Args:
        sock: does not block, and has PACKET_AUXDATA set.
        buffer: as many bytes of the frame are read as this has.

    """
    try:
        length, ancillary, _, _ = sock.recvmsg_into([buffer], ANCILLARY, _MSG_TRUNC)
    except OSError:
        return None
    return Caught(bytes(buffer[:length]), length, stripped_tag(ancillary))


def stripped_tag(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    """Return the control information of the VLAN tag that was taken out of a frame, if one was."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, *_, tag, _ = _AUXDATA.unpack_from(data)
            return tag if status & _VLAN_VALID else None
    return None


def drops(sock: socket.socket) -> int:
    """Return the frames the socket had no room for since the last call."""
    dropped: int = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    return dropped
