"""What the demo shows, and whether it went well: pure, told about everything with its time.

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
    from monitorpi_lab.flood import Kind

QUIET_S: Final = 5.0
"""The demo's ``quiet_s`` of the detector: nobody wants to watch a minute of silence."""
LEAD_S: Final = 5.0
"""Undisturbed traffic before the first flood: an alert there would be a false one."""
FLOOD_S: Final = 6.0
SETTLE_S: Final = QUIET_S + 6.0
"""From a flood's last frame to its alert's close at the latest: the rest of its window (1 s), the
quiet time, the watermark's lag (3 s) and a margin for a busy machine."""
MINIMUM_S: Final = LEAD_S + 2 * (FLOOD_S + SETTLE_S)
ALERT_WITHIN_S: Final = 3.0
RATE: Final = 400.0
"""Frames per second of each flood: four to eight times the default floors."""

_MAC_ID: Final = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Cue:
    """A flood of the demo: which rule must find it, and when it comes after the first window."""

    rule: str
    kind: Kind
    rate: float
    at_s: float
    seconds: float = FLOOD_S


def schedule(seconds: float) -> tuple[Cue, ...]:
    """Place both floods in a demo of so many seconds, what is to spare shared between them.

    Raises:
        ValueError: too short for both alerts to close.

    """
    if not seconds >= MINIMUM_S:  # nan too
        raise ValueError(
            f"{seconds:g} s are too few for both alerts to open and close: give at least "
            f"{MINIMUM_S:g}"
        )
    spare = (seconds - MINIMUM_S) / 3
    first = LEAD_S + spare
    return (
        Cue("syn-flood", "syn", RATE, first),
        Cue("icmp-flood", "icmp_echo", RATE, first + FLOOD_S + SETTLE_S + spare),
    )


@dataclass
class _Flood:
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
        """Tell whether an alert is this flood's: its rule, on its attacker."""
        return (alert.rule, subject_mac(alert)) == (self.rule, self.mac)

    def told(self) -> dict[str, Any]:
        """Return the flood as the demo's result tells it."""
        return {
            "rule": self.rule,
            "attacker_mac": self.mac,
            "alert_mac": self.alert_mac,
            "seconds_to_alert": _since(self.first_s, self.opened_s),
            "seconds_to_close": _since(self.last_s, self.closed_s),
        }


@dataclass(frozen=True)
class Turn:
    """An alert opened or closed; ``after_s`` is since the flood's first or last frame."""

    alert: Alert
    what: Literal["opened", "anew", "closed", "followed", "unexplained"]
    """``anew``: for one flood once more. ``followed``: it opened as a side effect of a flood's
    alert, and says so itself. ``unexplained``: no flood of ours has caused it."""
    after_s: float | None


@dataclass
class Judge:
    """Holds floods against alerts."""

    floods: list[_Flood] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    before: int = 0
    others: dict[str, str] = field(default_factory=dict)
    """Alerts that no flood explains: their key and summary, by id."""
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def flood_started(self, rule: str, mac: str, first_s: float) -> None:
        """Note a flood's first frame."""
        self.floods.append(_Flood(rule, mac, first_s))

    def flood_ended(self, rule: str, last_s: float) -> None:
        """Note a flood's last frame."""
        for flood in self.floods:
            if flood.rule == rule:
                flood.last_s = last_s

    def alert(self, alert: Alert, at_s: float) -> Turn | None:
        """Take an alert; None: a refresh or a repetition, nothing has turned."""
        if (alert.id, alert.state) in self._seen:
            return None
        self._seen.add((alert.id, alert.state))
        flood = next((flood for flood in self.floods if flood.matches(alert)), None)
        if flood is None:
            return self._unexpected(alert)
        if alert.state == "closed":
            flood.closed_s = at_s
            return Turn(alert, "closed", after_s=_since(flood.last_s, at_s))
        flood.openings, flood.closed_s = flood.openings + 1, None
        if flood.opened_s is None:
            flood.opened_s = at_s
            flood.alert_mac, flood.alert_key = subject_mac(alert), alert.key
        what: Literal["opened", "anew"] = "opened" if flood.openings == 1 else "anew"
        return Turn(alert, what, after_s=_since(flood.first_s, at_s))

    def _unexpected(self, alert: Alert) -> Turn | None:
        if alert.state == "closed":
            return None
        if alert.caused_by in {flood.alert_key for flood in self.floods if flood.alert_key}:
            return Turn(alert, "followed", after_s=None)
        self.others[alert.id] = f"{alert.key}: {alert.summary}"
        if not self.floods:
            self.before += 1
        return Turn(alert, "unexplained", after_s=None)

    def result(self, cloud_rows: int) -> dict[str, Any]:
        """Return the demo's result, as printed with ``--json``."""
        return {
            "floods": [flood.told() for flood in self.floods],
            "alerts_before": self.before,
            "alerts_on_others": len(self.others) - self.before,
            "cloud_rows": cloud_rows,
            "messages": dict(sorted(self.messages.items())),
        }

    def complaints(self, expected: Sequence[Cue], *, undisturbed: bool = True) -> list[str]:
        """Return what did not go as it must, a sentence each; empty: all well.

        Args:
            expected: the floods of the demo.
            undisturbed: nothing was killed: one flood is one alert. With the detector and the
                broker's memory gone it may be told once more.

        """
        told = [f"an alert nobody caused: {summary}" for summary in self.others.values()]
        by_rule = {flood.rule: flood for flood in self.floods}
        for cue in expected:
            flood = by_rule.get(cue.rule)
            if flood is None:
                told.append(f"the {cue.rule} was never sent")
            elif flood.opened_s is None:
                told.append(f"no {cue.rule} alert opened on {flood.mac}")
            elif flood.closed_s is None:
                told.append(f"the {cue.rule} alert on {flood.mac} did not close")
            elif undisturbed and flood.openings > 1:
                told.append(f"the {cue.rule} alert opened {flood.openings} times for one flood")
        return told


def subject_mac(alert: Alert) -> str | None:
    """Return the MAC address an alert accuses; None: its subject is a victim or the wire."""
    if _MAC_ID.fullmatch(alert.subject) is None:
        return None
    return mac_from_id(alert.subject)


def _since(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else round(end_s - start_s, 3)
