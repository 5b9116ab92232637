"""One attack, one alert: which open alert explains, replaces or causes another."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import slug
from monitorpi_detector.alerts.evidence import macs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from monitorpi_common.messages import Alert
    from monitorpi_detector.alerts.evidence import Observed
    from monitorpi_detector.rule import Finding

FRESH: Final = timedelta(seconds=10)
"""What was reported so long before its cause was known is linked to it."""

PARTS_FRESH: Final = timedelta(seconds=120)
"""The same of what is a part of being cut off: connections in vain are seen within seconds, that
nobody answers takes rounds; and of targets that were bad before they, or more of them, went."""
CUT_OFF: Final = "cut-off"
PARTS: Final = frozenset({"uplink-down", "group-down"})
"""What is away for a machine from which everything is."""

LOOP: Final = "loop"
REPEATED: Final = frozenset(
    {
        "broadcast-storm", "arp-storm", "dhcp-starvation", "igmp-storm", "icmp-flood", "mac-flood",
        *(f"surge-{name}" for name in ("broadcast", "multicast", "arp", "icmp", "igmp", "dhcp")),
        "surge-mdns",
    }
)  # fmt: skip
"""Rules whose frames a loop repeats."""


@dataclass(slots=True)
class OpenAlert:
    """One open alert."""

    alert: Alert
    kind: str
    quiet_s: float
    last_active: datetime
    published: datetime
    involved: frozenset[str]
    """MACs, and addresses of victims."""
    sources: frozenset[str]
    lives_by_windows: bool
    valued: datetime
    """The end of the window whose value the alert tells."""
    interfaces: set[str] = field(default_factory=set)
    restored: bool = False
    story: str | None = None
    decisive: bool = False

    def resume(self, at: datetime) -> None:
        """Go on with an alert of the process before us, which may have had another clock."""
        if self.restored:
            self.restored, self.last_active = False, at
            self.published, self.valued = min(self.published, at), min(self.valued, at)

    def step_clock(self, by: timedelta) -> None:
        """Move with a clock that was set; what another one had stamped stays."""
        alert, now = self.alert, max(self.last_active, self.published)
        self.last_active += by
        self.published += by
        self.valued += by
        self.alert = alert.model_copy(
            update={
                name: at + by if at <= now else at
                for name, at in (("opened_at", alert.opened_at), ("at", alert.at))
            }
        )


CAUSES: Final = ("flood", "outage")
"""Kinds of alerts that cause others."""
DEGRADED: Final = frozenset({"uplink-degraded", "group-degraded"})
"""Rules whose alerts are effects of floods and outages, and causes of what single targets do."""


def reported_elsewhere(
    entries: Iterable[OpenAlert], finding: Finding, seen: Observed
) -> OpenAlert | None:
    """Return the open alert that already tells of this attack."""
    macs = macs_of(finding)[0]
    for entry in entries:
        if seen.kind == "effect" and entry.kind == "flood" and macs & entry.sources:
            return entry  # the flood's own frames, counted under another name
        if entry.alert.rule != seen.rule:
            continue
        subject = entry.alert.subject
        if finding.subject.startswith("wire-"):
            # what several ports show together is no second wire beside one of them
            if _shares(entry, seen):
                return entry
        elif subject.startswith("victim-") and macs & entry.sources:
            return entry
    return None


def explained_by(by: OpenAlert, entries: Iterable[OpenAlert], seen: Observed) -> list[str]:
    """Return the keys of the alerts that a new one explains: of its rule, or of its story."""
    subject = by.alert.subject
    attackers = {slug(mac.replace(":", "")) for mac in by.sources}
    explained = []
    for entry in entries:
        if by.decisive and by.story is not None and by.story == entry.story and not entry.decisive:
            explained.append(entry.alert.key)
        if entry is by or entry.alert.rule != seen.rule:
            continue
        other = entry.alert.subject
        if other.startswith("wire-"):
            if not subject.startswith("wire-") and _shares(entry, seen):
                explained.append(entry.alert.key)
        elif subject.startswith("victim-") and other in attackers:
            explained.append(entry.alert.key)
    return explained


def _shares(entry: OpenAlert, seen: Observed) -> bool:
    return seen.interface is None or not entry.interfaces.isdisjoint(seen.ports)


def cause_of(entries: Iterable[OpenAlert], involved: frozenset[str], seen: Observed) -> str | None:
    """Return the key of the open flood, outage or loop that a side effect comes from."""
    entries = list(entries)
    if seen.rule in REPEATED:
        for entry in entries:
            if entry.alert.rule == LOOP and _shares(entry, seen):
                return entry.alert.key
    if seen.rule in PARTS:
        return next((one.alert.key for one in entries if one.alert.rule == CUT_OFF), None)
    if seen.kind != "effect":
        return None
    causes = [one for one in entries if one.kind in CAUSES]
    if seen.rule not in DEGRADED:
        causes += [one for one in entries if one.alert.rule in DEGRADED and _goes_on(one, seen)]
    return next((one.alert.key for one in causes if one.involved & involved), None)


def _goes_on(entry: OpenAlert, seen: Observed) -> bool:
    """Return whether a common cause was there in the last round: who stays bad has his own."""
    return seen.at - entry.last_active < timedelta(seconds=1.5 * seen.span_s)


def is_cause(entry: OpenAlert) -> bool:
    """Return whether an alert causes others."""
    return entry.kind in CAUSES or entry.alert.rule in DEGRADED


def effects_of(cause: OpenAlert, entries: Iterable[OpenAlert], at: datetime) -> Iterator[OpenAlert]:
    """Find what was reported a moment before its cause was known."""
    for entry in entries:
        is_part = cause.alert.rule == CUT_OFF and entry.alert.rule in PARTS
        slow = is_part or cause.kind == "outage" or cause.alert.rule in DEGRADED
        fresh = PARTS_FRESH if slow else FRESH
        if entry.alert.caused_by is not None or at - entry.alert.opened_at > fresh:
            continue
        if is_part:
            yield entry
        elif cause.alert.rule == LOOP:
            if entry.alert.rule in REPEATED and entry.interfaces & cause.interfaces:
                yield entry
        elif cause.alert.rule in DEGRADED and entry.alert.rule in DEGRADED:
            continue
        elif entry.kind == "effect" and entry.involved & cause.involved:
            yield entry
