"""A packet socket of its own that looks at some frames of each moment, for copies and loops. I/O.

Theory of operation. Time is cut into slots of a quarter second. In each the sampler takes the first
frames of every interface from a small ring that the kernel writes into (:mod:`..linux.ring`: the
frames' first bytes and times, without a copy of the frame and without waking anybody before a block
is full or old). On a quiet wire the sockets stay hooked; on a busy one a block fills within
moments, and the sockets are unhooked (bound to an EtherType that nobody sends: the kernel passes
them by) until the next slot, all together, so that what one interface shows can be looked for on
the others. So a frame on a busy wire costs what it cost without the sampler.
"""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import SNAPPED, FrameSample, SampledFrame
from monitorpi_capture.linux.ring import FRAME_HEAD, Ring
from monitorpi_capture.sources.slots import SlotSampler, merged_in_time
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from monitorpi_common.log import Log

SLOT_S: Final = SlotSampler.SLOT_S
_BLOCK: Final = 16 * 1024
"""Bytes of a block: about 70 frames of :data:`SNAPPED` bytes and their headers."""
_BLOCKS: Final = 2
_RETIRE_MS: Final = 60
"""A block that is not full is handed over after so long."""
_FEWEST: Final = 16
_TRY_AGAIN_S: Final = 1.0

_TAKE: Final = ((0x06, 0, 0, SNAPPED),)
"""Classic BPF: every frame, its first bytes."""


class SampleRing(Ring):
    """A small ring of one interface's first frames of a moment."""

    def __init__(self, interface: str) -> None:
        super().__init__(interface, _TAKE, block_bytes=_BLOCK, blocks=_BLOCKS, retire_ms=_RETIRE_MS)

    def take(self, port: int) -> Iterator[SampledFrame]:
        """Return what is in the blocks the kernel handed over, and give them back."""
        for place, frames in self.handed_over(_BLOCKS):
            at = place
            for _ in range(frames):
                following, s, ns, held, length, _, offset, _ = FRAME_HEAD.unpack_from(
                    self.memory, at
                )
                start = at + offset
                data = self.memory[start : start + held]
                yield SampledFrame(s + ns / 1e9, port, length, data)
                at += following


class Sampler:
    """Emits a :class:`FrameSample` for each slot in which there were frames."""

    def __init__(self, names: Sequence[str], log: Log) -> None:
        self._names = tuple(names)
        self._log = log
        self._rings: dict[str, SampleRing] = {}
        self._most = max(SlotSampler.FRAMES // len(self._names), _FEWEST)
        self._next_try_s = 0.0
        self._reported: set[str] = set()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End within a slot."""
        self._stopped.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Emit a sample per slot until stopped."""
        try:
            while not self._stopped.is_set():
                self._tend()
                sample = self._slot(time.monotonic() + SLOT_S)
                if sample.frames:
                    emit(sample)
        finally:
            for ring in self._rings.values():
                ring.close()

    def _tend(self) -> None:
        """Open what is missing, once a second."""
        now_s = time.monotonic()
        if now_s < self._next_try_s:
            return
        self._next_try_s = now_s + _TRY_AGAIN_S
        for name in self._names:
            index, ring = interfaces.index_of(name), self._rings.get(name)
            if ring is not None and ring.index != index:
                self._rings.pop(name).close()
                ring = None
            if ring is None and index is not None:
                try:
                    self._rings[name] = SampleRing(name)
                except OSError as error:
                    self._report(name, error)

    def _report(self, name: str, error: OSError) -> None:
        if name not in self._reported:
            self._reported.add(name)
            self._log.warning("copies cannot be looked for", interface=name, why=error.strerror)

    def _slot(self, until_s: float) -> FrameSample:
        """Look at one slot of time."""
        since_s = self._hook()
        poll = select.poll()
        ports = {name: port for port, name in enumerate(self._names)}
        by_fd = {}
        for name, ring in self._rings.items():
            poll.register(ring, select.POLLIN)
            by_fd[ring.fileno()] = (ring, ports[name])
        frames: list[SampledFrame] = []
        counts = dict.fromkeys(by_fd, 0)
        ends_s = float("inf")
        while (left_s := until_s - time.monotonic()) > 0 and not self._stopped.is_set():
            if not by_fd or ends_s < float("inf"):
                self._stopped.wait(left_s)
                break
            for fd, _ in poll.poll(left_s * 1000):
                ring, port = by_fd[fd]
                taken = list(ring.take(port))
                frames += taken
                counts[fd] += len(taken)
                if counts[fd] >= self._most:
                    ends_s = min(ends_s, taken[-1].at_s)
            if ends_s < float("inf"):
                frames += self._unhook()
        return FrameSample(self._names, merged_in_time(frames), (since_s, ends_s))

    def _hook(self) -> float:
        """Hook every socket; returns since when all of them are."""
        was_on = all(ring.is_hooked for ring in self._rings.values())
        for name, ring in list(self._rings.items()):
            try:
                ring.hook()
            except OSError:  # away: it is opened anew when it is there again
                self._rings.pop(name).close()
        return 0.0 if was_on else time.time()

    def _unhook(self) -> Iterator[SampledFrame]:
        """Unhook every socket and return what was left in the rings' full blocks."""
        for name, ring in list(self._rings.items()):
            try:
                ring.unhook()
            except OSError:
                self._rings.pop(name).close()
        for name, ring in self._rings.items():
            yield from ring.take(self._names.index(name))
