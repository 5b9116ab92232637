"""The engine for every Linux: packet sockets read by Python.

Theory of operation. Two sockets per interface, each with its kernel filter: one for frames whose
VLAN tag the stack took out, one for all others. So a plain ``recv`` into one buffer is enough; the
other way to learn of the tag, ancillary data, costs two more system calls per frame in Python. A
virtio header before each frame says which segments receive offload merged. What this machine
sends is left out by PACKET_IGNORE_OUTGOING.
"""

from __future__ import annotations

import errno
import select
import struct
import time
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.tally import Tally
from monitorpi_capture.engine.clock import now
from monitorpi_capture.frame.classify import ETHERNET_HEADER, classify
from monitorpi_capture.items import CLASS_BIT, EngineRefusedError
from monitorpi_capture.linux.packetsocket import ACCEPT, REJECT, drops, open_packet_socket
from monitorpi_capture.linux.ports import require
from monitorpi_capture.linux.wake import Wake
from monitorpi_common.service import ResourceError
from monitorpi_host import interfaces

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from monitorpi_capture.frame.classify import Classified
    from monitorpi_capture.items import FloodSums, WindowCounts
    from monitorpi_capture.linux.packetsocket import Instruction

_LOAD_TAG_PRESENT: Final[Instruction] = (0x20, 0, 0, 0xFFFFF000 + 48)
"""ld vlan_avail: SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT of linux/filter.h."""
_UNTAGGED: Final = (_LOAD_TAG_PRESENT, (0x15, 0, 1, 0), ACCEPT, REJECT)
_TAGGED: Final = (_LOAD_TAG_PRESENT, (0x15, 0, 1, 0), REJECT, ACCEPT)

_RECEIVE_BUFFER: Final = 8 * 1024 * 1024
"""About 10,000 small frames: a tenth of a second of what Python can count."""
_VIRTIO_HEADER: Final = 10
_HEADERS: Final = 4096
"""Bytes of a frame that are read; its headers are shorter."""
_TAG: Final = 4
_BATCH: Final = 512
_MSG_TRUNC: Final = 0x20
_TCP: Final = CLASS_BIT["tcp"]


class _Port:
    """One interface: its sockets while it is there, and what was counted."""

    def __init__(self, name: str, max_rows: int) -> None:
        self.name = name
        self.tally = Tally(name, SocketEngine.name, max_rows)
        self.untagged: socket.socket | None = None
        self.tagged: socket.socket | None = None
        self.index: int | None = None
        self.unreadable = 0
        self.away: str | None = None
        self.start = now()

    def open(self) -> None:
        self.index = interfaces.index_of(self.name)
        self.untagged = open_packet_socket(
            self.name, _UNTAGGED, receive_buffer=_RECEIVE_BUFFER, offload_header=True
        )
        self.tagged = open_packet_socket(
            self.name, _TAGGED, receive_buffer=_RECEIVE_BUFFER, offload_header=True
        )
        self.start = now()

    def close(self) -> None:
        for sock in (self.untagged, self.tagged):
            if sock is not None:
                sock.close()
        self.untagged = self.tagged = None

    def lost(self) -> int:
        """Return the frames lost in the sockets since the last call."""
        lost, self.unreadable = self.unreadable, 0
        return lost + sum(drops(sock) for sock in (self.untagged, self.tagged) if sock)

    def look(self) -> str | None:
        """Return why the interface cannot be counted on now; None: it can."""
        index = interfaces.index_of(self.name)
        if index is None:
            return "the interface is gone"
        if index != self.index:
            return "the interface was made anew"
        return None if interfaces.is_up(self.name) else "the interface is down"


class SocketEngine:
    """Counts with packet sockets; see the module."""

    name: Final = "socket"

    def __init__(self, names: Sequence[str], max_rows: int) -> None:
        self._ports = [_Port(name, max_rows) for name in names]
        self._poll = select.poll()
        self._by_fd: dict[int, tuple[_Port, socket.socket, bool]] = {}
        self._buffer = bytearray(_VIRTIO_HEADER + _HEADERS)
        self._view = memoryview(self._buffer)
        self._wake = Wake()
        self._poll.register(self._wake, select.POLLIN)
        self._stopped = False

    @property
    def away(self) -> Mapping[str, str]:
        """The interfaces that cannot be counted now, each with the reason."""
        return {port.name: port.away for port in self._ports if port.away is not None}

    def open(self) -> None:
        """Start counting.

        Raises:
            EngineRefusedError: no permission.

        """
        try:
            require(tuple(port.name for port in self._ports))
        except ResourceError:
            self.close()
            raise
        for port in self._ports:
            try:
                self._attach(port)
            except PermissionError:
                self.close()
                raise EngineRefusedError(
                    "packet sockets need the capability CAP_NET_RAW: run as root or give it"
                ) from None
            except OSError as error:
                self.close()
                raise EngineRefusedError(
                    f"packet sockets do not work on {port.name} ({error.strerror})"
                ) from None
            port.away = port.look()

    def _attach(self, port: _Port) -> None:
        port.open()
        for sock, tagged in ((port.untagged, False), (port.tagged, True)):
            if sock is not None:
                self._by_fd[sock.fileno()] = (port, sock, tagged)
                self._poll.register(sock, select.POLLIN)

    def _detach(self, port: _Port) -> None:
        for sock in (port.untagged, port.tagged):
            if sock is not None:
                self._by_fd.pop(sock.fileno(), None)
                self._poll.unregister(sock)
        port.close()

    def count_until(self, boot_s: float) -> None:
        """Read frames until the boot-time clock shows this or :meth:`stop` was called."""
        while not self._stopped:
            left = boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)
            if left <= 0:
                return
            for fd, _ in self._poll.poll(left * 1000):
                if fd in self._by_fd:
                    self._read(*self._by_fd[fd])

    def _read(self, port: _Port, sock: socket.socket, tagged: bool) -> None:
        """Count what waits in a socket, up to a batch."""
        view, buffer, receive = self._view, self._buffer, sock.recv_into
        add = port.tally.add
        for _ in range(_BATCH):
            try:
                size = receive(view, 0, _MSG_TRUNC)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EINVAL:  # an offload the virtio header has no word for
                    port.unreadable += 1
                    continue
                if error.errno == errno.EMSGSIZE:
                    continue
                port.away = port.look() or port.away
                return
            length = size - _VIRTIO_HEADER
            data = bytes(view[_VIRTIO_HEADER:size])
            if length < ETHERNET_HEADER:
                port.tally.add_unlinked(classify(data, length)[0], length)
                continue
            classified = classify(data, length, tagged)
            if not buffer[1]:
                add(data, classified, length + _TAG if tagged else length)
                continue
            frames, total = segments(data, length, classified, self._segment_size())
            add(data, classified, total + _TAG * frames if tagged else total, frames)

    def _segment_size(self) -> int:
        size: int = struct.unpack_from("H", self._buffer, 4)[0]
        return size

    def close_windows(self) -> list[WindowCounts]:
        """End the windows of all interfaces."""
        windows = []
        for port in self._ports:
            before = port.away
            port.away = port.look()
            if port.away is None or before is None or not port.tally.empty:
                windows.append(self._window(port))
            if port.away is not None or port.untagged is None:
                self._recover(port)
        return windows

    def _window(self, port: _Port) -> WindowCounts:
        start, end = port.start, now()
        port.start = end
        length = (end.boot_s or 0.0) - (start.boot_s or 0.0)
        return port.tally.close_window(start, end, max(length, 1e-6), {"socket": port.lost()})

    def sums(self) -> Mapping[str, FloodSums]:
        """Return what the running windows hold so far."""
        return {port.name: port.tally.sums() for port in self._ports}

    def peek(self, name: str) -> WindowCounts:
        """Return what the running window of an interface holds so far."""
        port = next(port for port in self._ports if port.name == name)
        end = now()
        length = (end.boot_s or 0.0) - (port.start.boot_s or 0.0)
        return port.tally.peek(port.start, end, max(length, 1e-6))

    def _recover(self, port: _Port) -> None:
        """Bring back an interface that is there again."""
        port.start = now()
        index = interfaces.index_of(port.name)
        if index is None:
            self._detach(port)
        elif index != port.index or port.untagged is None:
            self._detach(port)
            try:
                self._attach(port)
            except OSError as error:
                self._detach(port)
                port.away = f"cannot be opened again ({error.strerror})"
                return
            port.away = port.look()

    def pin(self, macs: Sequence[bytes]) -> None:
        """Pin rows for these MACs on every interface, at once."""
        for port in self._ports:
            port.tally.pin(macs)

    def stop(self) -> None:
        """Make :meth:`count_until` return."""
        self._stopped = True
        self._wake.set()

    def close(self) -> None:
        """Close the sockets; with them the cards leave promiscuous mode."""
        for port in self._ports:
            self._detach(port)
        self._wake.close()


def segments(
    data: bytes, length: int, classified: Classified, segment_size: int
) -> tuple[int, int]:
    """Return how many frames a merged one was on the wire, and their bytes together.

    Every segment had its own headers: bytes = length + (frames - 1) x headers.
    """
    mask, _, transport = classified
    if not transport or not segment_size:
        return 1, length
    headers = transport + (data[transport + 12] >> 2 & 0x3C if mask & _TCP else 8)
    frames = max(-(-(length - headers) // segment_size), 1)
    return frames, length + (frames - 1) * headers
