"""Open alerts by rule: on while any alert of a rule is open. Pure.

A switch that followed the topics of single alerts would go off when one of two alerts of a rule
closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import SEVERITIES, AlertEvent, RuleState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitorpi_common.messages import Alert

ANY: Final = "any"
"""The state of all rules together."""
MOST: Final = 4_096
STALE_S: Final = 120.0
"""The detector publishes an open alert each ten seconds; one that it has forgotten expires at the
broker without a word."""
_MOST_KEYS: Final = 32


@dataclass(slots=True)
class Alarms:
    """The open alerts, and what was published of each rule."""

    _open: dict[str, tuple[Alert, float]] = field(default_factory=dict)
    _rules: set[str] = field(default_factory=set)

    @property
    def open(self) -> list[Alert]:
        """The open alerts, in the order they were seen."""
        return [alert for alert, _ in self._open.values()]

    def take(self, alert: Alert, now_s: float, *, retained: bool) -> AlertEvent | None:
        """Take an alert; returns the event where it opens or closes, None: nothing is new."""
        was_open = self._open.get(alert.key)
        if alert.state == "open":
            if was_open is None and len(self._open) >= MOST:
                return None
            self._open[alert.key] = (alert, now_s)
            is_new = was_open is None or was_open[0].id != alert.id
            return _event("opened", alert) if is_new and not retained else None
        if self._open.pop(alert.key, None) is None or retained:
            return None
        return _event("closed", alert)

    def forget(self, key: str) -> None:
        """Drop an alert that was taken back."""
        self._open.pop(key, None)

    def drop_stale(self, now_s: float) -> None:
        """Drop what the detector has not refreshed though it is there."""
        gone = [key for key, (_, at_s) in self._open.items() if now_s - at_s > STALE_S]
        for key in gone:
            del self._open[key]

    def refresh(self, now_s: float) -> None:
        """Take the time without the detector off: nobody refreshed anything."""
        self._open = {key: (alert, now_s) for key, (alert, _) in self._open.items()}

    def states(self, rules: frozenset[str], at: datetime) -> Iterator[tuple[str, RuleState]]:
        """Yield the state of each rule, and of all together."""
        by_rule: dict[str, list[Alert]] = {ANY: self.open}
        for alert in self.open:
            by_rule.setdefault(alert.rule, []).append(alert)
        self._rules |= rules | by_rule.keys()
        for rule in sorted(self._rules):
            yield rule, _state(rule, by_rule.get(rule, []), at)


def _state(rule: str, alerts: list[Alert], at: datetime) -> RuleState:
    worst = max((alert.severity for alert in alerts), key=SEVERITIES.index, default=None)
    return RuleState(
        at=at, rule=rule, state="ON" if alerts else "OFF", open=len(alerts), severity=worst,
        summary=alerts[-1].summary if alerts else None,
        keys=[alert.key for alert in alerts[:_MOST_KEYS]],
    )  # fmt: skip


def _event(what: str, alert: Alert) -> AlertEvent:
    return AlertEvent(
        event_type="opened" if what == "opened" else "closed", at=alert.at, rule=alert.rule,
        severity=alert.severity, key=alert.key, summary=alert.summary,
    )  # fmt: skip
