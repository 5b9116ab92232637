"""The engine for every Linux: rings of frames that the kernel writes and Python reads.

Theory of operation. Each interface has one packet socket with a ring (:mod:`..linux.ring`): frames
lie there one behind the other, with what the stack knows of each, so that none costs a system call.
A virtio header before each frame says which segments receive offload merged, the entry itself which
VLAN tag was taken out. What this machine sends is left out by PACKET_IGNORE_OUTGOING. Ordinary
frames are counted many at a time (:mod:`..count.ringcounts`); the others are taken out of the ring
and classified one by one, and handed to the inventory where they say who a device is.
"""

from __future__ import annotations

import select
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.ringcounts import Layout, RingCounts
from monitorpi_capture.count.tally import Tally
from monitorpi_capture.engine.clock import now
from monitorpi_capture.frame.classify import ETHERNET_HEADER, classify
from monitorpi_capture.frame.dissect import is_discovery
from monitorpi_capture.items import CLASS_BIT, Caught, EngineRefusedError
from monitorpi_capture.linux.packetsocket import FRAME_BYTES
from monitorpi_capture.linux.ports import require
from monitorpi_capture.linux.ring import FRAME_HEAD, TAG_OUT, Ring
from monitorpi_capture.linux.wake import Wake
from monitorpi_common.service import ResourceError
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitorpi_capture.frame.classify import Classified
    from monitorpi_capture.items import FloodSums, WindowCounts
    from monitorpi_capture.linux.packetsocket import Instruction

_BLOCK: Final = 128 * 1024
"""Bytes of a block: some 700 small frames."""
_BLOCKS: Final = 64
"""8 MB together, some 45,000 small frames: a third of a second at the line rate of 100 Mb/s."""
_RETIRE_MS: Final = 20
"""So late frames are read on a quiet wire; a window counts those that were read."""
_AT_ONCE: Final = 8
"""Blocks of an interface that are read before the others have their turn."""
_TCP_HEADERS: Final = 128
"""Of IPv4 with TCP: more than its headers and Ethernet's together."""
_HEADERS: Final = 4096
"""Of any other frame: its headers are shorter, and what the inventory reads is."""
_TAKE: Final[tuple[Instruction, ...]] = (
    (0x28, 0, 0, 12),  # ldh: the EtherType
    (0x15, 0, 3, 0x0800),
    (0x30, 0, 0, 23),  # ldb: the protocol
    (0x15, 0, 1, 6),
    (0x06, 0, 0, _TCP_HEADERS),
    (0x06, 0, 0, _HEADERS),
)
_FRAME: Final = 92
"""Offset of a frame in its entry: tpacket_rcv in net/packet/af_packet.c, for Ethernet and a virtio
header; a test holds it."""
_VIRTIO: Final = _FRAME - 10
LAYOUT: Final = Layout(
    following=0, length=16, merged=_VIRTIO + 1, frame=_FRAME, tag_out=TAG_OUT
)  # fmt: skip
_SEGMENT_SIZE: Final = struct.Struct("=H")
_TAG: Final = 4
_TCP: Final = CLASS_BIT["tcp"]
_WAITING: Final = 200
"""Frames that wait for the inventory."""


class _Port:
    """One interface: its ring while it is there, what was counted, and what the inventory reads."""

    def __init__(self, name: str, max_rows: int) -> None:
        self.name = name
        self.tally = Tally(name, SocketEngine.name, max_rows)
        self.unfolded = RingCounts(LAYOUT, self._count)
        self.ring: Ring | None = None
        self.index: int | None = None
        self.away: str | None = None
        self.start = now()
        self._waiting: deque[Caught] = deque()
        self._dropped_total = 0
        self._reported_total = 0

    def open(self) -> None:
        """Open the ring.

        Raises:
            OSError: no permission, or the interface is away.

        """
        self.index = interfaces.index_of(self.name)
        self.ring = Ring(
            self.name,
            _TAKE,
            block_bytes=_BLOCK,
            blocks=_BLOCKS,
            retire_ms=_RETIRE_MS,
            promiscuous=True,
            offload_header=True,
        )
        self.start = now()
        self.ring.hook()

    def close(self) -> None:
        """Close the ring, with it the card leaves promiscuous mode."""
        if self.ring is not None:
            self.ring.close()
        self.ring = None

    def read(self) -> None:
        """Count what the kernel handed over, up to some blocks."""
        if self.ring is not None:
            for place, frames in self.ring.handed_over(_AT_ONCE):
                self.unfolded.read(self.ring.memory, place, frames)
            self.unfolded.fold(self.tally)

    def _count(self, place: int) -> None:
        """Count the frame of an entry by itself."""
        if self.ring is None:
            return
        memory = self.ring.memory
        _, _, _, held, length, status, offset, tag = FRAME_HEAD.unpack_from(memory, place)
        start = place + offset
        data = memory[start : start + held]
        if length < ETHERNET_HEADER:
            self.tally.add_unlinked(classify(data, length)[0], length)
            return
        tagged = bool(status & TAG_OUT)
        classified = classify(data, length, tagged)
        frames, size = 1, length
        if memory[start - 9]:
            (segment,) = _SEGMENT_SIZE.unpack_from(memory, start - 6)
            frames, size = segments(data, length, classified, segment)
        self.tally.add(data, classified, size + _TAG * frames if tagged else size, frames)
        if is_discovery(data, classified):
            self._offer(Caught(data[:FRAME_BYTES], length, tag if tagged else None))

    def _offer(self, caught: Caught) -> None:
        if len(self._waiting) < _WAITING:
            self._waiting.append(caught)
        else:
            self._dropped_total += 1

    def receive(self) -> Caught | None:
        """Return a discovery frame that waits, None where none does."""
        return self._waiting.popleft() if self._waiting else None

    def dropped(self) -> int:
        """Return how many of them found no room since the last call."""
        before, self._reported_total = self._reported_total, self._dropped_total
        return self._reported_total - before

    def lost(self) -> int:
        """Return the frames lost in the ring since the last call."""
        return self.ring.drops() if self.ring else 0

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
    has_bell: Final = False

    def __init__(self, names: Sequence[str], max_rows: int) -> None:
        self._ports = [_Port(name, max_rows) for name in names]
        self._poll = select.poll()
        self._by_fd: dict[int, _Port] = {}
        self._wake = Wake()
        self._poll.register(self._wake, select.POLLIN)
        self._stopped = False

    @property
    def away(self) -> Mapping[str, str]:
        """The interfaces that cannot be counted now, each with the reason."""
        return {port.name: port.away for port in self._ports if port.away is not None}

    @property
    def feeds(self) -> Sequence[_Port]:
        """What each interface shows of discovery frames."""
        return tuple(self._ports)

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
        if port.ring is not None:
            self._by_fd[port.ring.fileno()] = port
            self._poll.register(port.ring, select.POLLIN)

    def _detach(self, port: _Port) -> None:
        if port.ring is not None and self._by_fd.pop(port.ring.fileno(), None) is not None:
            self._poll.unregister(port.ring)
        port.close()

    def count_until(
        self,
        boot_s: float,
        rings_after: Mapping[str, int] | None = None,  # noqa: ARG002 - there is no bell
    ) -> None:
        """Read frames until the boot-time clock shows this or :meth:`stop` was called."""
        while not self._stopped:
            left = boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)
            if left <= 0:
                return
            for fd, _ in self._poll.poll(left * 1000):
                if fd in self._by_fd:
                    self._by_fd[fd].read()

    def close_windows(self) -> list[WindowCounts]:
        """End the windows of all interfaces."""
        windows = []
        for port in self._ports:
            before = port.away
            port.away = port.look()
            port.unfolded.fold(port.tally, most=0)
            if port.away is None or before is None or not port.tally.empty:
                windows.append(self._window(port))
            if port.away is not None or port.ring is None:
                self._recover(port)
        return windows

    def _window(self, port: _Port) -> WindowCounts:
        start, end = port.start, now()
        port.start = end
        length = (end.boot_s or 0.0) - (start.boot_s or 0.0)
        return port.tally.close_window(start, end, max(length, 1e-6), {"socket": port.lost()})

    def sums(self) -> Mapping[str, FloodSums]:
        """Return what the running windows hold so far."""
        for port in self._ports:
            port.unfolded.fold(port.tally, most=0)
        return {port.name: port.tally.sums() for port in self._ports}

    def peek(self, name: str) -> WindowCounts:
        """Return what the running window of an interface holds so far."""
        port = next(port for port in self._ports if port.name == name)
        port.unfolded.fold(port.tally, most=0)
        end = now()
        length = (end.boot_s or 0.0) - (port.start.boot_s or 0.0)
        return port.tally.peek(port.start, end, max(length, 1e-6))

    def _recover(self, port: _Port) -> None:
        """Bring back an interface that is there again."""
        port.start = now()
        index = interfaces.index_of(port.name)
        if index is None:
            self._detach(port)
        elif index != port.index or port.ring is None:
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
