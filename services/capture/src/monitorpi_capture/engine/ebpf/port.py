"""One interface on which the kernel counts: its program, and its socket while there. I/O.

The socket's filter counts every frame and lets the socket take those that the inventory reads. They
wait in a small buffer: what finds no room there was counted, and a flood of them costs the kernel a
look at how full it is, and the process nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from monitorpi_capture.engine.clock import now
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.linux.packetsocket import (
    ETH_P_ALL,
    FRAME_BYTES,
    PACKET_AUXDATA,
    PACKET_IGNORE_OUTGOING,
    SOL_PACKET,
    be_promiscuous,
    drops,
    receive_frame,
)
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from monitorpi_capture.engine.ebpf.table import Table
    from monitorpi_capture.items import Caught

_SO_ATTACH_BPF: Final = 50
_SO_LOCK_FILTER: Final = 44
_RECEIVE_BUFFER: Final = 128 * 1024
"""Bytes for frames that the inventory has not read yet: some 200 small ones."""


class KernelPort(ABC):
    """One interface: its table, its program, and what lets that see frames."""

    def __init__(self, name: str, table: Table, program: int) -> None:
        self.name = name
        self.table = table
        self.program = program
        self.index: int | None = None
        self.away: str | None = None
        self.start = now()
        self.held = threading.Lock()
        """Held while frames are taken, or their place is closed: two threads do."""

    @property
    @abstractmethod
    def is_attached(self) -> bool:
        """The program sees the frames of an interface."""

    @abstractmethod
    def attach(self) -> None:
        """Let the program see the frames of the interface that has the name now.

        Raises:
            OSError: it is gone, or the kernel refused.

        """

    @abstractmethod
    def detach(self) -> None:
        """Let it see no more; program and table stay for when the interface is back."""

    @abstractmethod
    def receive(self) -> Caught | None:
        """Return a discovery frame that waits, None where none does."""

    @abstractmethod
    def dropped(self) -> int:
        """Return how many of them found no room since the last call."""

    def look(self) -> str | None:
        """Return why the interface cannot be counted on now; None: it can."""
        index = interfaces.index_of(self.name)
        if index is None:
            return "the interface is gone"
        if index != self.index or not self.is_attached:
            return "the interface was made anew"
        return None if interfaces.is_up(self.name) else "the interface is down"

    def close(self) -> None:
        """Give program and maps back to the kernel."""
        self.detach()
        os.close(self.program)
        self.table.close()


class SocketPort(KernelPort):
    """An interface whose frames the program sees as the filter of a packet socket."""

    def __init__(self, name: str, table: Table, program: int, licence: bytes) -> None:
        super().__init__(name, table, program)
        self._licence = licence
        self._trampoline: system.Trampoline | None = None
        self._sock: socket.socket | None = None
        self._buffer = bytearray(FRAME_BYTES)

    @property
    def is_attached(self) -> bool:
        """The socket is open."""
        return self._sock is not None

    def attach(self) -> None:
        """Open the socket; protocol 0 until it is bound, so no frame comes before the filter."""
        self.index = socket.if_nametoindex(self.name)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._filter(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
            be_promiscuous(sock, self.index)
            self.start = now()
            sock.bind((self.name, ETH_P_ALL))
        except BaseException:
            sock.close()
            raise
        self._sock = sock

    def _filter(self, sock: socket.socket) -> None:
        """Give the socket its filter, by a trampoline where the program is too large for it."""
        program = self.program if self._trampoline is None else self._trampoline.program
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, program)
        except OSError as error:
            if error.errno != errno.ENOMEM or self._trampoline is not None:
                raise
            self._trampoline = system.Trampoline(self.program, self._licence)
            self._filter(sock)

    def detach(self) -> None:
        """Close the socket."""
        with self.held:
            if self._sock is not None:
                self._sock.close()
            self._sock = None

    def receive(self) -> Caught | None:
        """Return a discovery frame that waits, None where none does."""
        with self.held:
            return None if self._sock is None else receive_frame(self._sock, self._buffer)

    def dropped(self) -> int:
        """Return how many of them found no room since the last call."""
        with self.held:
            return 0 if self._sock is None else drops(self._sock)

    def close(self) -> None:
        """Give socket, program and maps back to the kernel."""
        super().close()
        if self._trampoline is not None:
            self._trampoline.close()
