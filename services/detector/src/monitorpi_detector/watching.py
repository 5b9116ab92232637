"""The detector's own watch: what it concludes of the sensor, and when that is published. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Publication, WatchState
from monitorpi_common.service import Presence, Received, Tick
from monitorpi_common.watch import Observer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitorpi_common.conclusion import Facts
    from monitorpi_common.messages import WatchLevel

REPEAT_S: Final = 3.0
"""A reader takes a conclusion for fresh for twice as long and a little: it tells of a detector that
hangs within ten seconds."""


class Watching:
    """Concludes with each tick, and publishes what has changed, or each :data:`REPEAT_S`."""

    def __init__(self, instance: str = "main") -> None:
        self._instance = instance
        self._observer = Observer()
        self._at: datetime | None = None
        self._level: WatchLevel = "blind"
        self._since: datetime | None = None
        self._published: WatchState | None = None
        self._published_s = 0.0

    @property
    def facts(self) -> Facts:
        """What is known of the sensor now."""
        return self._observer.facts()

    def observe(self, item: object) -> None:
        """Take what the bus says."""
        match item:
            case Received(topic, message, retained) if self._at is not None:
                self._observer.receive(topic, message, self._at, retained=retained)
            case Presence(topic, taken_back=True):
                self._observer.gone(topic)
            case Presence(topic, online):
                self._observer.presence(topic, online=online)
            case _:
                pass

    def tick(self, tick: Tick, judged_until: datetime | None) -> Iterator[Publication]:
        """Conclude, and publish the conclusion where it is news or old."""
        self._at = tick.at
        self._observer.tick(tick.boot_s, tick.broker)
        level, reasons = self._observer.state()
        if level != self._level or self._since is None:
            self._level, self._since = level, tick.at
        if tick.broker is not None:  # nobody can be notified, and later it would not be so any more
            self._published = None
            return
        state = WatchState(
            state=level, since=self._since, at=tick.at, judged_until=judged_until,
            reasons=list(reasons),
        )  # fmt: skip
        before = self._published
        changed = before is None or [r.what for r in before.reasons] != [r.what for r in reasons]
        changed |= before is not None and before.state != level
        if changed or tick.boot_s - self._published_s >= REPEAT_S:
            self._published, self._published_s = state, tick.boot_s
            yield Publication(self._instance, state)
