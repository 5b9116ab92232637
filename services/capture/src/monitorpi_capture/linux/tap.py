"""A small packet socket on one interface, beside the engine. I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from monitorpi_capture.linux.packetsocket import (
    FRAME_BYTES,
    open_packet_socket,
    receive_frame,
)
from monitorpi_host import interfaces

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from monitorpi_capture.items import Caught
    from monitorpi_capture.linux.packetsocket import Instruction

_RECEIVE_BUFFER: Final = 128 * 1024


class Tap:
    """A small packet socket on one interface that comes back when the interface does."""

    def __init__(self, interface: str, instructions: Sequence[Instruction]) -> None:
        self.name = interface
        self._instructions = instructions
        self._socket: socket.socket | None = None
        self._index: int | None = None
        self._next_try_s = 0.0
        self._buffer = bytearray(FRAME_BYTES)

    def open(self) -> None:
        """Open it; where the interface is away it is tried again once a second."""
        try:
            self._index = interfaces.index_of(self.name)
            self._socket = open_packet_socket(
                self.name, self._instructions, receive_buffer=_RECEIVE_BUFFER, tags=True
            )
        except OSError:
            self._socket = None

    def receive(self) -> Caught | None:
        """Return one waiting frame, None where none waits."""
        sock = self._socket
        return None if sock is None else receive_frame(sock, self._buffer)

    def tend(self) -> None:
        """Open again what vanished; looks once a second."""
        now_s = time.monotonic()
        if now_s < self._next_try_s:
            return
        self._next_try_s = now_s + 1.0
        if self._socket is None or interfaces.index_of(self.name) != self._index:
            self.close()
            self.open()

    def close(self) -> None:
        """Close the socket; :meth:`open` may open it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
