"""The live source: paces an engine by the boot-time clock and adds what the system knows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.onset import ANSWER_S, Onsets
from monitorpi_capture.items import EngineReport
from monitorpi_host import interfaces
from monitorpi_host.losses import Losses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitorpi_capture.items import Engine, WindowCounts
    from monitorpi_common.log import Log

WINDOW_S: Final = 1.0
_LEAST_S: Final = 0.01
"""So near its end a window is not looked at any more."""


def boot_s() -> float:
    """Return the boot-time clock, which never steps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LiveSource:
    """Emits one :class:`WindowCounts` per interface and second, and reports of the engine."""

    def __init__(
        self,
        engine: Engine,
        names: Sequence[str],
        refused: Mapping[str, str],
        log: Log,
        clock: Callable[[], float] = boot_s,
    ) -> None:
        """Take an engine that is open already, and the clock it counts by."""
        self._engine = engine
        self._names = tuple(names)
        self._refused = dict(refused)
        self._log = log
        self._clock = clock
        self._onsets = Onsets(has_bell=engine.has_bell)
        self._losses = Losses()
        self._pinned: Sequence[bytes] | None = None
        self._away: dict[str, str] = {}
        self._stopped = False

    def pin(self, macs: Sequence[bytes]) -> None:
        """Take the MACs that keep counters of their own; from the next window on."""
        self._pinned = macs

    def stop(self) -> None:
        """End after the window that is being counted, a short one."""
        self._stopped = True
        self._engine.stop()

    def run(self, emit: Callable[[object], None]) -> None:
        """Emit a window per interface and second until stopped, then close the engine."""
        try:
            self._count(emit)
        finally:
            self._engine.close()

    def _count(self, emit: Callable[[object], None]) -> None:
        deadline = self._clock() + WINDOW_S
        self._report_away(emit, first=True)
        while not self._stopped:
            pinned, self._pinned = self._pinned, None
            if pinned is not None:
                self._engine.pin(pinned)
            self._count_until(deadline, emit)
            windows = self._engine.close_windows()
            deadline = max(deadline + WINDOW_S, self._clock() + WINDOW_S / 2)
            for number, window in enumerate(windows):
                emit(self._completed(window, softnet=number == 0))
            self._report_away(emit)

    def _count_until(self, deadline: float, emit: Callable[[object], None]) -> None:
        """Count until the end of the windows, and look whether a flood begins meanwhile."""
        answered_s = deadline - ANSWER_S  # what comes later may yet be answered when it ends
        while not self._stopped:
            now_s = self._clock()
            until_s = min(deadline, now_s + self._onsets.pause_s)
            if now_s < answered_s < until_s:
                until_s = answered_s
            self._engine.count_until(until_s, self._onsets.rings_after)
            now_s = self._clock()
            if now_s >= deadline - _LEAST_S:
                self._engine.count_until(deadline)
                return
            for name in self._onsets.look(now_s, self._engine.sums()):
                window = self._engine.peek(name)
                emit(self._onsets.counts(self._clock(), window))

    def _completed(self, window: WindowCounts, *, softnet: bool) -> WindowCounts:
        """Add the losses below the tap, and what the system knows of the link.

        Drops of the machine's receive queues are not known by interface: the first one has them.
        """
        losses = dict(window.losses) | self._losses.of(window.interface)
        if softnet:
            losses["softnet"] = self._losses.softnet()
        name = window.interface
        late_syn = self._onsets.close(self._clock(), window)
        return replace(
            window, late_syn=late_syn, losses=losses, link_bps=interfaces.link_bps(name),
            has_link=interfaces.has_link(name),
        )  # fmt: skip

    def _report_away(self, emit: Callable[[object], None], *, first: bool = False) -> None:
        away = dict(self._engine.away)
        if away == self._away and not first:
            return
        for name, reason in away.items():
            if self._away.get(name) != reason:
                self._log.warning("interface away", name=name, reason=reason)
        for name in self._away.keys() - away.keys():
            self._log.info("interface is counted again", name=name)
        self._away = away
        emit(EngineReport(self._engine.name, self._refused, self._names, away))
