"""The life of alerts: one per attack, always on the same topic, never left open.

Theory of operation. An alert is open or closed; the table of what moves it:

    closed  --a finding raises-->                                            open
    open    --value >= close level-->                                        open (last active)
    open    --quiet_s of event time without-->                               closed (quiet)
    open    --its sensor is gone, or its windows stopped-->                  closed (sensor-lost)
    open    --the order ``silence``-->                                       closed (silenced)
    open    --an alert on another subject explains it-->                     closed (replaced)
    open    --it was open for so long that it is usual-->                    closed (usual)

An alert that opens again within ``quiet_s`` of its close is the same alert: it keeps ``id`` and
``opened_at``. All times are event time: the watermark is the latest end of a window, or, on a live
bus, at least three seconds ago.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Alert, CloseReason, Publication, Tombstone
from monitorpi_common.topics import slug
from monitorpi_detector.alerts.closed import ClosedAlerts
from monitorpi_detector.alerts.evidence import (
    evidence_of,
    involved_in,
    is_worse,
    macs_of,
    opened_alert,
    probed,
    sentence,
    severity_of,
    usual_sentence,
    whose_limits,
)
from monitorpi_detector.alerts.links import (
    OpenAlert,
    cause_of,
    effects_of,
    explained_by,
    is_cause,
    reported_elsewhere,
)
from monitorpi_detector.alerts.overflow import MAX_OPEN, OTHERS, Overflow
from monitorpi_detector.alerts.raising import Triggers
from monitorpi_detector.alerts.silences import Silences
from monitorpi_detector.alerts.stories import Stories
from monitorpi_detector.alerts.usual import MARGIN, Habits
from monitorpi_detector.views.wires import ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.alerts.evidence import Observed
    from monitorpi_detector.hosts.inventory import HostInventory
    from monitorpi_detector.rule import Finding, Limits

SAME: Final = timedelta(seconds=0.5)
"""Of two windows whose ends are so near the higher rate is reported: both show the same moment."""
PART: Final = timedelta(seconds=5)
"""What one port shows does not lower what several were seen to show together so long ago."""
REFRESH_S: Final = 10.0
SENSOR_S: Final = 10.0
"""Seconds without any window after which a sensor counts as lost."""


class AlertTable:
    """All alerts of one detector."""

    def __init__(self, site: str, inventory: HostInventory) -> None:
        self._site = site
        self._inventory = inventory
        self._open: dict[str, OpenAlert] = {}
        self._closed = ClosedAlerts()
        self._triggers = Triggers()
        self._overflow: dict[str, Overflow] = {}
        self._windows: dict[str, datetime] = {}
        self.silences = Silences()
        self.watermark: datetime | None = None
        self.habits = Habits()
        self.stories = Stories()
        self.opened_total = 0
        self.overflow_total = 0

    # --- what is so ---------------------------------------------------------------------------

    def open_keys(self) -> list[str]:
        """Return the keys of all open alerts."""
        return list(self._open)

    def involved(self) -> frozenset[str]:
        """Return MACs and addresses of open alerts, whose usual rates must not be learned now."""
        return frozenset().union(*(entry.involved for entry in self._open.values()))

    def open_by_rule(self) -> dict[str, int]:
        """Count the open alerts of each rule."""
        counts: dict[str, int] = {}
        for entry in self._open.values():
            counts[entry.alert.rule] = counts.get(entry.alert.rule, 0) + 1
        return counts

    # --- findings -----------------------------------------------------------------------------

    def consider(
        self, finding: Finding, limits: Limits, seen: Observed
    ) -> Iterator[Publication | Tombstone]:
        """Take one finding: it keeps an alert, raises one, or does nothing."""
        key = slug(f"{seen.rule}-{finding.subject}")
        if self.silences.holds(key, seen.at):
            return
        if limits.usual_after_s is not None:
            finding = self.habits.held_against(key, finding, seen.watched_s)
        entry = self._open.get(key)
        if entry is not None:
            yield from self._go_on(entry, finding, limits, seen)
            return
        if not finding.opens:
            return
        raises = self._triggers.take(
            (key, seen.interface), finding, limits, seen.at.timestamp(), seen.span_s
        )
        if not raises:
            return
        if self._is_reported(key, finding, limits, seen):
            return
        if self._is_full(seen.rule):
            yield from self._count_in(finding, limits, seen)
            return
        yield from self._raise(key, finding, limits, seen)

    def _go_on(
        self, entry: OpenAlert, finding: Finding, limits: Limits, seen: Observed
    ) -> Iterator[Publication | Tombstone]:
        """Keep an open alert while its value is high enough, until that is usual."""
        key = entry.alert.key
        usual = self.habits.level(key) if limits.usual_after_s is not None else None
        if finding.value < max(finding.threshold * limits.close_ratio, usual or 0.0):
            return
        yield from self._keep(entry, finding, limits, seen)
        level = self._count_habit(key, finding, limits, seen)
        if level is not None:
            summary = usual_sentence(finding, level, MARGIN * level)
            entry.alert = entry.alert.model_copy(update={"summary": summary})
            yield from self._close(key, "usual", seen.at)

    def _count_habit(
        self, key: str, finding: Finding, limits: Limits, seen: Observed
    ) -> float | None:
        """Count a window or round over the limit; return the level that is usual from now on."""
        if limits.usual_after_s is None:
            return None
        return self.habits.add(
            key, finding.value, seen.span_s, seen.watched_s, limits.usual_after_s
        )

    def _is_reported(self, key: str, finding: Finding, limits: Limits, seen: Observed) -> bool:
        """Return whether another alert tells of this, or enough was reported its story this night.

        What an open alert causes is linked to it and opens beside it.
        """
        reported = reported_elsewhere(self._open.values(), finding, seen)
        if reported is not None:
            if reported.alert.rule == seen.rule:
                reported.last_active = max(reported.last_active, seen.at)
            return True
        if (
            finding.story is None
            or finding.a_night is None
            or self._closed.reopens(key, seen.at) is not None
        ):
            return False
        if cause_of(self._open.values(), macs_of(finding)[1], seen) is not None:
            return False
        if not self.stories.is_full(finding.story, finding.a_night, seen.watched_s):
            return False
        self._count_habit(key, finding, limits, seen)
        return True

    def _is_full(self, rule: str) -> bool:
        own = slug(f"{rule}-{OTHERS}")
        return sum(
            entry.alert.rule == rule and entry.alert.key != own for entry in self._open.values()
        ) >= MAX_OPEN  # fmt: skip

    def _raise(
        self, key: str, finding: Finding, limits: Limits, seen: Observed
    ) -> Iterator[Publication | Tombstone]:
        before = self._closed.reopens(key, seen.at)
        self._closed.remove(key)
        sources, involved = macs_of(finding)
        cause = cause_of(self._open.values(), involved, seen)
        alert = opened_alert(
            finding, seen, self._inventory, site=self._site, key=key, cause=cause, before=before
        )
        entry = OpenAlert(
            alert, seen.kind, limits.quiet_s, seen.at, seen.at, involved, sources,
            seen.lives_by_windows, seen.at, set(seen.ports),
            story=finding.story, decisive=finding.decisive,
        )  # fmt: skip
        if finding.story is not None and cause is None and before is None:
            self.stories.count(finding.story, seen.watched_s)
        self._open[key] = entry
        self.opened_total += 1
        yield Publication(key, alert)
        for explained in explained_by(entry, self._open.values(), seen):
            yield from self._close(explained, "replaced", seen.at)
        if is_cause(entry):
            for effect in effects_of(entry, self._open.values(), seen.at):
                effect.alert = effect.alert.model_copy(
                    update={"caused_by": key, "severity": "info", "at": seen.at}
                )
                effect.published = seen.at
                yield Publication(effect.alert.key, effect.alert)

    def _keep(
        self, entry: OpenAlert, finding: Finding, limits: Limits, seen: Observed
    ) -> Iterator[Publication]:
        """Take a window of an open alert; several interfaces seeing it do not add up."""
        entry.interfaces.update(seen.ports)
        same_time = seen.at - entry.valued < (PART if seen.is_part else SAME)
        if same_time and finding.value < entry.alert.evidence.value and not entry.restored:
            entry.last_active = max(entry.last_active, seen.at)
            return
        sources, involved = macs_of(finding)
        entry.sources |= sources if len(entry.sources) < MAX_OPEN else frozenset()
        entry.involved |= involved if len(entry.involved) < 2 * MAX_OPEN else frozenset()
        entry.resume(seen.at)
        entry.last_active = max(entry.last_active, seen.at)
        entry.quiet_s, entry.valued = limits.quiet_s, seen.at
        entry.story, entry.decisive = finding.story, finding.decisive
        old = entry.alert
        evidence = evidence_of(finding, seen, self._inventory, old.opened_at, old.evidence)
        severity = severity_of(finding, old.caused_by)
        rises = is_worse(severity, old.severity)
        entry.alert = old.model_copy(
            update={
                "at": max(old.at, seen.at),
                "severity": severity if rises else old.severity,
                "summary": sentence(finding, evidence.peak, seen),
                "evidence": evidence,
            }
        )
        if rises:
            entry.published = seen.at
            yield Publication(old.key, entry.alert)

    def see_round(self, start: datetime) -> None:
        """Put a round of probes that began before a flood's last window into its evidence."""
        for entry in self._open.values():
            evidence = entry.alert.evidence
            if entry.kind != "flood" or start >= entry.last_active:
                continue
            since_s = entry.alert.opened_at.timestamp() - evidence.window_s
            answered = probed(evidence.victims, self._inventory, since_s)
            entry.alert = entry.alert.model_copy(
                update={"evidence": evidence.model_copy(update=answered)}
            )

    def _count_in(
        self, finding: Finding, limits: Limits, seen: Observed
    ) -> Iterator[Publication | Tombstone]:
        """Count a subject that finds no place in the rule's summary alert."""
        self.overflow_total += 1
        overflow = self._overflow.setdefault(seen.rule, Overflow())
        summary = overflow.count(finding, limits.quiet_s, seen)
        if summary is None:
            return
        key = slug(f"{seen.rule}-{OTHERS}")
        entry = self._open.get(key)
        if entry is None:
            yield from self._raise(key, summary, limits, seen)
        else:
            yield from self._keep(entry, summary, limits, seen)

    # --- time -----------------------------------------------------------------------------------

    def saw_window(self, interface: str, end: datetime) -> None:
        """Note that an interface is being watched."""
        self._windows[interface] = end

    def advance(self, to: datetime) -> Iterator[Publication | Tombstone]:
        """Move the watermark: refresh what is open, close what is quiet or no longer watched."""
        if self.watermark is not None and to < self.watermark:
            return
        self.watermark = to
        for key, entry in list(self._open.items()):
            entry.resume(to)
            reason = self._ends(entry, to)
            if reason is not None:
                # a window may end long after: a file's seconds without frames have none
                quiet = entry.last_active + timedelta(seconds=entry.quiet_s)
                yield from self._close(key, reason, min(to, quiet) if reason == "quiet" else to)
            elif to - entry.published >= timedelta(seconds=REFRESH_S):
                entry.published = to
                entry.alert = entry.alert.model_copy(update={"at": to})
                yield Publication(key, entry.alert)
        self._triggers.expire(to.timestamp())

    def _ends(self, entry: OpenAlert, to: datetime) -> CloseReason | None:
        if entry.lives_by_windows and entry.interfaces:
            seen = [self._windows[one] for one in entry.interfaces if one in self._windows]
            if to - max([*seen, entry.last_active]) > timedelta(seconds=SENSOR_S):
                return "sensor-lost"
        if to - entry.last_active >= timedelta(seconds=entry.quiet_s):
            return "quiet"
        return None

    def _close(
        self, key: str, reason: CloseReason, at: datetime
    ) -> Iterator[Publication | Tombstone]:
        entry = self._open.pop(key)
        alert = entry.alert.model_copy(
            update={"state": "closed", "at": at, "closed_at": at, "close_reason": reason}
        )
        self._triggers.forget(key)
        yield Publication(key, alert)
        yield from self._add_closed(alert, entry.quiet_s)

    def _add_closed(self, alert: Alert, quiet_s: float) -> Iterator[Tombstone]:
        for key in self._closed.add(alert, quiet_s):
            yield Tombstone(key, Alert)

    # --- from outside ---------------------------------------------------------------------------

    def lose_sensor(self) -> Iterator[Publication | Tombstone]:
        """Close what windows were watching: nobody looks any more."""
        for key, entry in list(self._open.items()):
            if entry.lives_by_windows and entry.interfaces:
                at = max(entry.last_active, self.watermark or entry.last_active)
                yield from self._close(key, "sensor-lost", at)
        self._windows.clear()
        self._triggers.clear()

    def step_clock(self, by: timedelta) -> None:
        """Move what is open along with a clock that was set: the cause did not end by it."""
        self.watermark = None
        self._windows = {name: end + by for name, end in self._windows.items()}
        self.silences.step_clock(by)
        self._triggers.clear()
        for entry in self._open.values():
            entry.step_clock(by)

    def silence(self, key: str, until: datetime, at: datetime) -> Iterator[Publication | Tombstone]:
        """Close an alert and keep it shut."""
        self.silences.add(key, until)
        if key in self._open:
            yield from self._close(key, "silenced", at)

    def acknowledge(self, key: str) -> Iterator[Publication]:
        """Mark an open alert as seen by a person.

        Raises:
            KeyError: no open alert has this key.

        """
        entry = self._open[key]
        entry.alert = entry.alert.model_copy(update={"acknowledged": True})
        yield Publication(key, entry.alert)

    def end_rule(
        self, rule: str, at: datetime, reason: CloseReason, mac: str | None = None
    ) -> Iterator[Publication | Tombstone]:
        """Close everything of a rule (of one device) that was switched off or sees no more."""
        for key, entry in list(self._open.items()):
            whose = whose_limits(entry.alert.evidence)
            if entry.alert.rule == rule and mac in (None, whose):
                yield from self._close(key, reason, at)

    def restore(self, alert: Alert, kind: str, quiet_s: float) -> Iterator[Tombstone]:
        """Take back a retained alert of the process before us.

        An open one goes on: it is kept by new findings, and closes after its quiet time.
        """
        if alert.key in self._open or alert.key in self._closed:
            return
        if alert.state == "closed":
            yield from self._add_closed(alert, quiet_s)
            return
        sources, involved = involved_in(alert)
        interface = alert.interface
        self._open[alert.key] = OpenAlert(
            alert, kind, quiet_s, alert.at, alert.at, involved, sources, interface is not None,
            alert.at, ports_of(interface) if interface else set(), restored=True,
        )  # fmt: skip
