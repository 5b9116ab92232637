"""Counting at an interface's way in, without a socket (tcx, Linux 6.6). I/O.

A program that is attached by a link stands in front of all sockets and of the stack, lets every
frame pass, and is gone with the link, which is a file descriptor of this process: nothing stays
behind on an interface. To load it takes CAP_NET_ADMIN beside CAP_BPF; to attach it again, where an
interface came back, takes neither.

Numbers: linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from monitorpi_capture.engine.clock import now
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_capture.engine.ebpf.port import KernelPort
from monitorpi_capture.engine.ebpf.ring import FrameRing
from monitorpi_capture.linux.packetsocket import be_promiscuous

if TYPE_CHECKING:
    from monitorpi_capture.engine.ebpf.objectfile import BpfObject
    from monitorpi_capture.engine.ebpf.table import Table
    from monitorpi_capture.items import Caught

_LINK_CREATE: Final = 28
_GET_INFO: Final = 15
TCX_INGRESS: Final = 46
_SCHED_CLS: Final = 3
_INFO_BYTES: Final = 64
_INFO_INTERFACE: Final = 16
"""Where struct bpf_link_info has the interface of a tcx link."""


class TcxPort(KernelPort):
    """One interface: its table, its program, its ring, and its link while it is there."""

    def __init__(self, name: str, table: Table, program: int, ring: FrameRing) -> None:
        super().__init__(name, table, program)
        self._ring = ring
        self._link: int | None = None
        self._card: socket.socket | None = None
        """Receives nothing; the card is asked for all frames as long as it is there."""

    @property
    def is_attached(self) -> bool:
        """The program stands at the interface that has the name now."""
        return self._link is not None and _interface_of(self._link) == self.index

    def attach(self) -> None:
        """Put the program at the interface's way in.

        Raises:
            OSError: the interface is gone, or this kernel has no such place (EINVAL).

        """
        self.index = socket.if_nametoindex(self.name)
        self._card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            be_promiscuous(self._card, self.index)
            self.start = now()
            where = struct.pack("=IIII", self.program, self.index, TCX_INGRESS, 0)
            self._link = system.bpf(_LINK_CREATE, where)
        except OSError:
            self.detach()
            raise

    def detach(self) -> None:
        """Take the program off; program and table stay for when the interface is back."""
        if self._link is not None:
            os.close(self._link)
        if self._card is not None:
            self._card.close()
        self._link = self._card = None

    def receive(self) -> Caught | None:
        """Return a discovery frame that waits, None where none does."""
        with self.held:
            return self._ring.take()

    def dropped(self) -> int:
        """Return how many of them found no room since the last call."""
        with self.held:
            return self._ring.missed()

    def close(self) -> None:
        """Give link, ring, program and maps back to the kernel."""
        super().close()
        with self.held:
            self._ring.close()


def _interface_of(link: int) -> int:
    """Return the number of the interface a link is at; 0: none any more."""
    info = ctypes.create_string_buffer(_INFO_BYTES)
    system.bpf(_GET_INFO, struct.pack("=IIQ", link, len(info), ctypes.addressof(info)))
    (index,) = struct.unpack_from("=I", info, _INFO_INTERFACE)
    return int(index)


class TcxEngine(EbpfEngine):
    """Counts in the kernel, at the interfaces' way in; see the module."""

    name = "tcx"
    section = "tcx/count"
    since = "6.6"
    rights = (*EbpfEngine.rights, ("CAP_NET_ADMIN", system.CAP_NET_ADMIN))

    def _port(self, name: str, table: Table, compiled: BpfObject) -> TcxPort:
        ring = FrameRing(self._geometry.parts)
        try:
            maps = table.descriptors | ring.descriptors
            program = self._load(compiled, maps, _SCHED_CLS)
        except BaseException:
            ring.close()
            raise
        return TcxPort(name, table, program, ring)
