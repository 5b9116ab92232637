"""Lines about single frames while somebody watches, a few a second. I/O."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.classify import ETHERNET_HEADER, classify
from monitorpi_capture.frame.line import line_of
from monitorpi_capture.items import CLASS_BIT
from monitorpi_capture.linux.packetsocket import ACCEPT
from monitorpi_capture.linux.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_capture.items import PacketLine
    from monitorpi_common.log import Log
    from monitorpi_common.messages import Watch

LINES_PER_S: Final = 10
_LOOKED_AT: Final = 200
"""Frames a watcher's filter looks at per slot for one that matches."""


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
                tap.tend()
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
        return line_of(data, length, classified, tap.name, time.time())
    return None
