"""Empties the outbox, one call at a time per lane.

Theory of operation. Before anything new of a lane is sent, every row whose fate is unknown is
looked up at the cloud: a 202 is a promise, and after a timeout nobody knows. Rows that are not
there go back to waiting; rows that are there are done. So a row arrives exactly once, whatever dies
in between, unless the cloud itself stores a second copy of what it has.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.sinks.sink import RefusedError, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.thinning import OLD_BUCKET_S, edge, thin

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
    from monitorpi_cloud_bridge.sinks.sink import Sink
    from monitorpi_common.log import Log

BACK_OFF_MOST_S: Final = 300.0
THIN_ABOVE: Final = 960
"""Rows waiting above which a backlog is thinned: what one call takes needs none."""
_THIN_ROWS: Final = 2000
QUOTA_PAUSE_S: Final = 3600.0
TRIM_S: Final = 3600.0
"""How often the outbox is held to its size, also where nothing can be sent."""
_NOT_TAKEN: Final = (
    UploadVerdict.TOO_EARLY,
    UploadVerdict.FORBIDDEN,
    UploadVerdict.QUOTA,
    UploadVerdict.TOO_MUCH,
)
"""Answers that prove that the rows were not taken: they cost nothing of the year."""


@dataclass(slots=True)
class UploadDestination:
    """One channel of one cloud, and how it goes there."""

    name: str
    sink: Sink
    counts_for_quota: bool = True
    next_call_s: float = 0.0
    pause_s: float = 0.0
    limit: int = 0
    dead: bool = False
    last_answer: str = "none yet"
    stored_total: int = 0
    set_aside_total: int = 0
    thinned_total: int = 0
    thinned_to: int = -1
    """The second up to which the backlog was thinned."""
    dropped_total: int = 0

    def __post_init__(self) -> None:
        self.limit = self.sink.limits.rows


@dataclass(slots=True)
class Uploader:
    """The source thread that empties the outbox."""

    outbox: RowOutbox
    lanes: list[UploadDestination]
    quota: int
    """Rows a year; 0: no limit."""
    log: Log
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    thin_above: int = THIN_ABOVE
    used: int = 0
    year: int = 0
    _next_trim_s: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        remembered = self.outbox.recall("quota")
        if isinstance(remembered, dict):
            self.year = int(str(remembered.get("year", 0)))
            self.used = int(str(remembered.get("used", 0)))
        self._next_trim_s = self.clock() + TRIM_S
        now = self.clock()
        for lane in self.lanes:
            if self.outbox.in_flight(lane.name):
                # sent by the process before us: give the cloud the time it takes to store
                lane.next_call_s = now + lane.sink.limits.pacing_s

    # --- the thread -------------------------------------------------------------------------

    def run(self, emit: Callable[[object], None]) -> None:
        """Send until stopped."""
        del emit
        while not self._stopped.is_set():
            wait_s = self.step()
            self._wake.wait(min(max(wait_s, 0.02), 1.0))
            self._wake.clear()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()
        self._wake.set()

    def hurry(self) -> None:
        """Look at once whether something is due; the clouds' own limits hold."""
        self._wake.set()

    def step(self) -> float:
        """Serve every lane that is due; returns the seconds until the next one is."""
        self._trim()
        for lane in self.lanes:
            if lane.dead or self.clock() < lane.next_call_s or self._stopped.is_set():
                continue
            try:
                self._serve(lane)
            except sqlite3.Error as error:
                self.log.warning("the outbox cannot be written", lane=lane.name, reason=error)
                lane.next_call_s = self.clock() + lane.sink.limits.pacing_s
        due = [lane.next_call_s - self.clock() for lane in self.lanes if not lane.dead]
        return min(due, default=1.0)

    # --- one lane ---------------------------------------------------------------------------

    def _serve(self, lane: UploadDestination) -> None:
        """Settle what is in doubt, then send what waits."""
        if not self._verify(lane):
            self._wait(lane, lane.sink.limits.pacing_s)
            return
        self._thin(lane)
        most = min(lane.limit, self._quota_left(lane))
        if most <= 0:
            self._note(lane, "the yearly quota is spent")
            self.log.error("the yearly quota is spent: rows are kept", used=self.used)
            self._wait(lane, QUOTA_PAUSE_S)
            return
        rows = self.outbox.take(lane.name, most)
        if not rows:
            return
        self._charge(lane, len(rows))  # before the call: a kill must not send for free
        sent = lane.sink.send(lane.sink.prepare(rows))
        self._note(lane, sent.text)
        if sent.verdict in _NOT_TAKEN:
            self._charge(lane, -len(rows))
        self._judge(lane, rows, sent)

    def _note(self, lane: UploadDestination, answer: str) -> None:
        """Remember the last answer, also for whoever looks into the outbox; written on change."""
        if lane.last_answer == answer:
            return
        lane.last_answer = answer
        self.outbox.remember({f"answer {lane.name}": answer})

    def _wait(self, lane: UploadDestination, seconds: float) -> None:
        lane.next_call_s = self.clock() + seconds

    def _verify(self, lane: UploadDestination) -> bool:
        """Find out what became of the rows in flight; False: it could not be told."""
        unknown = self.outbox.in_flight(lane.name)
        if not unknown:
            return True
        try:
            stored = lane.sink.verify(unknown)
        except RefusedError as error:
            self._stop_reading(lane, str(error))
            return False
        if stored is None:
            self._note(lane, "reading back failed")
            self.log.warning("the cloud could not be read", lane=lane.name)
            return False
        there = [second for second in unknown if second in stored]
        self.outbox.settle(lane.name, there, [s for s in unknown if s not in stored])
        lane.stored_total += len(there)
        return True

    def _stop_reading(self, lane: UploadDestination, answer: str) -> None:
        lane.dead = True
        self._note(lane, f"reading back refused: {answer}")
        self.log.error(
            "the channel may not be read: rows are kept, nothing is sent until a restart; "
            "is its read key configured?",
            lane=lane.name,
            what=answer,
        )

    def _thin(self, lane: UploadDestination) -> None:
        """Shorten a long backlog, stretch by stretch, each once."""
        if self.outbox.counts(lane.name)["waiting"] <= self.thin_above:
            return
        now = self.wall()
        while rows := self.outbox.untried(
            lane.name, before=edge(now), after=lane.thinned_to, most=_THIN_ROWS
        ):
            if len(rows) == _THIN_ROWS:  # the last bucket may go on in the next stretch
                begun = rows[-1].second // OLD_BUCKET_S * OLD_BUCKET_S
                rows = [row for row in rows if row.second < begun] or rows
            lane.thinned_total += self.outbox.replace(lane.name, thin(rows, now))
            lane.thinned_to = rows[-1].second

    def _trim(self) -> None:
        """Hold every lane to its size: a channel that refuses us must not fill the disk."""
        if self.clock() < self._next_trim_s:
            return
        self._next_trim_s = self.clock() + TRIM_S
        try:
            for lane in self.lanes:
                lane.dropped_total += self.outbox.drop_oldest(lane.name)
        except sqlite3.Error as error:
            self.log.warning("the outbox cannot be trimmed", reason=error)

    def _judge(self, lane: UploadDestination, rows: list[OutboxRow], sent: UploadOutcome) -> None:
        """Decide what an answer means for the rows and for the next call."""
        seconds = [row.second for row in rows]
        pacing = lane.sink.limits.pacing_s
        match sent.verdict:
            case UploadVerdict.STORED | UploadVerdict.ACCEPTED:
                lane.pause_s = 0.0
                lane.limit = min(2 * lane.limit, lane.sink.limits.rows)
                if sent.verdict is UploadVerdict.STORED:
                    self.outbox.settle(lane.name, seconds, [])
                    lane.stored_total += len(rows)
            case UploadVerdict.UNKNOWN:
                self.log.warning("the cloud did not answer", lane=lane.name, what=sent.text)
            case UploadVerdict.TOO_EARLY:
                self.outbox.settle(lane.name, [], seconds)
                if lane.pause_s >= BACK_OFF_MOST_S:  # patience does not help: too many rows, then
                    lane.limit = max(1, len(rows) // 2)
                lane.pause_s = min(max(2 * lane.pause_s, pacing), BACK_OFF_MOST_S)
                self.log.warning("the cloud asks for patience", lane=lane.name, what=sent.text)
            case UploadVerdict.QUOTA:
                self.outbox.settle(lane.name, [], seconds)
                lane.pause_s = QUOTA_PAUSE_S
                self.log.error("the cloud says the quota is spent", lane=lane.name)
            case UploadVerdict.FORBIDDEN:
                self.outbox.settle(lane.name, [], seconds)
                lane.dead = True
                self.log.error(
                    "the channel refuses us: rows are kept, nothing is sent until a restart",
                    lane=lane.name,
                    what=sent.text,
                )
            case UploadVerdict.TOO_MUCH if len(rows) == 1:
                self.outbox.set_aside(lane.name, seconds[0])
                lane.set_aside_total += 1
                lane.limit = lane.sink.limits.rows
                self.log.error("the cloud refuses a row: set aside", second=seconds[0])
            case UploadVerdict.TOO_MUCH:
                self.outbox.settle(lane.name, [], seconds)
                lane.limit = max(1, len(rows) // 2)
        self._wait(lane, max(pacing, lane.pause_s))

    # --- the year's quota -------------------------------------------------------------------

    def _quota_left(self, lane: UploadDestination) -> int:
        """Return how many rows may still be sent this year."""
        year = datetime.fromtimestamp(self.wall(), UTC).year
        if year != self.year:
            self.year, self.used = year, 0
        if not self.quota or not lane.counts_for_quota:
            return lane.limit
        return self.quota - self.used

    def _charge(self, lane: UploadDestination, rows: int) -> None:
        if lane.counts_for_quota:
            self.used = max(self.used + rows, 0)
            self.outbox.remember({"quota": {"year": self.year, "used": self.used}})

    # --- telling ----------------------------------------------------------------------------

    def state(self) -> dict[str, JsonValue]:
        """Return what health tells."""
        lanes: dict[str, JsonValue] = {}
        for lane in self.lanes:
            lanes[lane.name] = {
                **self._waiting(lane),
                "last_answer": lane.last_answer,
                "stopped": lane.dead,
                "stored_total": lane.stored_total,
                "set_aside_total": lane.set_aside_total,
                "thinned_total": lane.thinned_total,
                "dropped_total": lane.dropped_total,
            }
        left = self.quota - self.used if self.quota else None
        return {"lanes": lanes, "quota_used": self.used, "quota_left": left}

    def _waiting(self, lane: UploadDestination) -> dict[str, JsonValue]:
        """Tell of a lane's rows; of a damaged outbox there is nothing to tell."""
        try:
            oldest = self.outbox.oldest_unsent(lane.name)
            counts = self.outbox.counts(lane.name)
        except sqlite3.Error as error:
            self.log.warning("the outbox cannot be read", lane=lane.name, reason=error)
            return {}
        age_s = None if oldest is None else round(self.wall() - oldest)
        return {**counts, "oldest_unsent_s": age_s}
