"""A connection to a broker beside a service's own: what arrives, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from monitorpi_common.bus import BusEvent, Raw
from monitorpi_common.inbox import Inbox
from monitorpi_common.mqtt import MqttBus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_common.bus import Report
    from monitorpi_common.log import Log
    from monitorpi_common.settings import BrokerSettings


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """Something became of the connection."""

    event: BusEvent
    report: Report | None
    """What is worth a line."""


class Session:
    """Connects on entering the ``with`` block, and again whenever the broker comes back.

    Args:
        settings: the broker, and who we are there.
        name: for people who read the broker's log.
        filters: what to subscribe to.
        log: for what goes wrong.

    """

    def __init__(
        self, settings: BrokerSettings, name: str, filters: Sequence[str], log: Log
    ) -> None:
        self.bus = MqttBus(settings, f"monitorpi-{name}", None, log)
        self._inbox = Inbox()
        self._filters = filters

    def __enter__(self) -> Self:
        self.bus.open(self._inbox, self._filters)
        return self

    def __exit__(self, *_: object) -> None:
        self.bus.close()

    def next(self, timeout_s: float) -> Raw | ConnectionChange | None:
        """Return the next message or change; None: none came in time."""
        item = self._inbox.take(timeout_s)
        if isinstance(item, BusEvent):
            return ConnectionChange(item, self.bus.event(item))
        return item if isinstance(item, Raw) else None
