"""A packet socket that the kernel writes frames into a ring of, without a system call each. I/O.

Format: TPACKET_V3 of Linux, Documentation/networking/packet_mmap.rst. Frames lie packed in blocks;
a block is handed over when it is full, or old, and is the kernel's again when it was read.
"""

from __future__ import annotations

import mmap
import socket
import struct
from typing import TYPE_CHECKING, Final

from monitorpi_capture.linux.packetsocket import (
    ETH_P_ALL,
    PACKET_IGNORE_OUTGOING,
    PACKET_VNET_HDR,
    SOL_PACKET,
    attach_filter,
    be_promiscuous,
    drops,
)
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_capture.linux.packetsocket import Instruction

_NOBODYS: Final = 0xFFFF
"""A reserved EtherType (RFC 1701). Binding to protocol 0 would keep the one before: net/packet/
af_packet.c, packet_bind."""
_PACKET_RX_RING: Final = 5
_PACKET_VERSION: Final = 10
_TPACKET_V3: Final = 2
_REQUEST: Final = struct.Struct("=7I")
_FRAME_SIZE: Final = 2048
"""Must divide the block; what a frame takes in it is its own length."""
_BLOCK_STATUS: Final = 8
_BLOCK_HEAD: Final = struct.Struct("=3I")
"""Status, frames, offset of the first one: behind version and offset of the private part."""
_STATUS: Final = struct.Struct("=I")
FRAME_HEAD: Final = struct.Struct("=6IH6xI")
"""Offset of the next one, seconds, nanoseconds, bytes held, bytes on the wire, status, offset of
the frame; the control information of the VLAN tag that was taken out."""
TAG_OUT: Final = 0x10
"""In the status: a tag was taken out (TP_STATUS_VLAN_VALID)."""
_TO_USER: Final = 1
_TO_KERNEL: Final = 0


class Ring:
    """One interface's socket, and the ring the kernel writes its frames into."""

    def __init__(
        self,
        interface: str,
        instructions: Sequence[Instruction],
        *,
        block_bytes: int,
        blocks: int,
        retire_ms: int,
        promiscuous: bool = False,
        offload_header: bool = False,
    ) -> None:
        """Open it; nothing comes in before :meth:`hook`.

        Args:
            interface: its name.
            instructions: classic BPF; it returns how many bytes of a frame are taken.
            block_bytes: a multiple of the page and of 2,048.
            blocks: how many.
            retire_ms: a block that is not full is handed over after so long.
            promiscuous: ask the card for all frames; the kernel takes it back with the socket.
            offload_header: put a virtio_net_hdr before each frame, which tells merged segments.

        Raises:
            PermissionError: without CAP_NET_RAW.
            OSError: the interface is missing, or a kernel without such rings.

        """
        self.interface = interface
        self.index = interfaces.index_of(interface)
        self.is_hooked = False
        self._block_bytes = block_bytes
        self._blocks = blocks
        self._next = 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            attach_filter(self._socket, instructions)
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._socket.setsockopt(SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            if offload_header:
                self._socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            size = block_bytes * blocks
            request = _REQUEST.pack(
                block_bytes, blocks, _FRAME_SIZE, size // _FRAME_SIZE, retire_ms, 0, 0
            )
            self._socket.setsockopt(SOL_PACKET, _PACKET_RX_RING, request)
            if promiscuous:
                be_promiscuous(self._socket, socket.if_nametoindex(interface))
            self.memory = mmap.mmap(self._socket.fileno(), size)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return what can be polled."""
        return self._socket.fileno()

    def hook(self) -> None:
        """Let frames in.

        Raises:
            OSError: the interface is away.

        """
        if not self.is_hooked:
            self._socket.bind((self.interface, ETH_P_ALL))
            self.is_hooked = True

    def unhook(self) -> None:
        """Let nothing in that is ever sent."""
        if self.is_hooked:
            self.is_hooked = False
            self._socket.bind((self.interface, _NOBODYS))

    def handed_over(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield blocks the kernel handed over, at most so many, and give each back.

        Each is the place of its first frame in :attr:`memory`, and how many it holds; where the
        next one is each of them says (:data:`FRAME_HEAD`). Where there is none the socket may have
        an error (its interface was switched off), which would end each poll at once until taken.
        """
        for number in range(most):
            at = self._next * self._block_bytes
            status, frames, offset = _BLOCK_HEAD.unpack_from(self.memory, at + _BLOCK_STATUS)
            if not status & _TO_USER:
                if number == 0:
                    self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return
            yield at + offset, frames
            _STATUS.pack_into(self.memory, at + _BLOCK_STATUS, _TO_KERNEL)
            self._next = (self._next + 1) % self._blocks

    def drops(self) -> int:
        """Return the frames the ring had no room for since the last call."""
        return drops(self._socket)

    def close(self) -> None:
        """Give everything back to the kernel."""
        self.memory.close()
        self._socket.close()
