"""Second sockets beside the engine: discovery frames, and lines for who watches. I/O.

Both are rate-limited where the frames enter: after a slot's share is read the thread sleeps and the
kernel drops what does not fit into a small buffer, so that a flood of ARP costs nothing more. DHCP
and router advertisements are few and say most: half of each slot is theirs if they want it, and
what else is waiting waits in a queue of its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.frame.classify import ETHERNET_HEADER, classify
from monitorpi_capture.frame.dissect import is_rare
from monitorpi_capture.frame.line import line_of
from monitorpi_capture.items import CLASS_BIT, ListenerReport, PacketLine
from monitorpi_capture.linux import interfaces
from monitorpi_capture.linux.packetsocket import (
    ACCEPT,
    ANCILLARY,
    drops,
    open_packet_socket,
    stripped_tag,
)
from monitorpi_capture.sources.discovery import DISCOVERY

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from monitorpi_capture.frame.dissect import Dissector
    from monitorpi_capture.linux.packetsocket import Instruction
    from monitorpi_common.log import Log
    from monitorpi_common.messages import Watch

SLOT_S: Final = 0.1
BUSY_S: Final = 0.02
"""Time a slot may spend on dissecting: crafted frames take a fifth of a core at most."""
LINES_PER_S: Final = 10
_RECEIVE_BUFFER: Final = 128 * 1024
_FRAME: Final = 2048
_READ: Final = 400
"""Frames read from the kernel per slot: twice what its buffer holds."""
_WAITING: Final = 200
"""Frames of ARP and its like that wait: a second's share by default, in a burst."""
_LOOKED_AT: Final = 200
"""Frames a watcher's filter looks at per slot for one that matches."""
_MSG_TRUNC: Final = 0x20


class Caught(NamedTuple):
    """One frame of a tap."""

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
        """Close it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Listener:
    """Emits a :class:`Sighting` for each device a discovery frame is about."""

    def __init__(self, names: Sequence[str], dissector: Dissector, frames_per_s: int) -> None:
        self._taps = [Tap(name, DISCOVERY) for name in names]
        self._dissector = dissector
        self._per_slot = max(round(frames_per_s * SLOT_S), 1)
        self._waiting: list[deque[Caught]] = [deque() for _ in names]
        self._dropped = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End within a slot."""
        self._stopped.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Listen until stopped."""
        for tap in self._taps:
            tap.open()
        reported = (0, 0)
        while not self._stopped.wait(SLOT_S):
            now_s = time.monotonic()
            self._dropped += sum(tap.tend(now_s) for tap in self._taps)
            share = max(self._per_slot // len(self._taps), 1)
            for tap, waiting in zip(self._taps, self._waiting, strict=True):
                rare = self._read(tap, waiting, share)
                while rare and len(rare) > share // 2 and waiting:
                    rare.pop()
                    self._dropped += 1
                least = [waiting.popleft() for _ in range(min(share - len(rare), len(waiting)))]
                self._listen(tap, [*rare, *least], now_s + BUSY_S, emit)
            if reported != (reported := (self._dropped, self._dissector.failed)):
                emit(ListenerReport(*reported))
        for tap in self._taps:
            tap.close()

    def _read(self, tap: Tap, waiting: deque[Caught], share: int) -> list[Caught]:
        """Empty the kernel's buffer; return what must not wait, a slot's share of it."""
        rare: list[Caught] = []
        for _ in range(_READ):
            caught = tap.receive()
            if caught is None:
                break
            data = caught.data
            classified = classify(data, caught.length, caught.tag is not None)
            queue, most = (rare, share) if is_rare(data, classified) else (waiting, _WAITING)
            if len(queue) < most:
                queue.append(caught)
            else:
                self._dropped += 1
        return rare

    def _listen(
        self, tap: Tap, frames: Iterable[Caught], until_s: float, emit: Callable[[object], None]
    ) -> None:
        """Dissect frames; what time does not allow to is dropped."""
        for caught in frames:
            if time.monotonic() > until_s:
                self._dropped += 1
                continue
            for sighting in self._dissector.dissect(
                caught.data,
                time.time(),
                tap.interface,
                wire_length=caught.length,
                tag=caught.tag,
            ):
                emit(sighting)


@dataclass(frozen=True, slots=True)
class _Lease:
    until_s: float
    mac: bytes | None
    mask: int


class Watcher:
    """Emits a few :class:`PacketLine` a second while somebody watches."""

    def __init__(self, names: Sequence[str], log: Log) -> None:
        self._names = names
        self._log = log
        self._lease: _Lease | None = None
        self._wake = threading.Event()
        self._stopped = False

    def watch(self, order: Watch) -> None:
        """Begin, or begin anew with another filter. Called from the core's thread."""
        mac = bytes.fromhex(order.mac.replace(":", "")) if order.mac else None
        mask = CLASS_BIT.get(order.class_, 0) if order.class_ else 0
        self._lease = _Lease(time.monotonic() + order.seconds, mac, mask)
        self._log.info("watch", seconds=order.seconds, mac=order.mac, only=order.class_)
        self._wake.set()

    def stop(self) -> None:
        """End within a slot."""
        self._stopped = True
        self._wake.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Wait for leases and serve them."""
        while not self._stopped:
            self._wake.wait()
            self._wake.clear()
            if not self._stopped:
                self._serve(emit)

    def _serve(self, emit: Callable[[object], None]) -> None:
        taps = [Tap(name, (ACCEPT,)) for name in self._names]
        for tap in taps:
            tap.open()
        turn = 0
        while not self._stopped:
            lease = self._lease
            if lease is None or time.monotonic() >= lease.until_s:
                break
            for tap in taps:
                tap.tend(time.monotonic())
            for _ in taps:
                turn += 1
                line = _first_match(taps[turn % len(taps)], lease)
                if line is not None:
                    emit(line)
                    break
            time.sleep(1.0 / LINES_PER_S)
        for tap in taps:
            tap.close()


def _first_match(tap: Tap, lease: _Lease) -> PacketLine | None:
    """Return the line of the first waiting frame that is asked for."""
    for _ in range(_LOOKED_AT):
        caught = tap.receive()
        if caught is None:
            return None
        data, length, tag = caught
        if len(data) < ETHERNET_HEADER:
            continue
        if lease.mac is not None and lease.mac not in (data[:6], data[6:12]):
            continue
        classified = classify(data, length, tag is not None)
        if lease.mask and not classified[0] & lease.mask:
            continue
        return line_of(data, length, classified, tap.interface, time.time())
    return None
