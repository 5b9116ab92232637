"""What is remembered of what the bus says, and when it is written. Pure.

Theory of operation. Windows and rounds are summed as they come (:mod:`.gathering`), devices and
targets compared with what was said before (:mod:`.diary`), alerts kept as they are. Each
:data:`FLUSH_S` all of it is written in one transaction: that is what a power cut may cost. An SD
card wears by what is written, so an alert that only goes on is written again after
:data:`REPEAT_S`. What cannot be written stays and is tried again; the longest is held an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Alert, Device, Probe, Target, Traffic
from monitorpi_common.service import Received, Tick, TombstoneReceived
from monitorpi_common.topics import TopicError, mac_from_id
from monitorpi_history.gathering import Gathering
from monitorpi_history.items import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from pydantic import JsonValue

    from monitorpi_common.messages import Publication, Tombstone
    from monitorpi_common.topics import Topic
    from monitorpi_history.diary import Diary
    from monitorpi_history.items import BatchStore, Trouble

FLUSH_S: Final = 25.0
"""2.4 transactions a minute, each forced to the disk."""
AHEAD_TOLD_S: Final = 86_400.0
"""So long it is told that the clock was set back behind what is kept."""
REPEAT_S: Final = 600.0
MAX_ALERTS: Final = 4096
"""Alerts followed at once: 32 open ones of each rule, and a day of closed ones."""


class HistoryCore:
    """Everything but the disk."""

    def __init__(
        self,
        store: BatchStore,
        diary: Diary,
        where: Mapping[str, JsonValue],
        show: Callable[[dict[str, JsonValue]], None],
    ) -> None:
        """Keep what is said.

        Args:
            store: where batches go.
            diary: what was known before.
            where: what health says besides: where questions are answered.
            show: takes what health says after each write, for whoever asks here.

        """
        self._store = store
        self._gathering = Gathering()
        self._diary = diary
        self._where = where
        self._show = show
        self._alerts: dict[str, tuple[tuple[object, ...], float]] = {}
        """By id: what was written of it, without what moves all the time, and when."""
        self._fresh: dict[str, Alert] = {}
        self._now: datetime | None = None
        self._boot_s = 0.0
        self._ahead_since_s: float | None = None
        self._ahead: Trouble | None = None
        """What is kept lies ahead of the clock, and since when by that which never steps."""
        self._flushed_s: float | None = None
        self._trouble: Trouble | None = None
        self._refused_alerts = 0

    def handle(self, item: object) -> Iterable[Publication | Tombstone]:
        """Take one item; nothing is ever said in return."""
        match item:
            case Received(topic, message):
                self._receive(topic, message)
            case TombstoneReceived(topic):
                self._gone(topic)
            case Tick():
                self._tick(item)
            case _:
                pass
        return ()

    def close(self) -> Iterable[Publication | Tombstone]:
        """Write what is left."""
        self._flush()
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return what health says."""
        now_s = self._now.timestamp() if self._now else 0.0
        gathering, trouble = self._gathering, self._trouble or self._ahead
        return {
            "trouble": None if trouble is None else trouble.published(),
            "waiting_slots": len(gathering),
            "lost_slots_total": gathering.lost_slots,
            "lost_windows_total": gathering.lost_windows,
            "untimely_total": gathering.untimely,
            "repeated_total": gathering.repeated,
            "refused_total": gathering.refused_senders + self._diary.refused
            + self._refused_alerts,
            **self._store.state(now_s),
            **self._where,
        }  # fmt: skip

    def _compare_clocks(self, now_s: float) -> None:
        """Note that what is kept lies ahead of the clock, for a day: then it is an old story.

        Nobody can tell which of the two clocks was wrong. Where it was that one, all goes well from
        then on, and nothing can be done about it.
        """
        self._ahead = self._store.warning(now_s)
        if self._ahead is None:
            self._ahead_since_s = None
        elif self._ahead_since_s is None:
            self._ahead_since_s = self._boot_s
        elif self._boot_s - self._ahead_since_s > AHEAD_TOLD_S:
            self._ahead = None

    # --- what comes in ----------------------------------------------------------------------

    def _receive(self, topic: Topic, message: object) -> None:
        match message:
            case Traffic():
                self._gathering.window(message, self._diary.known, self._now)
            case Probe():
                self._gathering.round(message, topic.id, self._now)
            case Device():
                self._diary.device(message, self._now_ms(message.last_seen))
            case Target():
                self._diary.target(message)
            case Alert():
                self._alert(message)
            case _:
                pass

    def _gone(self, topic: Topic) -> None:
        if topic.kind == Device.KIND and self._now is not None:
            try:
                mac = mac_from_id(topic.id)
            except TopicError:
                return
            self._diary.device_gone(mac, self._now_ms(self._now))

    def _alert(self, alert: Alert) -> None:
        essence = (
            alert.state, alert.severity, alert.acknowledged, alert.caused_by, alert.close_reason,
            alert.closed_at,
        )  # fmt: skip
        written = self._alerts.get(alert.id)
        if written is None and len(self._alerts) >= MAX_ALERTS:
            self._forget_closed()
            if len(self._alerts) >= MAX_ALERTS:
                self._refused_alerts += 1
                return
        if written is None or written[0] != essence or self._boot_s - written[1] >= REPEAT_S:
            self._alerts[alert.id] = (essence, self._boot_s)
            self._fresh[alert.id] = alert
        elif alert.id in self._fresh:
            self._fresh[alert.id] = alert

    def _forget_closed(self) -> None:
        self._alerts = {
            id_: one for id_, one in self._alerts.items() if one[0][0] == "open"
        }  # one that is said again is written again: the same row

    def _now_ms(self, otherwise: datetime) -> int:
        return round((self._now or otherwise).timestamp() * 1000)

    # --- what is written --------------------------------------------------------------------

    def _tick(self, tick: Tick) -> None:
        self._now, self._boot_s = tick.at, tick.boot_s
        self._compare_clocks(tick.at.timestamp())
        if self._flushed_s is None or tick.boot_s - self._flushed_s >= FLUSH_S:
            self._flushed_s = tick.boot_s
            self._flush()
        elif self._trouble is None:
            self._store.work(tick.at.timestamp(), is_set=tick.clock_synced)

    def _flush(self) -> None:
        batch = Batch(self._gathering.stretches(), list(self._fresh.values()))
        self._diary.add_to(batch)
        self._trouble = self._store.save(batch)
        if self._trouble is None:
            self._gathering.clear()
            self._diary.clear()
            self._fresh.clear()
        self._show(self.detail())
