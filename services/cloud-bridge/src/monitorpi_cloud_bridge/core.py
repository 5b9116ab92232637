"""The bridge's core: messages become rows, alerts become texts, TalkBack becomes commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from monitorpi_cloud_bridge.items import Called, OutboxRow
from monitorpi_cloud_bridge.thinning import number
from monitorpi_common.clocksteps import ClockSteps
from monitorpi_common.messages import (
    Alert,
    Command,
    Device,
    Health,
    Message,
    Probe,
    Publication,
    Service,
    Target,
    UploadNow,
    Wire,
)
from monitorpi_common.service import CommandReceived, Received, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.rollups import RollupPublisher
    from monitorpi_cloud_bridge.rows import ChannelRow, RowBuilder
    from monitorpi_cloud_bridge.settings import ListedCommand as Permitted

LATE_S: Final = 2.0
"""How long after an interval's end a message of it may still come."""
MAX_STATUS_BYTES: Final = 255
MAX_UNWRITTEN: Final = 1000
"""Rows kept in memory while the disk is full."""
MAX_ALERTS: Final = 512
MOST_TEXTS: Final = 64  # 32 alerts of a rule may be open, and close again
TEXT_EVERY_S: Final = 300.0
"""So many texts of alerts at once, and one more per so many seconds: whoever can set off alerts
could spend the year's quota of rows in days. 105,000 a year are less than what two channels at the
shortest interval that fits leave over (133,000)."""
MEMORY: Final = "rows"
REPORTED: Final = "told"
"""Under which name it is remembered which changes of alerts were reported."""


class RowStore(Protocol):
    """Where rows are written; False: it cannot be done now (the disk is full)."""

    def add(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows with what must be remembered, in one transaction."""
        ...

    def add_urgent(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows that take the next slot, with what must be remembered with them."""
        ...


@dataclass(slots=True)
class BridgeCore:
    """From messages to rows in the outbox."""

    builder: RowBuilder
    store: RowStore
    destinations: Mapping[str, tuple[str, ...]]
    """The outbox destinations of each channel of the mapping."""
    alert_destinations: tuple[str, ...] = ()
    permitted: Mapping[str, Permitted] = field(default_factory=dict)
    hurry: Callable[[], None] = lambda: None
    state: Callable[[], dict[str, JsonValue]] = dict
    set_back: Callable[[int], None] = lambda _: None
    """Told that the clock was set back, and how many seconds ahead of it rows stand."""
    rollups: RollupPublisher | None = None
    write_s: int = 1
    """Seconds of the wall clock whose finished rows are written together."""
    _group: int | None = None
    """Which stretch of ``write_s`` seconds was written last."""
    _unwritten: list[OutboxRow] = field(default_factory=list)
    _lost: int = 0
    _reported: dict[str, str] = field(default_factory=dict)
    _unreported: dict[str, Alert] = field(default_factory=dict)
    """Alerts whose text a full disk refused, by key."""
    _steps: ClockSteps = field(default_factory=ClockSteps)
    """Between ticks with a clock that was not set, and the first with one that is."""
    _texts: float = MOST_TEXTS
    """Texts that may still be sent now."""
    _boot_s: float | None = None
    _set_back_total: int = 0
    _passed_over: int = 0
    """Changes of alerts that found no text, since the last one that did."""
    _passed_over_total: int = 0
    _unknown: int = 0
    _called: int = 0
    _at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _synced: bool = False

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication]:
        """Take one item."""
        match item:
            case Received(topic, message):
                self._count(f"{topic.service}/{topic.kind}/{topic.id}", message)
                if isinstance(message, Alert):
                    self._report(message)
            case Tick() as tick:
                self._pass(tick)
                yield from self._roll_up(tick)
            case Called(text):
                yield from self._obey(text)
            case CommandReceived(_, UploadNow()):
                self._group = None  # all that is finished is written with the next tick
                self.hurry()
            case _:
                return

    def close(self) -> Iterable[Publication]:
        """Remember what stands in unfinished intervals.

        With a clock that was never set nothing is remembered: the totals carry it on.
        """
        memory = {} if self.builder.holds else {MEMORY: self.builder.memory()}
        self.store.add(self._unwritten, memory)
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell of outbox, quota and TalkBack."""
        return {
            "waiting_for_clock": not self._synced,
            "clock_set_back_total": self._set_back_total,
            "unwritten": len(self._unwritten),
            "lost_total": self._lost,
            "alerts_passed_over_total": self._passed_over_total,
            "talkback_obeyed_total": self._called,
            "talkback_unknown_total": self._unknown,
            **self.state(),
        }

    def recall(self, reported: JsonValue) -> None:
        """Go on where an earlier process stood with alerts."""
        if isinstance(reported, dict):
            self._reported = {key: str(change) for key, change in reported.items()}

    # --- rows -------------------------------------------------------------------------------

    def _count(self, place: str, message: Message) -> None:
        """Hand what the mapping wants of a message to the rows."""
        at = _ended(message)
        if at is None or not self.builder.wants(place):
            return
        synced = getattr(message, "clock_synced", self._synced)
        payload = message.model_dump()
        for builder in self._builders():
            builder.add(place, at.timestamp(), payload, synced=synced)

    def _builders(self) -> list[RowBuilder]:
        """Return who makes rows, and who rollups: of the same mapping."""
        return [self.builder, *([self.rollups.builder] if self.rollups else [])]

    def _roll_up(self, tick: Tick) -> Iterable[Publication]:
        """Publish the rollups that are finished; what the clock says has to be so."""
        if self.rollups is not None and tick.clock_synced:
            yield from self.rollups.finished(tick.at.timestamp() - LATE_S)

    def _pass(self, tick: Tick) -> None:
        """Let time pass; while the clock is not set nothing is written."""
        self._at, self._synced = tick.at, tick.clock_synced
        since_s = 0.0 if self._boot_s is None else tick.boot_s - self._boot_s
        self._texts = min(self._texts + since_s / TEXT_EVERY_S, MOST_TEXTS)
        self._boot_s = tick.boot_s
        step_s = self._steps.take(tick)
        if not tick.clock_synced:
            if step_s:
                for builder in self._builders():
                    builder.shift(step_s)
            return
        self._steps = ClockSteps()
        until_s = tick.at.timestamp() - LATE_S
        self._come_back(until_s)
        for builder in self._builders():
            builder.release(step_s)
        self._write(until_s)
        for alert in list(self._unreported.values()):
            self._report(alert)

    def _come_back(self, until_s: float) -> None:
        """Go on at once where the clock was set back, and say so."""
        ahead = self.builder.closed
        if self.builder.come_back(until_s):
            self._set_back_total += 1
            self.set_back(round(ahead - until_s))

    def _write(self, until_s: float) -> None:
        """Write what is finished, a group at a time; what a full disk refuses is tried again."""
        group = int(until_s // self.write_s)
        if group != self._group:
            self._group = group
            for row in self.builder.finished(until_s):
                self._unwritten += self._rows(row)
        if not self._unwritten:
            return
        if self.store.add(self._unwritten, {MEMORY: self.builder.memory()}):
            self._unwritten = []
            self.hurry()
        elif len(self._unwritten) > MAX_UNWRITTEN:
            self._lost += len(self._unwritten) - MAX_UNWRITTEN
            self._unwritten = self._unwritten[-MAX_UNWRITTEN:]

    def _rows(self, row: ChannelRow) -> list[OutboxRow]:
        fields = {f"field{place}": number(value) for place, value in sorted(row.values.items())}
        return [
            OutboxRow(destination, row.second, fields)
            for destination in self.destinations.get(row.channel, ())
        ]

    # --- alerts -----------------------------------------------------------------------------

    def _report(self, alert: Alert) -> None:
        """Send a text when an alert opens or closes; once per change, also after a restart."""
        if not self.alert_destinations:
            return
        change = f"{alert.id} {alert.state}"
        if self._reported.get(alert.key) == change:
            self._reported[alert.key] = self._reported.pop(alert.key)  # still there: forgotten last
            return
        reported = {**self._reported, alert.key: change}
        if len(reported) > MAX_ALERTS:
            del reported[next(iter(reported))]
        if alert.key not in self._reported and alert.state == "closed":
            self._reported = reported
            return  # an old one, retained: it was reported by whoever saw it
        if self._texts < 1:
            self._reported = reported
            self._unreported.pop(alert.key, None)
            self._passed_over += 1
            self._passed_over_total += 1
            return
        at = alert.closed_at or alert.opened_at
        row = {"status": self._text(alert)}
        rows = [
            OutboxRow(destination, int(at.timestamp()), row)
            for destination in self.alert_destinations
        ]
        if not self.store.add_urgent(rows, {REPORTED: dict(reported)}):
            if len(self._unreported) < MAX_ALERTS:
                self._unreported[alert.key] = alert
            return
        self._reported = reported
        self._unreported.pop(alert.key, None)
        self._texts -= 1
        self._passed_over = 0
        self.hurry()

    def _text(self, alert: Alert) -> str:
        """Write the text of a change, no longer than the service takes it."""
        word = "OPEN" if alert.state == "open" else "CLOSED"
        after = f" ({self._passed_over} changes before it untold)" if self._passed_over else ""
        room = MAX_STATUS_BYTES - len(after)
        return f"{word} {alert.summary}".encode()[:room].decode(errors="ignore") + after

    # --- commands ---------------------------------------------------------------------------

    def _obey(self, text: str) -> Iterable[Publication]:
        """Turn a listed text into a command; anything else is counted."""
        order = self.permitted.get(text)
        if order is None:
            self._unknown += 1
            return
        self._called += 1
        command = Command(name=order.name, args=order.args, at=self._at)
        yield Publication(f"talkback-{self._called}", command, to=Service(order.service))


def _ended(message: Message) -> datetime | None:
    """Return when what a message tells of ended; None: it is nothing for rows."""
    match message:
        case Wire(end=at) | Probe(round_end=at) | Device(last_seen=at):
            return at
        case Health(at=at) | Target(at=at) | Alert(at=at):
            return at
        case _:
            return None
