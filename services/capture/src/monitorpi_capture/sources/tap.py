"""A small packet socket on one interface, beside the engine. I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.linux.packetsocket import (
    ANCILLARY,
    drops,
    open_packet_socket,
    stripped_tag,
)
from monitorpi_host import interfaces

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from monitorpi_capture.linux.packetsocket import Instruction

SLOT_S: Final = 0.1
"""Taps are read so often; what does not fit into their buffer meanwhile the kernel drops."""
_RECEIVE_BUFFER: Final = 128 * 1024
_FRAME: Final = 2048
_MSG_TRUNC: Final = 0x20


class Caught(NamedTuple):
    """One frame as a tap received it."""

    data: bytes
    length: int
    """Its length; more than ``data`` has where it did not fit."""
    tag: int | None
    """The control information of the VLAN tag that the stack took out, if it did."""


class Tap:
    """A small packet socket on one interface that comes back when the interface does."""

    def __init__(self, interface: str, instructions: Sequence[Instruction]) -> None:
        self.interface = interface
        self._instructions = instructions
        self._socket: socket.socket | None = None
        self._index: int | None = None
        self._next_try_s = 0.0
        self._buffer = bytearray(_FRAME)

    def open(self) -> None:
        """Open it; where the interface is away it is tried again once a second."""
        try:
            self._index = interfaces.index_of(self.interface)
            self._socket = open_packet_socket(
                self.interface,
                self._instructions,
                receive_buffer=_RECEIVE_BUFFER,
                promiscuous=False,
                tags=True,
            )
        except OSError:
            self._socket = None

    def receive(self) -> Caught | None:
        """Return one waiting frame, None where none waits."""
        if self._socket is None:
            return None
        try:
            length, ancillary, _, _ = self._socket.recvmsg_into(
                [self._buffer], ANCILLARY, _MSG_TRUNC
            )
        except OSError:
            return None
        return Caught(bytes(self._buffer[:length]), length, stripped_tag(ancillary))

    def tend(self, now_s: float) -> int:
        """Open again what vanished; returns the frames dropped since the last call."""
        if now_s < self._next_try_s:
            return 0
        self._next_try_s = now_s + 1.0
        if self._socket is None or interfaces.index_of(self.interface) != self._index:
            self.close()
            self.open()
            return 0
        return drops(self._socket)

    def close(self) -> None:
        """Close the socket; :meth:`open` may open it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
