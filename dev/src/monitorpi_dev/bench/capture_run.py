"""One tap under one load after the other, and what each costs."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import MAX_ROWS
from monitorpi_dev.bench import processes
from monitorpi_dev.bench.tap_processes import REST_S, TCPDUMP, OwnTap, Tcpdump
from monitorpi_dev.sender import INTERFACE, KINDS, Sender
from monitorpi_host import children
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_dev.bench.tap_processes import TapProcess
    from monitorpi_dev.bench.taps import Counted

FULL_SPEED: Final = 0
SECONDS: Final = 1.0
_FASTEST: Final = 2_500_000
"""Frames/s the sender nearly reaches; says how many frames a run at full speed has."""
_BURST: Final = 100_000
BURSTS: Final = 12
"""The lower quartile of their costs is kept: what other programs do to the caches is no tap's."""
_BUSY_RATIO: Final = 0.2
_DRAIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One tap under one load. Ratios are shares of one CPU."""

    engine: str
    macs: int
    asked_fps: int
    """0: as fast as the sender goes."""
    offered_fps: int
    """What the sender reached."""
    sent: int
    counted: int | None
    omitted: int | None
    """Counted in a sum, for want of a row of their own."""
    lost: int | None
    """None: an empty filter counts nothing."""
    process_cpu_ratio: float
    softirq_cpu_ratio: float
    """The tap's part in the receive path at this rate: on a network card it runs in softirq."""
    process_ns: float | None
    """CPU time of the tap's process per frame it counted."""
    kernel_ns: float
    """What the tap adds to a frame in the receive path: `tapped_ns` - `bare_ns`."""
    bare_ns: float
    """CPU time of the sender at full speed per frame, without any tap."""
    tapped_ns: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly is measured."""

    seconds: float = SECONDS
    """Length of a run."""
    bursts: int = BURSTS
    """At full speed, for the cost in the kernel."""
    max_macs: int = MAX_ROWS
    """Addresses our engines count apart."""


class Bench:
    """The namespace, the sender, and who may run where."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._sender = Sender()
        self._space = Namespace("bench")
        cpus = sorted(os.sched_getaffinity(0))
        self._sender_cpu, self._tap_cpu = cpus[0], cpus[-1]
        self._space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
        self._space.run(["ip", "link", "set", INTERFACE, "up"])

    def close(self) -> None:
        """Take everything away."""
        self._space.close()
        self._sender.close()

    def rows(self, engine: str, macs: int, rates: Sequence[int]) -> Iterator[EngineRow]:
        """Measure one tap with one number of source addresses at several rates.

        Raises:
            LabError: the tap cannot be started here.

        """
        bare = self._bursts(macs)
        tap = self._start(engine)
        try:
            tapped = self._bursts(macs, tap)
            runs = [(rate, *self._run(tap, macs, rate)) for rate in rates]
            rss = processes.peak_rss(tap.pid)
        finally:
            tap.close()
        bare_ns = _lower_quartile(bare + self._bursts(macs))
        tapped_ns = _lower_quartile(tapped)
        for rate, offered, sent, counted, cpu_ratio, cpu_s in runs:
            found = None if engine == "empty-filter" else counted
            yield EngineRow(
                engine=engine,
                macs=macs,
                asked_fps=rate,
                offered_fps=round(offered),
                sent=sent,
                counted=found and found[0],
                omitted=found and found[1],
                lost=found and sent - sum(found),
                process_cpu_ratio=round(cpu_ratio, 5),
                softirq_cpu_ratio=round((tapped_ns - bare_ns) * offered / 1e9, 5),
                process_ns=round(cpu_s * 1e9 / found[0], 2) if found and found[0] else None,
                kernel_ns=round(tapped_ns - bare_ns, 1),
                bare_ns=round(bare_ns, 1),
                tapped_ns=round(tapped_ns, 1),
                rss_bytes=rss,
            )

    def _start(self, engine: str) -> TapProcess:
        if engine == TCPDUMP:
            tap: TapProcess = Tcpdump(self._space)
        else:
            tap = OwnTap(self._space, engine, self._effort.max_macs)
        for task in Path(f"/proc/{tap.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {self._tap_cpu})
        return tap

    def _bursts(self, macs: int, tap: TapProcess | None = None) -> list[float]:
        """Return the sender's CPU time per frame at full speed, several times."""
        found = []
        for _ in range(self._effort.bursts):
            sent = self._send(_BURST, macs, FULL_SPEED)
            found.append(sent[2])
            if tap is not None:
                _wait_idle(tap.pid, REST_S)
        if tap is not None:
            _wait_idle(tap.pid, tap.rest_s)
            tap.take()
        return found

    def _send(self, frames: int, macs: int, rate: int) -> tuple[float, int, float]:
        """Send; return the frames per second reached, the frames, and the CPU time of one in ns."""
        sent = self._space.call(
            self._sender.send,
            frames,
            per_second=rate,
            macs=macs,
            kinds=len(KINDS),
            cpu=self._sender_cpu,
        )
        return sent.per_second, sent.frames, sent.cpu_ns

    def _run(
        self, tap: TapProcess, macs: int, rate: int
    ) -> tuple[float, int, Counted, float, float]:
        before_s, start = children.cpu_s(tap.pid), time.monotonic()
        frames = max(round((rate or _FASTEST) * self._effort.seconds), 1)
        offered, sent, _ = self._send(frames, macs, rate)
        meanwhile_s, took_s = children.cpu_s(tap.pid) - before_s, time.monotonic() - start
        _wait_idle(tap.pid, tap.rest_s)
        counted = tap.take()
        return offered, sent, counted, meanwhile_s / took_s, children.cpu_s(tap.pid) - before_s


def _wait_idle(pid: int, rest_s: float) -> None:
    """Wait until a process has worked off what waits in its buffers."""
    deadline = time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline:
        before_s = children.cpu_s(pid)
        time.sleep(rest_s)
        rests = children.cpu_s(pid) - before_s < _BUSY_RATIO * REST_S
        if rests and not processes.is_runnable(pid):
            return


def _lower_quartile(numbers: Sequence[float]) -> float:
    return statistics.quantiles(numbers, n=4)[0]
