"""The bridge's core: messages become rows, alerts become texts, TalkBack becomes commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitorpi_cloud_bridge.outbox import OutboxRow
from monitorpi_cloud_bridge.talkback import Called
from monitorpi_cloud_bridge.thinning import number
from monitorpi_common.messages import (
    Alert,
    Command,
    Health,
    Probe,
    Publication,
    Service,
    Traffic,
    UploadNow,
)
from monitorpi_common.service import Order, Received, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.rows import Row, RowBuilder
    from monitorpi_cloud_bridge.settings import Order as Permitted

LATE_S: Final = 2.0
"""How long after an interval's end a message of it may still come."""
MAX_STATUS_BYTES: Final = 255
MAX_UNWRITTEN: Final = 1000
"""Rows kept in memory while the disk is full."""
MAX_ALERTS: Final = 512
MEMORY: Final = "rows"


class Store(Protocol):
    """Where rows are written; False: it cannot be done now (the disk is full)."""

    def add(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows with what must be remembered, in one transaction."""
        ...

    def add_urgent(self, row: OutboxRow) -> bool:
        """Write a row that takes the next slot."""
        ...


@dataclass(slots=True)
class BridgeCore:
    """From messages to rows in the outbox."""

    builder: RowBuilder
    store: Store
    lanes: Mapping[str, tuple[str, ...]]
    """The outbox lanes of each channel of the mapping."""
    alert_lanes: tuple[str, ...] = ()
    permitted: Mapping[str, Permitted] = field(default_factory=dict)
    hurry: Callable[[], None] = lambda: None
    state: Callable[[], dict[str, JsonValue]] = dict
    _unwritten: list[OutboxRow] = field(default_factory=list)
    _lost: int = 0
    _told: dict[str, str] = field(default_factory=dict)
    _unknown: int = 0
    _called: int = 0
    _at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _synced: bool = False

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication]:
        """Take one item."""
        match item:
            case Received(topic, Traffic() | Probe() | Health() as message):
                place = f"{topic.service}/{topic.kind}/{topic.id}"
                self.builder.add(place, _ended(message), message.model_dump())
            case Received(_, Alert() as alert):
                self._tell(alert)
            case Tick(at, _, synced):
                self._at, self._synced = at, synced
                if synced:
                    self._write(at.timestamp() - LATE_S)
            case Called(text):
                yield from self._obey(text)
            case Order(_, UploadNow()):
                self.hurry()
            case _:
                return

    def close(self) -> Iterable[Publication]:
        """Remember what stands in unfinished intervals."""
        self.store.add(self._unwritten, {MEMORY: self.builder.memory()})
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell of outbox, quota and TalkBack."""
        return {
            "waiting_for_clock": not self._synced,
            "unwritten": len(self._unwritten),
            "lost_total": self._lost,
            "talkback_obeyed_total": self._called,
            "talkback_unknown_total": self._unknown,
            **self.state(),
        }

    # --- rows -------------------------------------------------------------------------------

    def _write(self, until_s: float) -> None:
        """Write what is finished; what a full disk refuses is kept and tried again."""
        for row in self.builder.finished(until_s):
            self._unwritten += self._rows(row)
        if not self._unwritten:
            return
        if self.store.add(self._unwritten, {MEMORY: self.builder.memory()}):
            self._unwritten = []
        elif len(self._unwritten) > MAX_UNWRITTEN:
            self._lost += len(self._unwritten) - MAX_UNWRITTEN
            self._unwritten = self._unwritten[-MAX_UNWRITTEN:]

    def _rows(self, row: Row) -> list[OutboxRow]:
        fields = {f"field{place}": number(value) for place, value in sorted(row.values.items())}
        return [OutboxRow(lane, row.second, fields) for lane in self.lanes.get(row.channel, ())]

    # --- alerts -----------------------------------------------------------------------------

    def _tell(self, alert: Alert) -> None:
        """Send a text when an alert opens or closes; once per change, also after a restart."""
        change = f"{alert.id} {alert.state}"
        if self._told.get(alert.key) == change:
            return
        known = alert.key in self._told
        self._told[alert.key] = change
        if len(self._told) > MAX_ALERTS:
            del self._told[next(iter(self._told))]
        if not known and alert.state == "closed":
            return  # an old one, retained: it was told by whoever saw it
        at = alert.closed_at or alert.opened_at
        word = "OPEN" if alert.state == "open" else "CLOSED"
        text = f"{word} {alert.summary}".encode()[:MAX_STATUS_BYTES].decode(errors="ignore")
        for lane in self.alert_lanes:
            self.store.add_urgent(OutboxRow(lane, int(at.timestamp()), {"status": text}))
        self.hurry()

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


def _ended(message: Traffic | Probe | Health) -> float:
    """Return when what a message tells of ended, in Unix time."""
    match message:
        case Traffic(end=at) | Probe(round_end=at):
            return at.timestamp()
        case Health(at=at):
            return at.timestamp()


def state_of(*parts: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Join what several parts tell for health."""

    def joined() -> dict[str, Any]:
        told: dict[str, Any] = {}
        for part in parts:
            told |= part()
        return told

    return joined
