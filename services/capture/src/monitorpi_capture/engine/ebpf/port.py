"""One interface on which the kernel counts: its program, and its socket while there. I/O.

The program counts every frame and lets the socket take those that the inventory reads. They wait in
a small buffer: what finds no room there was counted, and a flood of them costs the kernel a look at
how full it is, and the process nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
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


class CountedPort:
    """One interface: its table, its program, and its socket while it is there."""

    def __init__(self, name: str, table: Table, program: int, licence: bytes) -> None:
        self.name = name
        self.table = table
        self.program = program
        self._licence = licence
        self._trampoline: system.Trampoline | None = None
        self.index: int | None = None
        self.sock: socket.socket | None = None
        self.away: str | None = None
        self.start = now()
        self._buffer = bytearray(FRAME_BYTES)
        self._held = threading.Lock()
        """Held while the socket is read, or closed: two threads do."""

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
        self.sock = sock

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
        """Close the socket; program and table stay for when the interface is back."""
        with self._held:
            if self.sock is not None:
                self.sock.close()
            self.sock = None

    def receive(self) -> Caught | None:
        """Return a discovery frame that waits, None where none does."""
        with self._held:
            return None if self.sock is None else receive_frame(self.sock, self._buffer)

    def dropped(self) -> int:
        """Return how many of them found no room since the last call."""
        with self._held:
            return 0 if self.sock is None else drops(self.sock)

    def look(self) -> str | None:
        """Return why the interface cannot be counted on now; None: it can."""
        index = interfaces.index_of(self.name)
        if index is None:
            return "the interface is gone"
        if index != self.index or self.sock is None:
            return "the interface was made anew"
        return None if interfaces.is_up(self.name) else "the interface is down"

    def close(self) -> None:
        """Give socket, program and maps back to the kernel."""
        self.detach()
        if self._trampoline is not None:
            self._trampoline.close()
        os.close(self.program)
        self.table.close()
