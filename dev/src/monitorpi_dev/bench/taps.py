"""What ``monitorpi bench capture`` measures: each way to count frames, in a process of its own.

``python -m monitorpi_dev.bench.taps NAME INTERFACE`` counts until its input ends. It prints a line
when it has begun, and for each line it reads the frames counted and left out since the last.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_capture.engine.ebpf.tcx import TcxEngine
from monitorpi_capture.engine.socket_engine import SocketEngine
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import PACKETS
from monitorpi_capture.linux.packetsocket import (
    ACCEPT,
    SO_RCVBUFFORCE,
    be_promiscuous,
    open_packet_socket,
)
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.listener import Listener
from monitorpi_capture.sources.sampler import Sampler
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_capture.items import Engine, WindowCounts

WINDOW_S: Final = 1.0
_SLICE_S: Final = 0.1
"""How long a request waits at most."""
RECEIVE_BUFFER: Final = 8 * 1024 * 1024
"""As our own socket engine asks for; tcpdump is given the same."""
_MACS: Final = struct.Struct("!6s6sH")
_BATCH: Final = 512

Counted = tuple[int, int]
"""Frames counted apart, and frames left out but summed."""


class BenchTap(Protocol):
    """Counts frames of one interface."""

    def open(self) -> None:
        """Begin."""

    def count_until(self, boot_s: float) -> None:
        """Count until the boot-time clock shows this."""

    def cut(self) -> Counted:
        """End the window and return what it counted."""
        ...

    def close(self) -> None:
        """Give everything back."""


class EngineTap:
    """One of the engines of capture, alone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.count_until = engine.count_until

    def open(self) -> None:
        """Begin."""
        self.engine.open()

    def cut(self) -> Counted:
        """Cut as the service does once a second."""
        windows = self.engine.close_windows()
        return sum(map(_listed, windows)), sum(map(_omitted, windows))

    def close(self) -> None:
        """Give everything back."""
        self.engine.close()


class ServiceTap(EngineTap):
    """An engine with what runs beside it in the service: the inventory and the sampler."""

    def __init__(self, engine: Engine, interface: str) -> None:
        super().__init__(engine)
        self._interface = interface

    def open(self) -> None:
        """Begin, and start the threads beside it."""
        super().open()
        frames_per_s = CaptureSettings.model_fields["inventory_frames_per_s"].default
        listener = Listener(self.engine.feeds, Dissector(), frames_per_s)
        for source in (listener, Sampler([self._interface], Log("bench"))):
            threading.Thread(target=source.run, args=(_ignored,), daemon=True).start()


def _ignored(_: object) -> None:
    """Take what a source says: here nobody listens."""


def _listed(window: WindowCounts) -> int:
    return sum(row.tx[PACKETS] for row in window.rows if row.tx)


def _omitted(window: WindowCounts) -> int:
    return window.overflow_tx[PACKETS] if window.overflow_tx else 0


class RawSocketTap:
    """What one writes first: a packet socket, ``recv`` and ``struct``, frames per source."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._macs: dict[bytes, int] = {}

    def open(self) -> None:
        """Open the socket."""
        self._sock = open_packet_socket(self._interface, [ACCEPT], receive_buffer=RECEIVE_BUFFER)
        be_promiscuous(self._sock, socket.if_nametoindex(self._interface))

    def count_until(self, boot_s: float) -> None:
        """Read frame by frame."""
        macs, receive = self._macs, self._sock.recv
        while (left := boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)) > 0:
            if not select.select([self._sock], [], [], left)[0]:
                return
            try:
                for _ in range(_BATCH):
                    _, source, _ = _MACS.unpack_from(receive(2048))
                    macs[source] = macs.get(source, 0) + 1
            except BlockingIOError:
                continue

    def cut(self) -> Counted:
        """Sum up."""
        counted = sum(self._macs.values())
        self._macs.clear()
        return counted, 0

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class ScapyTap:
    """Scapy's sniffer with a function per frame."""

    def __init__(self, interface: str) -> None:
        # half a second and 15 MB that only scapy's own rows pay; up to TCP, as whoever counts SYNs
        from scapy.arch.linux import L2ListenSocket  # noqa: PLC0415
        from scapy.layers import inet  # noqa: F401, PLC0415
        from scapy.layers.l2 import Ether  # noqa: PLC0415
        from scapy.sendrecv import AsyncSniffer  # noqa: PLC0415

        self._macs: dict[str, int] = {}

        def count(frame: Ether) -> None:
            if Ether in frame:
                source = frame[Ether].src
                self._macs[source] = self._macs.get(source, 0) + 1

        self._sock = L2ListenSocket(iface=interface)
        # its own 64 kB hold a few dozen frames
        self._sock.ins.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self._sniffer = AsyncSniffer(opened_socket=self._sock, prn=count, store=False)

    def open(self) -> None:
        """Start the sniffer's thread."""
        self._sniffer.start()

    def count_until(self, boot_s: float) -> None:
        """Let the thread work."""
        time.sleep(max(boot_s - time.clock_gettime(time.CLOCK_BOOTTIME), 0))

    def cut(self) -> Counted:
        """Sum up."""
        macs, self._macs = self._macs, {}
        return sum(macs.values()), 0

    def close(self) -> None:
        """End the thread."""
        self._sniffer.stop()
        self._sock.close()


TAPS: Final[dict[str, Callable[[str, int], BenchTap]]] = {
    "tcx": lambda name, rows: ServiceTap(TcxEngine([name], rows), name),
    "ebpf": lambda name, rows: ServiceTap(EbpfEngine([name], rows), name),
    "empty-filter": lambda name, rows: EngineTap(EbpfEngine([name], rows, "socket/empty")),
    "socket": lambda name, rows: ServiceTap(SocketEngine([name], rows), name),
    "raw-socket": lambda name, _: RawSocketTap(name),
    "scapy": lambda name, _: ScapyTap(name),
}
"""Each tap by name, made of the interface and the MAC addresses counted apart."""


def main(argv: Sequence[str]) -> int:
    """Count; see the module."""
    name, interface, rows = argv
    tap = TAPS[name](interface, int(rows))
    tap.open()
    print(flush=True)
    counted = omitted = 0
    deadline = _boot_s() + WINDOW_S
    while True:
        asked = bool(select.select([sys.stdin], [], [], 0)[0])
        if asked or _boot_s() >= deadline:
            window = tap.cut()
            counted, omitted = counted + window[0], omitted + window[1]
            deadline = _boot_s() + WINDOW_S
        if asked:
            if not sys.stdin.readline():
                break
            print(counted, omitted, flush=True)
            counted = omitted = 0
        tap.count_until(min(deadline, _boot_s() + _SLICE_S))
    tap.close()
    return 0


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
