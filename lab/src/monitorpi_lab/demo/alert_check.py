"""Holds the demo's floods against the alerts that came. Pure: each event comes with its time.

Times are Unix time in seconds; an alert's are those of its arrival at a subscriber, because that
is what a person waits for.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from monitorpi_common.topics import mac_from_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_common.messages import Alert
    from monitorpi_lab.demo.steps import Step

_MAC_ID: Final = re.compile(r"[0-9a-f]{12}")


@dataclass
class _StagedFlood:
    rule: str
    mac: str
    first_s: float
    last_s: float | None = None
    alert_mac: str | None = None
    alert_key: str | None = None
    opened_s: float | None = None
    closed_s: float | None = None
    openings: int = 0

    def matches(self, alert: Alert) -> bool:
        """Return whether an alert is this flood's: its rule, on its attacker."""
        return (alert.rule, subject_mac(alert)) == (self.rule, self.mac)

    def result(self) -> dict[str, Any]:
        """Return the flood as it stands in the demo's result."""
        return {
            "rule": self.rule,
            "attacker_mac": self.mac,
            "alert_mac": self.alert_mac,
            "seconds_to_alert": _since(self.first_s, self.opened_s),
            "seconds_to_close": _since(self.last_s, self.closed_s),
        }


@dataclass(frozen=True)
class Transition:
    """An alert opened or closed; ``after_s`` is since the flood's first or last frame."""

    alert: Alert
    what: Literal["opened", "reopened", "closed", "followed", "unexplained"]
    """``reopened``: for one flood once more. ``followed``: it opened as a side effect of a flood's
    alert, and says so itself. ``unexplained``: no flood of ours has caused it."""
    after_s: float | None


@dataclass
class AlertCheck:
    """Each flood wants one alert, on the MAC address that sent it, opened and closed."""

    floods: list[_StagedFlood] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    before: int = 0
    others: dict[str, str] = field(default_factory=dict)
    """Alerts that no flood explains: their key and summary, by id."""
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def flood_started(self, rule: str, mac: str, first_s: float) -> None:
        """Note a flood's first frame."""
        self.floods.append(_StagedFlood(rule, mac, first_s))

    def flood_ended(self, rule: str, last_s: float) -> None:
        """Note a flood's last frame."""
        for flood in self.floods:
            if flood.rule == rule:
                flood.last_s = last_s

    def alert(self, alert: Alert, at_s: float) -> Transition | None:
        """Take an alert; None: a refresh or a repetition, nothing has changed."""
        if (alert.id, alert.state) in self._seen:
            return None
        self._seen.add((alert.id, alert.state))
        flood = next((flood for flood in self.floods if flood.matches(alert)), None)
        if flood is None:
            return self._unexpected(alert)
        if alert.state == "closed":
            flood.closed_s = at_s
            return Transition(alert, "closed", after_s=_since(flood.last_s, at_s))
        flood.openings, flood.closed_s = flood.openings + 1, None
        if flood.opened_s is None:
            flood.opened_s = at_s
            flood.alert_mac, flood.alert_key = subject_mac(alert), alert.key
        what: Literal["opened", "reopened"] = "opened" if flood.openings == 1 else "reopened"
        return Transition(alert, what, after_s=_since(flood.first_s, at_s))

    def _unexpected(self, alert: Alert) -> Transition | None:
        if alert.state == "closed":
            return None
        if alert.caused_by in {flood.alert_key for flood in self.floods if flood.alert_key}:
            return Transition(alert, "followed", after_s=None)
        self.others[alert.id] = f"{alert.key}: {alert.summary}"
        if not self.floods:
            self.before += 1
        return Transition(alert, "unexplained", after_s=None)

    def result(self, cloud_rows: int) -> dict[str, Any]:
        """Return the demo's result, as printed with ``--json``."""
        return {
            "floods": [flood.result() for flood in self.floods],
            "alerts_before": self.before,
            "alerts_on_others": len(self.others) - self.before,
            "cloud_rows": cloud_rows,
            "messages": dict(sorted(self.messages.items())),
        }

    def failures(self, expected: Sequence[Step], *, undisturbed: bool = True) -> list[str]:
        """Return what did not go as it must, a sentence each; empty: all well.

        Args:
            expected: the floods of the demo.
            undisturbed: nothing was killed: one flood is one alert. With the detector and the
                broker's memory gone it may be reported once more.

        """
        failures = [f"an alert nobody caused: {summary}" for summary in self.others.values()]
        by_rule = {flood.rule: flood for flood in self.floods}
        for step in expected:
            flood = by_rule.get(step.rule)
            if flood is None:
                failures.append(f"the {step.rule} was never sent")
            elif flood.opened_s is None:
                failures.append(f"no {step.rule} alert opened on {flood.mac}")
            elif flood.closed_s is None:
                failures.append(f"the {step.rule} alert on {flood.mac} did not close")
            elif undisturbed and flood.openings > 1:
                failures.append(
                    f"the {step.rule} alert opened {flood.openings} times for one flood"
                )
        return failures


def subject_mac(alert: Alert) -> str | None:
    """Return the MAC address an alert accuses; None: its subject is a victim or the wire."""
    if _MAC_ID.fullmatch(alert.subject) is None:
        return None
    return mac_from_id(alert.subject)


def _since(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else round(end_s - start_s, 3)
