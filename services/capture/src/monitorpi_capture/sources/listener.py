"""Discovery frames, as the engine hands them over: what devices say of themselves and each other.

Rate-limited where the frames enter: after a slot's share is read the thread sleeps and the engine
drops what does not fit into a small buffer, so that a flood of ARP costs nothing more. DHCP and
router advertisements are few and say most: half of each slot is theirs if they want it, and what
else is waiting waits in a queue of its own. Each frame keeps the time it was read at, and a slot
hands over what it learned in that order, so that a claim of before a lease's end never follows it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import is_rare
from monitorpi_capture.items import ListenerReport
from monitorpi_capture.sources.pacing import Sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitorpi_capture.frame.classify import Classified
    from monitorpi_capture.frame.dissect import Dissector
    from monitorpi_capture.items import Caught, Feed, Sighting

SLOT_S: Final = 0.1
"""Feeds are read so often; what does not fit into their buffer meanwhile is dropped."""
BUSY_S: Final = 0.02
"""Processor time a slot may spend on dissecting: crafted frames take a fifth of a core at most, and
a machine that is busy with other things drops none for it."""
_READ: Final = 400
"""Frames read from a feed per slot: twice what its buffer holds."""
_WAITING: Final = 200
"""Frames of ARP and its like that wait: a second's share by default, in a burst."""


class Read(NamedTuple):
    """A frame that was read, and when (Unix time, s)."""

    caught: Caught
    at_s: float
    classified: Classified


class Listener:
    """Emits :class:`Sightings`: what the discovery frames of a slot say of devices."""

    def __init__(self, feeds: Sequence[Feed], dissector: Dissector, frames_per_s: int) -> None:
        self._feeds = feeds
        self._dissector = dissector
        self._per_slot = max(round(frames_per_s * SLOT_S), 1)
        self._waiting: list[deque[Read]] = [deque() for _ in feeds]
        self._dropped = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End within a slot."""
        self._stopped.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Emit sightings, slot by slot, and a report where frames were dropped, until stopped."""
        reported = (0, 0)
        while not self._stopped.wait(SLOT_S):
            until_s = time.thread_time() + BUSY_S
            self._dropped += sum(feed.dropped() for feed in self._feeds)
            share = max(self._per_slot // len(self._feeds), 1)
            for feed, waiting in zip(self._feeds, self._waiting, strict=True):
                rare = self._read(feed, waiting, share)
                while rare and len(rare) > share // 2 and waiting:
                    rare.pop()
                    self._dropped += 1
                least = [waiting.popleft() for _ in range(min(share - len(rare), len(waiting)))]
                found = self._listen(feed.name, [*rare, *least], until_s)
                if found:
                    emit(Sightings(found))
            if reported != (reported := (self._dropped, self._dissector.failed)):
                emit(ListenerReport(*reported))

    def _read(self, feed: Feed, waiting: deque[Read], share: int) -> list[Read]:
        """Empty the engine's buffer; return what must not wait, a slot's share of it."""
        rare: list[Read] = []
        for _ in range(_READ):
            caught = feed.receive()
            if caught is None:
                break
            data = caught.data
            classified = classify(data, caught.length, caught.tag is not None)
            queue, most = (rare, share) if is_rare(data, classified) else (waiting, _WAITING)
            if len(queue) < most:
                queue.append(Read(caught, time.time(), classified))
            else:
                self._dropped += 1
        return rare

    def _listen(self, interface: str, frames: Iterable[Read], until_s: float) -> list[Sighting]:
        """Dissect frames, and return what they say in the order in which they came.

        What this thread's processor time does not allow to is dropped.
        """
        found: list[Sighting] = []
        for (data, length, tag), at_s, classified in frames:
            if time.thread_time() > until_s:
                self._dropped += 1
                continue
            found += self._dissector.dissect(
                data, at_s, interface, wire_length=length, tag=tag, classified=classified
            )  # fmt: skip
        return sorted(found, key=lambda one: one.at_s)
