"""Closed alerts: readable for a day; the same happens again soon: the same alert goes on. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import Alert

MAX_CLOSED: Final = 512
"""Closed alerts that stay readable; the oldest are taken back."""


class ClosedAlerts:
    """The latest closed alert of each key; bounded."""

    def __init__(self) -> None:
        self._closed: dict[str, tuple[Alert, float]] = {}
        """With its quiet time, seconds."""

    def __len__(self) -> int:
        return len(self._closed)

    def __contains__(self, key: str) -> bool:
        return key in self._closed

    def add(self, alert: Alert, quiet_s: float) -> Iterator[str]:
        """Keep an alert; yields the keys of those that leave for it."""
        self._closed.pop(alert.key, None)
        self._closed[alert.key] = (alert, quiet_s)
        while len(self._closed) > MAX_CLOSED:
            oldest = next(iter(self._closed))
            del self._closed[oldest]
            yield oldest

    def remove(self, key: str) -> None:
        """Forget an alert whose key is open again."""
        self._closed.pop(key, None)

    def reopens(self, key: str, at: datetime) -> Alert | None:
        """Return the alert that closed so shortly before that it goes on."""
        alert, quiet_s = self._closed.get(key, (None, 0.0))
        if alert is None or alert.closed_at is None or alert.close_reason == "usual":
            return None
        quiet = timedelta(seconds=quiet_s)
        return alert if alert.closed_at <= at <= alert.closed_at + quiet else None
