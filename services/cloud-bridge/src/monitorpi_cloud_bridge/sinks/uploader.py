"""Empties the outbox of one destination, one call at a time, in a thread of its own.

Theory of operation. Before anything new is sent, every row of unknown fate is looked up at the
cloud: a 202 is a promise, and after a timeout nobody knows. Rows that are not there go back to
waiting; rows that are there are done. So a row arrives exactly once, whatever dies in between,
unless the cloud itself stores a second copy of what it has.

What a cloud does not take is put back, and :mod:`monitorpi_cloud_bridge.search` finds out whether a
row is to blame, beside the live rows. No destination waits for another.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.search import CallResult, RowSearch
from monitorpi_cloud_bridge.sinks.sink import RefusedError, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.thinning import OLD_BUCKET_S, edge, thin
from monitorpi_common.backoff import CLOUD_MOST_S
from monitorpi_common.database import remedied

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_cloud_bridge.sinks.destination import UploadDestination
    from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
    from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
    from monitorpi_common.log import Log

AWAY_MOST_S: Final = 60.0
"""Between tries to reach a cloud: they cost nobody anything."""
THIN_ABOVE: Final = 960
"""Rows waiting above which a backlog is thinned: what one call takes needs none."""
_THIN_ROWS: Final = 2000
QUOTA_PAUSE_S: Final = 3600.0
PATIENCE_S: Final = 150.0
"""Longer than from one group of rows to the next."""
TRIM_S: Final = 3600.0
"""How often the outbox is held to its size, also where nothing can be sent."""
IDLE_S: Final = 1.0
"""Between looks into an empty outbox."""
_MOST_TEXTS: Final = 64
QUOTA: Final = "quota"
"""Under which name the rows of the year are remembered."""
_NOT_TAKEN: Final = (
    UploadVerdict.UNREACHED,
    UploadVerdict.LATER,
    UploadVerdict.QUOTA,
    UploadVerdict.REFUSED,
    UploadVerdict.FORBIDDEN,
)
"""Answers that prove that the rows were not taken: they cost nothing of the year."""


@dataclass(slots=True)
class Uploader:
    """The source thread that empties one destination."""

    outbox: RowOutbox
    destination: UploadDestination
    quota: YearlyQuota
    log: Log
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    thin_above: int = THIN_ABOVE
    search: RowSearch | None = None
    _sent: list[int] = field(default_factory=list)
    """The rows of the call before, while their fate is not known."""
    _reasons: dict[int, str] = field(default_factory=dict)
    """What was answered to rows under suspicion."""
    _next_trim_s: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        now = self.clock()
        self._next_trim_s = now + TRIM_S
        if self.outbox.in_flight(self.destination.name):
            # sent by the process before us: give the cloud the time it takes to store
            self.destination.next_call_s = now + self.destination.sink.limits.pacing_s
        if suspected := self.outbox.suspected(self.destination.name):
            self.search = RowSearch([suspected])

    # --- the thread -------------------------------------------------------------------------

    def run(self, emit: Callable[[object], None]) -> None:
        """Send until stopped."""
        del emit
        while not self._stopped.is_set():
            with self.destination.stint:
                wait_s = self.step()
            self._wake.wait(min(max(wait_s, 0.02), IDLE_S))
            self._wake.clear()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()
        self._wake.set()

    def hurry(self) -> None:
        """Look at once whether something is due; the cloud's own limits hold."""
        self._wake.set()

    def step(self) -> float:
        """Serve the destination if it is due; returns the seconds until the next look."""
        self._tidy()
        if self.clock() < self.destination.next_call_s or self._stopped.is_set():
            return self.destination.next_call_s - self.clock()
        try:
            self._serve()
        except sqlite3.Error as error:
            self._warn("the outbox cannot be written", reason=remedied(error))
            self._wait(self.destination.sink.limits.pacing_s)
        return max(self.destination.next_call_s - self.clock(), 0.0) or IDLE_S

    # --- a call -----------------------------------------------------------------------------

    def _serve(self) -> None:
        """Settle what is in doubt, then send what waits."""
        if not self._acknowledge_doubtful():
            self._wait(max(self.destination.sink.limits.pacing_s, self.destination.pause_s))
            return
        self._thin()
        most = min(self.destination.limit, self._quota_left())
        if most <= 0:
            self._note("the yearly quota is spent")
            self.log.error("the yearly quota is spent: rows are kept", used=self.quota.used)
            self._wait(QUOTA_PAUSE_S)
            return
        rows = self._fit(self._take(most))
        if not rows:
            return
        self._sent = [row.second for row in rows]
        sent = self.destination.sink.send(self.destination.sink.prepare(rows))
        self._note(sent.text)
        if sent.verdict in _NOT_TAKEN:
            self.outbox.remember(self._charge(-len(rows)), patient=True)
        self._judge(sent)

    def _take(self, most: int) -> list[OutboxRow]:
        """Return the rows of the next call, in flight and paid for.

        They are charged before the call: a kill must not send for free.
        """
        name, search = self.destination.name, self.search
        if self.destination.is_away:  # one row asks, and texts: an outage wears no card
            texts = len(self.outbox.urgent(name, _MOST_TEXTS))
            if rows := self.outbox.take(name, min(1 + texts, most), self._charge):
                return rows
        if search is None:
            return self.outbox.take(name, most, self._charge)
        if search.trusts and (urgent := self.outbox.urgent(name, most)):
            search.suspect(urgent)
        chosen = search.next(self.outbox.newest_waiting(name, search.passed_over), most)
        rows = self.outbox.take_these(name, chosen, self._charge)
        search.forget(list(set(chosen) - {row.second for row in rows}))  # dropped meanwhile
        return rows

    def _fit(self, rows: list[OutboxRow]) -> list[OutboxRow]:
        """Set aside what the cloud would drop without a word."""
        now, sink = self.wall(), self.destination.sink
        unfit = {row.second: why for row in rows if (why := sink.unfit(row, now)) is not None}
        if unfit:
            self._dead_letter(unfit)
            self.outbox.remember(self._charge(-len(unfit)), patient=True)
        return [row for row in rows if row.second not in unfit]

    def _acknowledge_doubtful(self) -> bool:
        """Find out what became of the rows in flight; False: it is not known."""
        unknown = self.outbox.in_flight(self.destination.name)
        if not unknown:
            return True
        try:
            stored = self.destination.sink.verify(unknown)
        except RefusedError as error:
            self._note(f"reading back refused: {error}")
            self._forbid(
                "the channel may not be read: rows are kept, it is looked at again each hour; "
                "is its read key configured?",
                str(error),
            )
            return False
        if stored is None:
            self._note("reading back failed")
            self._warn("the cloud could not be read")
            return False
        self._see(unknown, stored)
        return True

    def _see(self, unknown: list[int], stored: set[int]) -> None:
        """Take what the cloud shows of the rows in flight."""
        there = [second for second in unknown if second in stored]
        missing = [second for second in unknown if second not in stored]
        was_sent, self._sent = self._sent == unknown, []  # or by the process before us
        if was_sent and there and (self.search is not None or not missing):
            self._taken(there)
        if was_sent and missing:
            self._failed(missing, CallResult.FAILED, f"{self.destination.last_answer}; not there")
        self._acknowledge(there, missing)

    # --- what an answer means ---------------------------------------------------------------

    def _judge(self, sent: UploadOutcome) -> None:
        """Decide what an answer means for the rows and for the next call."""
        destination, rows = self.destination, self._sent
        destination.is_away = sent.verdict is UploadVerdict.UNREACHED
        match sent.verdict:
            case UploadVerdict.STORED:
                self._stored(rows, sent)
            case UploadVerdict.ACCEPTED:
                destination.pause_s = 0.0
            case UploadVerdict.UNKNOWN:
                self._warn("the cloud did not answer", what=sent.text)
                destination.back_off(AWAY_MOST_S)
            case UploadVerdict.UNREACHED:
                self.outbox.put_back(destination.name, rows, self._suspects())
                self._warn("the cloud is not reached", what=sent.text)
                destination.back_off(AWAY_MOST_S)
            case UploadVerdict.LATER:
                self.outbox.put_back(destination.name, rows, self._suspects())
                self._warn("the cloud asks for patience", what=sent.text)
                if destination.pause_s >= CLOUD_MOST_S:  # patience does not help: too many rows
                    destination.shrink(len(rows) // 2, self.clock())
                destination.back_off(CLOUD_MOST_S)
            case UploadVerdict.QUOTA:
                self.outbox.put_back(destination.name, rows, self._suspects())
                self.log.error("the cloud says the quota is spent", destination=destination.name)
                destination.pause_s = QUOTA_PAUSE_S
            case _:
                self._refused(rows, sent)
        pacing_s = destination.sink.limits.pacing_s
        self._wait(max(pacing_s, destination.pause_s, sent.retry_after_s or 0.0))

    def _stored(self, rows: list[int], sent: UploadOutcome) -> None:
        """Take an answer that proves rows stored, but for those it names."""
        reasons = {rows[place]: why for place, why in sent.refused.items()}
        self._acknowledge([second for second in rows if second not in reasons], [])
        if reasons:
            self._dead_letter(reasons)
        self._taken(rows)

    def _refused(self, rows: list[int], sent: UploadOutcome) -> None:
        """Take a refusal: of the call, until the cloud is seen to take other rows."""
        destination, search = self.destination, self.search
        named = len(sent.refused) == len(rows)
        self._failed(rows, CallResult.NAMED if named else CallResult.REFUSED, sent.text)
        self._acknowledge([], rows)
        if sent.verdict is UploadVerdict.FORBIDDEN and (search is None or search.is_control):
            self._forbid(
                "the channel refuses us: rows are kept, it is looked at again each hour", sent.text
            )
        elif search is not None and search.is_control:
            destination.back_off(CLOUD_MOST_S)
            self.log.error(
                "the cloud refuses what others would take: rows are kept, none is to blame",
                destination=destination.name, what=sent.text,
            )  # fmt: skip
        else:
            destination.pause_s = 0.0  # the pause of an outage slows no search

    def _failed(self, rows: list[int], result: CallResult, answer: str) -> None:
        """Take it that rows are not there; ask whether one of them is to blame."""
        if len(rows) == 1 or result is CallResult.NAMED:
            self._reasons |= dict.fromkeys(rows, answer)
        if self.search is not None:
            self.search.learn(rows, result)
        else:
            self.search = RowSearch([rows])

    def _taken(self, rows: list[int]) -> None:
        """Go on: the cloud takes rows."""
        self.destination.taken(self.clock())
        if self.search is None:
            return
        blamed = self.search.learn(rows, CallResult.TAKEN)
        if blamed:
            answer = self.destination.last_answer
            self._dead_letter({second: self._reasons.get(second, answer) for second in blamed})
        if not self.search.segments:
            if self.search.found_size:  # 413, whatever the cloud calls it
                self.destination.shrink(self.search.largest_taken, self.clock())
            self.search, self._reasons = None, {}

    def _forbid(self, event: str, answer: str) -> None:
        self.destination.forbid()
        self.log.error(event, destination=self.destination.name, what=answer)

    # --- the outbox -------------------------------------------------------------------------

    def _acknowledge(self, stored: list[int], missing: list[int]) -> None:
        """Write down where rows are now."""
        suspects = self._suspects()
        self.outbox.acknowledge(
            self.destination.name,
            stored,
            [second for second in missing if second not in suspects],
            [second for second in missing if second in suspects],
        )
        self.destination.stored_total += len(stored)

    def _suspects(self) -> set[int]:
        return set(self.search.suspected) if self.search else set()

    def _dead_letter(self, reasons: dict[int, str]) -> None:
        """Give up rows that the cloud will never take."""
        self.outbox.dead_letter(self.destination.name, reasons)
        self.destination.dead_lettered_total += len(reasons)
        if self.search is not None:
            self.search.forget(list(reasons))
        for second, reason in list(reasons.items())[:1]:
            self.log.error(
                "the cloud refuses rows: set aside", destination=self.destination.name,
                rows=len(reasons), second=second, what=reason,
            )  # fmt: skip

    def _thin(self) -> None:
        """Shorten a long backlog, stretch by stretch, each once."""
        destination = self.destination
        if self.outbox.counts(destination.name)["waiting"] <= self.thin_above:
            return
        now = self.wall()
        while rows := self.outbox.untried(
            destination.name, before=edge(now), after=destination.thinned_to, most=_THIN_ROWS
        ):
            # the last bucket may go on in the next stretch
            begun = rows[-1].second // OLD_BUCKET_S * OLD_BUCKET_S
            rows = [row for row in rows if row.second < begun] or rows
            destination.thinned_total += self.outbox.replace(destination.name, thin(rows, now))
            destination.thinned_to = rows[-1].second

    def _tidy(self) -> None:
        """Hold the destination to its size: a channel that refuses us must not fill the disk.

        Where no rows come that are written anyway, what waits for them is written all the same.
        """
        try:
            self.outbox.commit(PATIENCE_S)
            if self.clock() < self._next_trim_s:
                return
            self._next_trim_s = self.clock() + TRIM_S
            self.destination.dropped_total += self.outbox.drop_oldest(self.destination.name)
        except sqlite3.Error as error:
            self._warn("the outbox cannot be trimmed", reason=remedied(error))

    def _quota_left(self) -> int:
        """Return how many rows may still be sent this year."""
        left = self.quota.left(self.wall(), self.clock())
        is_limited = self.quota.most and self.destination.counts_for_quota
        return left if is_limited else self.destination.limit

    def _charge(self, rows: int) -> dict[str, JsonValue]:
        """Count rows for the year's quota; returns what must be remembered of it."""
        return {QUOTA: self.quota.charge(rows)} if self.destination.counts_for_quota else {}

    def _note(self, answer: str) -> None:
        """Remember the last answer, also for whoever looks into the outbox; written on change."""
        if self.destination.last_answer == answer:
            return
        self.destination.last_answer = answer
        self.outbox.remember({f"answer {self.destination.name}": answer}, patient=True)

    def _wait(self, seconds: float) -> None:
        self.destination.next_call_s = self.clock() + seconds

    def _warn(self, event: str, **more: object) -> None:
        self.log.warning(event, destination=self.destination.name, **more)

    # --- telling ----------------------------------------------------------------------------

    def state(self) -> dict[str, JsonValue]:
        """Return what health tells."""
        destination = self.destination
        return {
            **self._waiting(),
            "last_answer": destination.last_answer,
            "stopped": destination.stopped,
            "stored_total": destination.stored_total,
            "set_aside_total": destination.dead_lettered_total,
            "thinned_total": destination.thinned_total,
            "dropped_total": destination.dropped_total,
        }

    def _waiting(self) -> dict[str, JsonValue]:
        """Tell of the rows; of a damaged outbox there is nothing to tell."""
        try:
            oldest = self.outbox.oldest_unsent(self.destination.name)
            counts = self.outbox.counts(self.destination.name)
        except sqlite3.Error as error:
            self._warn("the outbox cannot be read", reason=error)
            return {}
        age_s = None if oldest is None else max(0, round(self.wall() - oldest))
        return {**counts, "oldest_unsent_s": age_s}
