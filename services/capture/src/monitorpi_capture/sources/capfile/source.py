"""A capture file as a source: windows in the file's own time.

Theory of operation. Windows stand on whole seconds of the frames' timestamps. A window is emitted
when a frame of a later second comes; seconds without frames have none. Seconds that hold nothing
new (:mod:`.routine`) share a window: the frames of a second are held until it is over, or until
there are too many of them or one of them is news. A frame up to a second older than the newest
counts in the current window (several capture threads write slightly out of order); an older one
means that another capture was appended: a window there, which the core takes for a step of the
clock. A frame far off its neighbours on both sides (another thread's, a damaged time) is no step:
it counts where it stands, and is reported. Frames without a time, or stamped zero where others have
dates, count in windows of their own, which say that no rate can be made of them. The last window
ends with the last frame and says how long it was.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.tally import Tally
from monitorpi_capture.frame.classify import ETHERNET_HEADER, classify
from monitorpi_capture.frame.dissect import is_discovery, is_rare
from monitorpi_capture.frame.linklayers import Counted, counted
from monitorpi_capture.frame.linktypes import LINK_ETHERNET
from monitorpi_capture.items import CLASS_BIT, Instant, ListenerReport
from monitorpi_capture.sources.capfile.reader import CaptureFile, CaptureFileError
from monitorpi_capture.sources.capfile.routine import LONGEST_S, Routine
from monitorpi_capture.sources.slots import SlotSampler
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_capture.frame.captured import Frame
    from monitorpi_capture.frame.dissect import Dissector
    from monitorpi_capture.items import Sighting
    from monitorpi_capture.sources.capfile.instream import ByteStream
    from monitorpi_capture.sources.pacing import Gate
    from monitorpi_common.log import Log

ENGINE: Final = "file"
_REORDER_S: Final = 1.0
_SHORTEST_S: Final = 0.001
"""Length of a window that holds a single instant; times are published in milliseconds."""
_NEIGHBOURS: Final = 16
"""Frames behind one that is far off which show whether time goes on there."""
_FEWEST: Final = 4
"""Frames of a file from which its first one can be known to be far off."""
_YEAR_S: Final = 365 * 86_400.0
"""A silence that no capture holds between its first frames."""
_MAY_DISCOVER: Final = sum(CLASS_BIT[name] for name in ("arp", "dhcp", "mdns", "icmp"))


class FileSource:
    """Reads one capture stream and emits :class:`WindowCounts`."""

    def __init__(
        self,
        stream: ByteStream,
        name: str,
        interface: str,
        log: Log,
        *,
        max_rows: int,
        dissector: Dissector | None = None,
        dissected_per_s: int = 200,
        routine_below: float = 0.0,
        gate: Gate | None = None,
        live: bool = False,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the stream.

        Args:
            stream: the bytes.
            name: of the stream, for people.
            interface: what the messages call it.
            log: for notes about the file.
            max_rows: MAC addresses counted apart in a window.
            dissector: reads what frames say of devices; None: nobody does.
            dissected_per_s: such frames per second at most.
            routine_below: seconds with fewer frames may share a window; 0: none do.
            gate: bounds the windows that wait for the core.
            live: frames come as they are seen; the first ones wait for no others.
            on_stop: ends the stream while it waits.

        Raises:
            ResourceError: it is no capture file that can be read.

        """
        try:
            self._file = CaptureFile(stream, name)
        except CaptureFileError as error:
            raise ResourceError(str(error)) from None
        self._name = name
        self._interface = interface
        self._log = log
        self._tally = Tally(interface, ENGINE, max_rows)
        self._sampler = SlotSampler(interface)
        self._dissector = dissector
        self._dissected_per_s = dissected_per_s
        self._dissected = [0, 0]
        """Frames of this second: of ARP and its like, and of DHCP and router advertisements."""
        self._dropped = 0
        self._gate = gate
        self._live = live
        self._on_stop = on_stop
        self._stopped = False
        self._emit: Callable[[object], None] = lambda _: None
        self._latest = 0.0
        self._second: float | None = None
        """The second that is read."""
        self._start: float | None = None
        """Of the window, before or at ``_second``."""
        self._end_s = 0.0
        """Of the second before, where that shares the window."""
        self._routine_below = routine_below
        self._routine = Routine()
        self._held: list[tuple[Counted, float]] | None = None
        """Frames of a second that may be routine; None: it is not."""
        self._last_s: dict[bytes, float] = {}
        self._ahead: deque[Frame] = deque()
        """Frames that were read to see where time goes on."""
        self._strays = 0
        self._untimed = Tally(interface, ENGINE, max_rows)
        """Frames without a time since the last window."""
        self._untimed_total = 0
        self._begins_at_zero = False
        """Its clock began with the capture: a time of zero is one."""

    def stop(self) -> None:
        """End the reading; what was counted so far is still emitted."""
        self._stopped = True
        self._on_stop()
        if self._gate is not None:
            self._gate.open()

    def run(  # noqa: C901 - once per frame: a loop without calls
        self, emit: Callable[[object], None]
    ) -> None:
        """Read to the end.

        Raises:
            ResourceError: not all of the stream could be read, or nothing.

        """
        self._emit = emit
        add = self._tally.add
        sampler = self._sampler
        discovering = _MAY_DISCOVER if self._dissector is not None else 0
        latest, least, stop = 0.0, 0.0, -math.inf
        held: list[tuple[Counted, float]] | None = None
        frames, placed = iter(self._file), None
        ended = False
        self._begin(frames)
        while not ended and not self._stopped:
            for frame in chain(_taken(self._ahead), frames):
                at_s, link, data, wire_length = frame
                if not at_s and (at_s is None or not self._begins_at_zero):
                    self._take_untimed(frame, latest)
                    continue
                if at_s > latest:
                    latest, least = at_s, at_s - _REORDER_S
                if not least <= at_s < stop:
                    if frame is not placed and self._is_far_off(at_s):
                        placed, latest, least = self._put_in_order(frame, frames)
                        break
                    held = self._move(at_s)
                    if self._stopped:
                        break
                    latest, least, stop = at_s, at_s - _REORDER_S, (self._second or 0.0) + 1.0
                if at_s >= sampler.until_s and link == LINK_ETHERNET:
                    sampler.look(at_s, wire_length, data)
                if link != LINK_ETHERNET or len(data) < ETHERNET_HEADER or held is not None:
                    one = counted(frame)
                    held = self._take(one, at_s)
                    if one.classified[0] & discovering and one.has_macs:
                        held = self._look(one, at_s)
                    continue
                classified = classify(data, wire_length)
                add(data, classified, wire_length)
                if classified[0] & discovering:
                    self._look(Counted(data, classified, wire_length, wire_length, True), at_s)
            else:
                ended = True
        self._latest = latest
        self._finish()

    def _finish(self) -> None:
        """Flush the last window, which ends with the last frame, and report what was wrong."""
        self._count_held()
        if not self._tally.empty:
            self._close(self._latest)
        self._close_untimed(self._latest)
        if self._dissector is not None:
            self._emit(ListenerReport(self._dropped, self._dissector.failed))
        if self._strays:
            what = f"{self._name} has {self._strays:,} frames dated far off those around them"
            self._log.warning("capture file", what=f"{what}, which count where they stand")
        if self._untimed_total:
            what = f"{self._name} has {self._untimed_total:,} frames without a time"
            self._log.warning("capture file", what=f"{what}: they count, no rate is made of them")
        for note in self._file.notes:
            self._log.warning("capture file", what=note)
        if self._file.failure is not None:
            raise ResourceError(self._file.failure)

    # --- seconds ------------------------------------------------------------------------------

    def _is_far_off(self, at_s: float) -> bool:
        """Return whether a time neither belongs to the current second nor follows it."""
        second = self._second
        return second is not None and not second - _REORDER_S <= at_s < second + 1.0 + _REORDER_S

    def _begin(self, frames: Iterator[Frame]) -> None:
        """Date the first frames as those behind them, where they are later, or years earlier."""
        if self._live:
            return
        ahead = self._ahead
        ahead.extend(islice(frames, _NEIGHBOURS + 1))
        times = sorted(one.at_s for one in ahead if one.at_s)
        self._begins_at_zero = bool(times) and times[0] < _YEAR_S
        if len(times) < _FEWEST:
            return
        middle_s = times[len(times) // 2]
        latest_s, earliest_s = middle_s + 2 * _REORDER_S, middle_s - _YEAR_S
        good = [
            number for number, one in enumerate(ahead)
            if not one.at_s or earliest_s <= one.at_s <= latest_s
        ]  # fmt: skip
        for number in range(good[0]):
            self._strays += 1
            ahead[number] = ahead[number]._replace(at_s=ahead[good[0]].at_s)

    def _put_in_order(self, frame: Frame, frames: Iterator[Frame]) -> tuple[Frame, float, float]:
        """Put a frame that is far off in front of those to come, with the time it counts with.

        Returns:
            The frame, the latest time up to it, and the earliest that belongs to it.

        """
        ahead, second = self._ahead, self._second or 0.0
        ahead.extend(islice(frames, max(_NEIGHBOURS - len(ahead), 0)))
        around = [one.at_s for one in islice(ahead, _NEIGHBOURS) if one.at_s]
        if not all(map(self._is_far_off, around)):
            self._strays += 1
            frame = frame._replace(at_s=second)
        ahead.appendleft(frame)
        return frame, second, second - _REORDER_S

    def _move(self, at_s: float) -> list[tuple[Counted, float]] | None:
        """End the current second and begin the one of this time."""
        second = float(math.floor(at_s))
        before, start = self._second, self._start
        if before is not None and start is not None:
            routine = self._held is not None
            self._count_held()
            self._end_s = before + 1.0
            if not routine or not before < second < start + LONGEST_S:
                self._close(self._end_s)
        self._sampler.begin()
        self._second = second
        if self._start is None:
            self._start = second
        self._dissected = [0, 0]
        self._held = [] if self._routine_below else None
        return self._held

    def _close(self, end_s: float) -> None:
        """Emit the window up to this time."""
        start = self._start or 0.0
        self._close_untimed(start)
        length = max(end_s - start, _SHORTEST_S)
        end = Instant(start + length, None)
        window = self._tally.close_window(Instant(start, None), end, length)
        if length > 1.0:
            window = replace(window, last_s=self._last_s)
        self._last_s = {}
        self._start = None
        if self._gate is not None:
            self._gate.enter()
        sample = self._sampler.sample()
        if sample is not None:
            self._emit(sample)
        self._emit(window)

    def _close_untimed(self, at_s: float) -> None:
        """Emit what came without a time since the last window, in front of the next."""
        if self._untimed.empty:
            return
        start, end = Instant(at_s, None), Instant(at_s + _SHORTEST_S, None)
        window = self._untimed.close_window(start, end, _SHORTEST_S)
        if self._gate is not None:
            self._gate.enter()
        self._emit(replace(window, has_times=False))

    def _count_held(self) -> None:
        """Count the frames of a second that turned out to be routine."""
        for one, at_s in self._held or ():
            self._count(one)
            if one.has_macs:
                self._last_s[one.data[6:12]] = at_s
        self._held = None

    def _part(self) -> None:
        """Give the current second a window of its own: it is not routine."""
        held, self._held = self._held or [], None
        if self._start != self._second and self._second is not None:
            self._close(self._end_s)
            self._start = self._second
        for one, _ in held:
            self._count(one)

    # --- frames -------------------------------------------------------------------------------

    def _take(self, one: Counted, at_s: float) -> list[tuple[Counted, float]] | None:
        """Count a frame, or hold it while its second may be routine."""
        if self._held is None:
            self._count(one)
            return None
        self._held.append((one, at_s))
        if self._routine.is_news(one, at_s) or len(self._held) >= self._routine_below:
            self._part()
        return self._held

    def _take_untimed(self, frame: Frame, latest_s: float) -> None:
        """Count a frame without a time; what it says of devices is of the newest time seen."""
        self._untimed_total += 1
        one = counted(frame)
        _add(self._untimed, one)
        if one.classified[0] & _MAY_DISCOVER and one.has_macs and self._dissector is not None:
            self._look(one, latest_s)

    def _count(self, one: Counted) -> None:
        _add(self._tally, one)

    def _look(self, one: Counted, at_s: float) -> list[tuple[Counted, float]] | None:
        """Hand on what a frame says of devices."""
        if is_discovery(one.data, one.classified):
            kind = int(is_rare(one.data, one.classified))
            sightings = self._dissect(one.data, one.wire_length, at_s, kind)
            anew = [self._routine.is_new(sighting) for sighting in sightings]
            if any(anew) and self._held is not None:
                self._part()
            for sighting in sightings:
                self._emit(sighting)
        return self._held

    def _dissect(self, data: bytes, wire_length: int, at_s: float, kind: int) -> list[Sighting]:
        """Read what a frame says of devices, up to the share of a second."""
        if self._dissector is None or self._dissected[kind] >= self._dissected_per_s:
            self._dropped += 1
            return []
        self._dissected[kind] += 1
        return self._dissector.dissect(data, at_s, self._interface, wire_length=wire_length)


def _add(tally: Tally, one: Counted) -> None:
    if one.has_macs:
        tally.add(one.data, one.classified, one.size)
    else:
        tally.add_packet(one.data, one.classified, one.size)


def _taken(frames: deque[Frame]) -> Iterator[Frame]:
    """Yield frames, and those that are put in front or behind meanwhile."""
    while frames:
        yield frames.popleft()
