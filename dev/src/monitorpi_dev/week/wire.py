"""The wire of the simulated home: frames in, windows and sightings out, in event time.

Theory of operation. Processes (generators that yield the seconds until they go on) put real frames
on the wire. Each is classified, counted and dissected by the code that does it on a Raspberry Pi;
a frame seen before is looked up. Two kinds of traffic are told apart:

- *Frames* are all counted, each at its time. A *loud* second is a window of its own, as on a Pi:
  one in which a class of frames reaches half of what the rules that look at it want of one MAC
  (:func:`monitorpi_dev.week.stack.loud_levels`), connections are asked for in vain as a slow scan
  does, many MAC addresses send, or broadcasts come as in a loop. The others, in which no rule could
  find anything, are merged into windows of up to :data:`LONGEST_S` seconds whose length says so:
  nothing is left out.
- *Streams* (own probes, a film, a backup, browsing) go on for hours at a rate, and are counted at
  that rate for the length of each window. What would be lost by that is their busiest seconds: so
  whoever runs a stream sends its bursts as frames, at its begin and at times within.

Of a busy second the first frames of each slot are handed over as samples too, as the sampler does
that looks for copies and loops. A frame that stands for many has a number of its own in each
sample, as a sequence number would; what a loop repeats is the same frame.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from monitorpi_capture.count.copies import COMPARED
from monitorpi_capture.count.tally import Tally
from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import CLASS_BIT, SNAPPED, FrameSample, Instant, SampledFrame
from monitorpi_capture.sources.slots import SlotSampler

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from monitorpi_capture.frame.classify import Classified
    from monitorpi_capture.items import Sighting, WindowCounts

INTERFACE: Final = "eth0"
ENGINE: Final = "socket"
LINK_BPS: Final = 1_000_000_000
VAIN: Final = 2
"""Connections asked for in vain in a second: fewer are no slow scan (200 ports within a minute)."""
GROUP: Final = 50
"""Broadcasts and multicasts in a second: half of what a loop is told of from."""
SENDERS: Final = 50
"""MAC addresses that send in a second: half of what keeps a flood of invented ones open."""
SAMPLED: Final = 100
"""Frames in a second from which there are samples of it."""
LONGEST_S: Final = 30
WATCHED_S: Final = 10
"""The same while an alert is open: the detector takes ten seconds without windows for a sensor
that is gone."""
_TURNS: Final = 4
"""More of one frame in a slot are beyond the first ones."""
_REMEMBERED: Final = 65_536
_GOLDEN: Final = 2_654_435_769
"""2^32 over the golden ratio: multiples of it are spread evenly (Knuth, volume 3, 6.4)."""

Process: TypeAlias = "Generator[float, None, None]"


@dataclass(frozen=True, slots=True)
class FrameStream:
    """Frames that go on at a rate."""

    frames: tuple[bytes, ...]
    per_s: float
    """Of each of the frames."""


@dataclass(slots=True)
class SimulatedWire:
    """Time, the processes, and what they have sent since the last window."""

    now: float
    """Seconds since 1970."""
    deliver: Callable[[object], None]
    """Takes sightings and windows."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Frames in a second, by class, that make it loud."""
    streams: dict[str, FrameStream] = field(default_factory=dict)
    is_watched: Callable[[], bool] = lambda: False
    """An alert is open: look more often."""
    powered: bool = True
    """The Pi and its switch have power."""
    loud: int = 0
    windows: int = 0
    frames: int = 0
    _queue: list[tuple[float, int, Process]] = field(default_factory=list)
    _count: int = 0
    _second: list[tuple[bytes, int, int]] = field(default_factory=list)
    _in_second: int = 0
    _masks: Counter[int] = field(default_factory=Counter)
    """Frames of this second by the mask of their classes."""
    _repeated: set[bytes] = field(default_factory=set)
    _number: int = 0
    _merged: list[tuple[bytes, int, int]] = field(default_factory=list)
    _since: int = 0
    _known: dict[bytes, tuple[Classified, tuple[Sighting, ...]]] = field(default_factory=dict)
    _dissector: Dissector = field(default_factory=Dissector)
    _tally: Tally = field(default_factory=lambda: Tally(INTERFACE, ENGINE))

    def __post_init__(self) -> None:
        self._since = int(self.now)

    # --- processes ----------------------------------------------------------------------------

    def start(self, process: Process, after_s: float = 0.0) -> None:
        """Let a process begin."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + after_s, self._count, process))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._queue and self._queue[0][0] < until:
            at, number, process = heapq.heappop(self._queue)
            if int(at) > int(self.now):
                self._pass(int(at))
            self.now = max(self.now, at)
            after_s = next(process, None)
            if after_s is not None:
                heapq.heappush(self._queue, (self.now + after_s, number, process))
        self._pass(int(until))
        self.now = until

    # --- frames -------------------------------------------------------------------------------

    def send(self, *frames: bytes, times: int = 1, size: int = 0, repeated: bool = False) -> None:
        """Put frames on the wire now.

        Args:
            frames: as they are.
            times: how often each.
            size: bytes on the wire of each, where they are longer than what is given.
            repeated: it is the very same frame each time.

        """
        if not self.powered:
            return
        for frame in frames:
            self._second.append((frame, times, size or len(frame)))
            if repeated:
                self._repeated.add(frame)
            self._in_second += times
            classified, sightings = self._look_up(frame)
            self._masks[classified[0]] += times
            for sighting in sightings:
                self.deliver(sighting._replace(at_s=self.now))

    def _look_up(self, frame: bytes) -> tuple[Classified, tuple[Sighting, ...]]:
        known = self._known.get(frame)
        if known is None:
            sightings = self._dissector.dissect(frame, self.now, INTERFACE)
            known = classify(frame, len(frame)), tuple(sightings)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[frame] = known
        return known

    # --- windows ------------------------------------------------------------------------------

    def _pass(self, to: int) -> None:
        """End the seconds up to a whole one."""
        at = int(self.now)
        if self._in_second and self._is_loud():
            self.loud += 1
            self._emit(self._merged, self._since, at)
            if self._in_second >= SAMPLED:
                self._sample(at)
            self._emit(self._second, at, at + 1)
            self._merged = []
        else:
            self._merged += self._second
        self._second, self._in_second = [], 0
        self._masks.clear()
        while to - self._since >= (step := self._longest()):
            self._emit(self._merged, self._since, self._since + step)
            self._merged = []

    def _is_loud(self) -> bool:
        """Return whether some rule could find something in this second."""
        counts: Counter[str] = Counter()
        for mask, times in self._masks.items():
            for name in _classes_of(mask):
                counts[name] += times
        return (
            counts["syn"] - counts["syn_ack"] >= VAIN
            or counts["broadcast"] + counts["multicast"] >= GROUP
            or self._senders() >= SENDERS
            or any(counts[name] >= level for name, level in self.levels.items())
        )

    def _senders(self) -> int:
        """Return how many MAC addresses sent in this second; few frames are few senders."""
        if len(self._second) < SENDERS:
            return 0
        return len({frame[6:12] for frame, _, _ in self._second})

    def _sample(self, at: int) -> None:
        """Hand over the first frames of each slot of a second."""
        sampled: list[SampledFrame] = []
        slots = round(1 / SlotSampler.SLOT_S)
        for slot in range(slots):
            due = [
                (at + (slot + (turn + number / len(self._second)) / turns) / slots, frame, size)
                for number, (frame, times, size) in enumerate(self._second)
                if (turns := times // slots + (number % slots < times % slots))
                for turn in range(min(turns, _TURNS))
            ]
            for at_s, frame, size in sorted(due)[: SlotSampler.FRAMES]:
                self._number += 1
                data = frame[:SNAPPED]
                if frame not in self._repeated:
                    data = data[: COMPARED - 4][:-4] + self._number.to_bytes(4, "big")
                sampled.append(SampledFrame(at_s, 0, size, data))
        self._repeated.clear()
        self.deliver(FrameSample((INTERFACE,), sampled))

    def _longest(self) -> int:
        return WATCHED_S if self.is_watched() else LONGEST_S

    def _emit(self, frames: Sequence[tuple[bytes, int, int]], start: int, end: int) -> None:
        """Hand over the window from one second to another."""
        self._since = max(self._since, end)
        if end <= start or not self.powered:
            return
        tally, length_s = self._tally, end - start
        for frame, times, size in frames:
            tally.add(frame, self._look_up(frame)[0], size * times, times)
            self.frames += times
        for number, stream in enumerate(self.streams.values()):
            times = _whole(stream.per_s * length_s, start * 31 + number)
            for frame in stream.frames if times else ():
                tally.add(frame, self._look_up(frame)[0], len(frame) * times, times)
                self.frames += times
        self.windows += 1
        window: WindowCounts = tally.close_window(
            Instant(float(start), float(start)), Instant(float(end), float(end)), float(length_s)
        )
        self.deliver(replace(window, link_bps=LINK_BPS))


@lru_cache(maxsize=1024)
def _classes_of(mask: int) -> tuple[str, ...]:
    """Return the names of a frame's classes."""
    return tuple(name for name, bit in CLASS_BIT.items() if mask & bit)


def _whole(mean: float, seed: int) -> int:
    """Return a whole number with this mean, the same for the same seed."""
    whole = int(mean)
    share = (seed * _GOLDEN & 0xFFFFFFFF) / 2**32
    return whole + (share < mean - whole)


def every(seconds: float, spread: float, dice: random.Random) -> Iterator[float]:
    """Yield delays around a mean, for ever."""
    while True:
        yield dice.uniform(seconds * (1 - spread), seconds * (1 + spread))
