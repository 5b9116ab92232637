"""That nobody watches, as an alert of our own: it is the one that nobody else could raise. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Alert, Evidence
from monitorpi_notifier.advice import BLIND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitorpi_common.messages import WatchLevel, WatchReason

AFTER_S: Final = 20.0
"""So long it has to last: a restart of a service or of the broker takes less."""


@dataclass(slots=True)
class Blindness:
    """Turns the level of the watch into one alert."""

    _since: tuple[datetime, float] | None = None
    _alert: Alert | None = None

    def judge(
        self, level: WatchLevel, reasons: Sequence[WatchReason], at: datetime, boot_s: float
    ) -> Alert | None:
        """Return the alert where it opens or closes; None: nothing is new."""
        if level != "blind":
            self._since = None
            return self._closed(at)
        if self._since is None:
            self._since = (at, boot_s)
        since, since_s = self._since
        if self._alert is not None or boot_s - since_s < AFTER_S:
            return None
        self._alert = _alert(reasons, since, at, boot_s - since_s)
        return self._alert

    def _closed(self, at: datetime) -> Alert | None:
        if self._alert is None:
            return None
        alert, self._alert = self._alert, None
        return alert.model_copy(
            update={"state": "closed", "at": at, "closed_at": at, "close_reason": "quiet"}
        )


def _alert(reasons: Sequence[WatchReason], since: datetime, at: datetime, value: float) -> Alert:
    texts = [
        f"{one.text} {one.remedy[:1].upper()}{one.remedy[1:]}." if one.remedy else one.text
        for one in reasons
    ]
    summary = "Nobody watches the network. " + " ".join(texts)
    return Alert(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{BLIND} {since.isoformat()}")), key=BLIND,
        rule=BLIND, severity="critical", state="open", subject="watch", opened_at=since, at=at,
        summary=summary[:400],
        evidence=Evidence(
            value=value, unit="devices", threshold=AFTER_S, window_s=value, peak=value
        ),
    )  # fmt: skip
