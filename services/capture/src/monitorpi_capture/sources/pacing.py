"""Between source and core: what comes at once, how many windows may wait, how late they are told.

The one place where the capture core meets a clock; the core itself stays pure.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import WindowCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from monitorpi_capture.items import Sighting
    from monitorpi_common.service import Core, Outward

WAITING: Final = 8
"""Windows of a file between reader and core: each may hold thousands of rows."""
_PATIENCE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the discovery frames of one slot said, in the order in which they came.

    The core takes each by itself: only the way from thread to thread is one.
    """

    each: Sequence[Sighting]


class Gate:
    """Lets a bounded number of windows wait for the core."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._free = threading.Semaphore(waiting)
        self._open = False

    def enter(self) -> None:
        """Wait until fewer windows wait for the core, or the service stops."""
        while not self._open and not self._free.acquire(timeout=_PATIENCE_S):
            pass

    def leave(self) -> None:
        """Let one more window in: the core has taken one."""
        self._free.release()

    def open(self) -> None:
        """Let everybody through from now on: the service is stopping."""
        self._open = True


class PacedCore:
    """The core, with the gate opened behind each window and its lag measured."""

    def __init__(self, core: Core, gate: Gate | None = None) -> None:
        self._core = core
        self._gate = gate
        self._lag_s: float | None = None
        self._worst_lag_s = 0.0

    def handle(self, item: object) -> Iterable[Outward]:
        """Hand the item on; the answers are complete when this returns."""
        if isinstance(item, Sightings):
            return [answer for one in item.each for answer in self._core.handle(one)]
        answers = list(self._core.handle(item))
        if isinstance(item, WindowCounts):
            if self._gate is not None:
                self._gate.leave()
            if item.end.boot_s is not None:
                self._lag_s = time.clock_gettime(time.CLOCK_BOOTTIME) - item.end.boot_s
                self._worst_lag_s = max(self._worst_lag_s, self._lag_s)
        return answers

    def close(self) -> Iterable[Outward]:
        """Return what the core publishes at its end."""
        return self._core.close()

    def detail(self) -> dict[str, JsonValue]:
        """Add the lag: from the end of a window until its message is ready to be sent."""
        detail = self._core.detail()
        if self._lag_s is not None:
            detail["lag_ms"] = round(self._lag_s * 1000, 1)
            detail["worst_lag_ms"] = round(self._worst_lag_s * 1000, 1)
        return detail
