"""Empties the outbox, one call at a time per destination.

Theory of operation. Before anything new of a destination is sent, every row of unknown fate is
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
from monitorpi_common.backoff import CLOUD_MOST_S, BackOff

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
    from monitorpi_cloud_bridge.sinks.sink import Sink
    from monitorpi_common.log import Log

THIN_ABOVE: Final = 960
"""Rows waiting above which a backlog is thinned: what one call takes needs none."""
_THIN_ROWS: Final = 2000
QUOTA_PAUSE_S: Final = 3600.0
PATIENCE_S: Final = 150.0
"""Longer than from one group of rows to the next."""
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
    dead_lettered_total: int = 0
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
    destinations: list[UploadDestination]
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
        for destination in self.destinations:
            if self.outbox.in_flight(destination.name):
                # sent by the process before us: give the cloud the time it takes to store
                destination.next_call_s = now + destination.sink.limits.pacing_s

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
        """Serve every destination that is due; returns the seconds until the next one is."""
        self._tidy()
        for destination in self.destinations:
            if destination.dead or self.clock() < destination.next_call_s or self._stopped.is_set():
                continue
            try:
                self._serve(destination)
            except sqlite3.Error as error:
                self.log.warning(
                    "the outbox cannot be written", destination=destination.name, reason=error
                )
                destination.next_call_s = self.clock() + destination.sink.limits.pacing_s
        due = [
            destination.next_call_s - self.clock()
            for destination in self.destinations
            if not destination.dead
        ]
        return min(due, default=1.0)

    # --- one destination ------------------------------------------------------------------------

    def _serve(self, destination: UploadDestination) -> None:
        """Settle what is in doubt, then send what waits."""
        if not self._verify(destination):
            self._wait(destination, destination.sink.limits.pacing_s)
            return
        self._thin(destination)
        most = min(destination.limit, self._quota_left(destination))
        if most <= 0:
            self._note(destination, "the yearly quota is spent")
            self.log.error("the yearly quota is spent: rows are kept", used=self.used)
            self._wait(destination, QUOTA_PAUSE_S)
            return
        # charged before the call: a kill must not send for free
        rows = self.outbox.take(
            destination.name, most, lambda number: self._charge(destination, number)
        )
        if not rows:
            return
        sent = destination.sink.send(destination.sink.prepare(rows))
        self._note(destination, sent.text)
        if sent.verdict in _NOT_TAKEN:
            self.outbox.remember(self._charge(destination, -len(rows)), patient=True)
        self._judge(destination, rows, sent)

    def _note(self, destination: UploadDestination, answer: str) -> None:
        """Remember the last answer, also for whoever looks into the outbox; written on change."""
        if destination.last_answer == answer:
            return
        destination.last_answer = answer
        self.outbox.remember({f"answer {destination.name}": answer}, patient=True)

    def _wait(self, destination: UploadDestination, seconds: float) -> None:
        destination.next_call_s = self.clock() + seconds

    def _verify(self, destination: UploadDestination) -> bool:
        """Find out what became of the rows in flight; False: it is not known."""
        unknown = self.outbox.in_flight(destination.name)
        if not unknown:
            return True
        try:
            stored = destination.sink.verify(unknown)
        except RefusedError as error:
            self._stop_reading(destination, str(error))
            return False
        if stored is None:
            self._note(destination, "reading back failed")
            self.log.warning("the cloud could not be read", destination=destination.name)
            return False
        there = [second for second in unknown if second in stored]
        self.outbox.acknowledge(destination.name, there, [s for s in unknown if s not in stored])
        destination.stored_total += len(there)
        return True

    def _stop_reading(self, destination: UploadDestination, answer: str) -> None:
        destination.dead = True
        self._note(destination, f"reading back refused: {answer}")
        self.log.error(
            "the channel may not be read: rows are kept, nothing is sent until a restart; "
            "is its read key configured?",
            destination=destination.name,
            what=answer,
        )

    def _thin(self, destination: UploadDestination) -> None:
        """Shorten a long backlog, stretch by stretch, each once."""
        if self.outbox.counts(destination.name)["waiting"] <= self.thin_above:
            return
        now = self.wall()
        while rows := self.outbox.untried(
            destination.name, before=edge(now), after=destination.thinned_to, most=_THIN_ROWS
        ):
            if len(rows) == _THIN_ROWS:  # the last bucket may go on in the next stretch
                begun = rows[-1].second // OLD_BUCKET_S * OLD_BUCKET_S
                rows = [row for row in rows if row.second < begun] or rows
            destination.thinned_total += self.outbox.replace(destination.name, thin(rows, now))
            destination.thinned_to = rows[-1].second

    def _tidy(self) -> None:
        """Hold every destination to its size: a channel that refuses us must not fill the disk.

        Where no rows come that are written anyway, what waits for them is written all the same.
        """
        try:
            self.outbox.commit(PATIENCE_S)
            if self.clock() < self._next_trim_s:
                return
            self._next_trim_s = self.clock() + TRIM_S
            for destination in self.destinations:
                destination.dropped_total += self.outbox.drop_oldest(destination.name)
        except sqlite3.Error as error:
            self.log.warning("the outbox cannot be trimmed", reason=error)

    def _judge(
        self, destination: UploadDestination, rows: list[OutboxRow], sent: UploadOutcome
    ) -> None:
        """Decide what an answer means for the rows and for the next call."""
        seconds = [row.second for row in rows]
        pacing = destination.sink.limits.pacing_s
        match sent.verdict:
            case UploadVerdict.STORED | UploadVerdict.ACCEPTED:
                destination.pause_s = 0.0
                destination.limit = min(2 * destination.limit, destination.sink.limits.rows)
                if sent.verdict is UploadVerdict.STORED:
                    self.outbox.acknowledge(destination.name, seconds, [])
                    destination.stored_total += len(rows)
            case UploadVerdict.UNKNOWN:
                self.log.warning(
                    "the cloud did not answer", destination=destination.name, what=sent.text
                )
            case UploadVerdict.TOO_EARLY:
                self.outbox.acknowledge(destination.name, [], seconds)
                if destination.pause_s >= CLOUD_MOST_S:  # patience does not help: too many rows
                    destination.limit = max(1, len(rows) // 2)
                destination.pause_s = BackOff(pacing, CLOUD_MOST_S).longer(destination.pause_s)
                self.log.warning(
                    "the cloud asks for patience", destination=destination.name, what=sent.text
                )
            case UploadVerdict.QUOTA:
                self.outbox.acknowledge(destination.name, [], seconds)
                destination.pause_s = QUOTA_PAUSE_S
                self.log.error("the cloud says the quota is spent", destination=destination.name)
            case UploadVerdict.FORBIDDEN:
                self.outbox.acknowledge(destination.name, [], seconds)
                destination.dead = True
                self.log.error(
                    "the channel refuses us: rows are kept, nothing is sent until a restart",
                    destination=destination.name,
                    what=sent.text,
                )
            case UploadVerdict.TOO_MUCH if len(rows) == 1:
                self.outbox.dead_letter(destination.name, seconds[0])
                destination.dead_lettered_total += 1
                destination.limit = destination.sink.limits.rows
                self.log.error("the cloud refuses a row: set aside", second=seconds[0])
            case UploadVerdict.TOO_MUCH:
                self.outbox.acknowledge(destination.name, [], seconds)
                destination.limit = max(1, len(rows) // 2)
        self._wait(destination, max(pacing, destination.pause_s))

    # --- the year's quota -------------------------------------------------------------------

    def _quota_left(self, destination: UploadDestination) -> int:
        """Return how many rows may still be sent this year."""
        year = datetime.fromtimestamp(self.wall(), UTC).year
        if year != self.year:
            self.year, self.used = year, 0
        if not self.quota or not destination.counts_for_quota:
            return destination.limit
        return self.quota - self.used

    def _charge(self, destination: UploadDestination, rows: int) -> dict[str, JsonValue]:
        """Count rows for the year's quota; returns what must be remembered of it."""
        if not destination.counts_for_quota:
            return {}
        self.used = max(self.used + rows, 0)
        return {"quota": {"year": self.year, "used": self.used}}

    # --- telling ----------------------------------------------------------------------------

    def state(self) -> dict[str, JsonValue]:
        """Return what health tells."""
        destinations: dict[str, JsonValue] = {}
        for destination in self.destinations:
            destinations[destination.name] = {
                **self._waiting(destination),
                "last_answer": destination.last_answer,
                "stopped": destination.dead,
                "stored_total": destination.stored_total,
                "set_aside_total": destination.dead_lettered_total,
                "thinned_total": destination.thinned_total,
                "dropped_total": destination.dropped_total,
            }
        left = self.quota - self.used if self.quota else None
        return {"lanes": destinations, "quota_used": self.used, "quota_left": left}

    def _waiting(self, destination: UploadDestination) -> dict[str, JsonValue]:
        """Tell of a destination's rows; of a damaged outbox there is nothing to tell."""
        try:
            oldest = self.outbox.oldest_unsent(destination.name)
            counts = self.outbox.counts(destination.name)
        except sqlite3.Error as error:
            self.log.warning(
                "the outbox cannot be read", destination=destination.name, reason=error
            )
            return {}
        age_s = None if oldest is None else round(self.wall() - oldest)
        return {**counts, "oldest_unsent_s": age_s}
