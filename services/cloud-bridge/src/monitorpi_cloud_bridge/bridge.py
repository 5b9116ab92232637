"""The bridge's core and the thread that talks to the cloud.

Theory of operation. The core turns windows into rows and hands them to the outbox together with
the totals they were counted from, in one transaction: after a kill it goes on exactly where it
stood. The courier sends what waits. Before anything new is sent, every row whose fate is unknown is
looked up at the cloud: a 202 is a promise, and after a timeout nobody knows.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cloud_bridge.fields import FIELDS, Mark, RowBuilder
from monitorpi_cloud_bridge.outbox import OutboxRow
from monitorpi_cloud_bridge.thingspeak import BULK_ROWS, Sent, Verdict
from monitorpi_common.messages import Traffic, UploadNow
from monitorpi_common.service import Order, Received, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.outbox import Outbox
    from monitorpi_cloud_bridge.thingspeak import ThingSpeak
    from monitorpi_common.log import Log
    from monitorpi_common.messages import Publication

LATE_S: Final = 2.0
"""How long after an interval's end a window of it may still come."""
BACK_OFF_MOST_S: Final = 300.0
_MEMORY: Final = "builder"


@dataclass(slots=True)
class BridgeCore:
    """From windows to rows in the outbox."""

    builder: RowBuilder
    channel: int
    keep: Callable[[list[OutboxRow], dict[str, JsonValue]], object]
    """Writes rows and memory in one transaction."""
    hurry: Callable[[], None] = lambda: None
    state: Callable[[], dict[str, JsonValue]] = dict
    _held: int = 0

    def handle(self, item: object) -> Iterable[Publication]:
        """Take one item."""
        match item:
            case Received(_, Traffic() as window):
                self.builder.add(window)
            case Tick(at, _, synced):
                if synced:
                    self._write(at.timestamp() - LATE_S)
                self._held = 0 if synced else len(self.builder.pending())
            case Order(_, UploadNow()):
                self.hurry()
            case _:
                pass
        return ()

    def _write(self, until_s: float) -> None:
        rows = self.builder.finished(until_s)
        if rows:
            self.keep(
                [outbox_row(self.channel, row.second, row.values) for row in rows], self.memory()
            )

    def memory(self) -> dict[str, JsonValue]:
        """Return what the builder must remember, as JSON."""
        marks: dict[str, JsonValue] = {
            name: {"epoch": mark.epoch, "totals": dict(mark.totals)}
            for name, mark in self.builder.marks.items()
        }
        counts: dict[str, JsonValue] = {
            str(second): list(values) for second, values in self.builder.pending().items()
        }
        return {_MEMORY: {"marks": marks, "counts": counts, "closed": self.builder.closed}}

    def close(self) -> Iterable[Publication]:
        """Remember what stands in unfinished intervals."""
        self.keep([], self.memory())
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell of the outbox."""
        return {"held_for_clock": self._held, **self.state()}


def remember(builder: RowBuilder, memory: JsonValue) -> None:
    """Let a builder go on where its memory ends; memory of another shape is forgotten."""
    if not isinstance(memory, dict):
        return
    parts: Any = memory
    try:
        marks = {
            str(name): Mark(str(mark["epoch"]), {k: int(v) for k, v in mark["totals"].items()})
            for name, mark in parts["marks"].items()
        }
        counts = {int(s): [int(v) for v in values] for s, values in parts["counts"].items()}
        closed = int(parts["closed"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return
    builder.restore(marks, {s: v for s, v in counts.items() if len(v) == len(FIELDS)}, closed)


def outbox_row(channel: int, second: int, values: Iterable[int]) -> OutboxRow:
    """Build the row of one interval: ``field1`` to ``field8``."""
    fields = {f"field{number}": str(value) for number, value in enumerate(values, start=1)}
    return OutboxRow(channel, second, fields)


@dataclass(slots=True)
class Courier:
    """The source thread that empties the outbox, one call at a time."""

    outbox: Outbox
    cloud: ThingSpeak
    channel: int
    pacing_s: float
    log: Log
    clock: Callable[[], float] = time.monotonic
    last_answer: str = "none yet"
    stored_total: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _limit: int = BULK_ROWS
    _pause_s: float = 0.0
    _dead: bool = False

    def run(self, emit: Callable[[object], None]) -> None:
        """Send until stopped."""
        del emit
        if self.outbox.in_flight(self.channel):
            # sent by the process before us: give the cloud the time it takes to store
            self._rest(self.pacing_s)
        while not self._stopped.is_set():
            if not self._dead:
                self._verify()
            if not self._dead and not self._stopped.is_set():
                self._send()
            self._rest(max(self.pacing_s, self._pause_s))

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()
        self._wake.set()

    def state(self) -> dict[str, JsonValue]:
        """Return what health tells."""
        return {
            "outbox": dict(self.outbox.counts(self.channel)),
            "last_answer": self.last_answer,
            "stored_total": self.stored_total,
        }

    def _rest(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def _verify(self) -> None:
        """Find out what became of the rows in flight."""
        unknown = self.outbox.in_flight(self.channel)
        if not unknown:
            return
        stored = self.cloud.stored(unknown[0], unknown[-1])
        if stored is None:
            self.last_answer = "reading back failed"
            return
        there = [second for second in unknown if second in stored]
        self.outbox.settle(self.channel, there, [s for s in unknown if s not in stored])
        self.stored_total += len(there)

    def _send(self) -> None:
        """Send the oldest waiting rows, unless the fate of others is unknown."""
        if self.outbox.in_flight(self.channel):
            return
        rows = self.outbox.take(self.channel, self._limit)
        if not rows:
            return
        sent = self.cloud.send(rows)
        self.last_answer = sent.text
        self._judge(rows, sent)

    def _judge(self, rows: list[OutboxRow], sent: Sent) -> None:
        """Decide what an answer means for the rows and for the next call."""
        seconds = [row.second for row in rows]
        match sent.verdict:
            case Verdict.ACCEPTED:
                self._pause_s, self._limit = 0.0, BULK_ROWS
            case Verdict.UNKNOWN:
                self.log.warning("the cloud did not answer", what=sent.text)
            case Verdict.TOO_EARLY | Verdict.QUOTA:
                self.outbox.settle(self.channel, [], seconds)
                self._pause_s = min(max(2 * self._pause_s, self.pacing_s), BACK_OFF_MOST_S)
                self.log.warning("the cloud asks for patience", what=sent.text)
            case Verdict.FORBIDDEN:
                self.outbox.settle(self.channel, [], seconds)
                self._dead = True
                self.log.error(
                    "the channel refuses us; rows are kept, nothing is sent until a restart",
                    channel=self.channel,
                    what=sent.text,
                )
            case Verdict.TOO_MUCH if len(rows) == 1:
                self.outbox.set_aside(self.channel, seconds[0])
                self.log.error("the cloud refuses a row; it is set aside", second=seconds[0])
            case Verdict.TOO_MUCH:
                self.outbox.settle(self.channel, [], seconds)
                self._limit = max(1, len(rows) // 2)
