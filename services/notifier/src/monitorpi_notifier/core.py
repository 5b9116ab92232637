"""The notifier's core: alerts become changes, and each change is sent to whom it concerns.

Theory of operation. An alert is published again and again; what was reported of it is remembered
on disk together with the change that reports it, so that each change is reported once, whatever
dies. Who is notified is asked anew at each refresh of an open alert: when maintenance or somebody's
hours off end, what still lasts is reported then.

What may be a side effect (a device that is down, a slow link) waits for :data:`HOLD_S`: the
detector names its cause within ten seconds, and then it is reported with that. One that outlasts
its cause is reported later by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import SEVERITIES, Alert, NotifyTest, Publication, Sent, SentAlert
from monitorpi_common.service import (
    CommandReceived,
    CommandRefusedError,
    Presence,
    Received,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.watch import Observer
from monitorpi_notifier.blindness import Blindness
from monitorpi_notifier.directory import Directory, macs_of
from monitorpi_notifier.folding import LONGEST_S
from monitorpi_notifier.items import Attempt, NoticeChange, ReportedAlert
from monitorpi_notifier.upkeep import ALIVE_EVERY_S, Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic import JsonValue

    from monitorpi_common.messages import Severity
    from monitorpi_notifier.digest import Digest
    from monitorpi_notifier.items import ChangeStore, Happening
    from monitorpi_notifier.planned import Plan
    from monitorpi_notifier.settings import NotifierSettings
    from monitorpi_notifier.wording import Wording

HOLD_S: Final = 12.0
"""The detector links a side effect to a cause that opens up to ten seconds after it."""
AFTER_S: Final = LONGEST_S  # after a power failure a NAS takes five minutes to start
"""A side effect that lasts so much longer than its cause is reported by itself."""
MOST_KNOWN: Final = 4_096
_EFFECTS: Final = frozenset(
    {"device-down", "answers-no-pings", "high-loss", "high-delay", "high-jitter"}
)
_REPEATED: Final = ("surge-",)


@dataclass(slots=True)
class _Open:
    """What has to be known of an alert while it is open."""

    alert: Alert
    effects: dict[str, str] = field(default_factory=dict)
    """By key: what it carries with it, by name."""
    due_s: dict[str, float] = field(default_factory=dict)
    """When each destination is told of it, by the boot-time clock."""

    def waiting(self, boot_s: float) -> dict[str, float]:
        """Return whom it waits for, and for how many seconds."""
        return {name: at_s - boot_s for name, at_s in self.due_s.items() if at_s > boot_s}


@dataclass(slots=True)
class NotifierCore:
    """From alerts to changes in the outbox."""

    settings: NotifierSettings
    store: ChangeStore
    wording: Wording
    directory: Directory
    plan: Plan
    digest: Digest
    post_soon: Callable[[], None] = lambda: None
    state: Callable[[], dict[str, JsonValue]] = dict
    alive_before_s: float | None = None
    """When an earlier process was last there; None: there was none."""
    _reported: dict[str, ReportedAlert] = field(default_factory=dict)
    _open: dict[str, _Open] = field(default_factory=dict)
    _observer: Observer = field(default_factory=lambda: Observer(reads_windows=False))
    _blindness: Blindness = field(default_factory=Blindness)
    _at_s: float = 0.0
    _boot_s: float = 0.0
    _upkeep: Upkeep = field(init=False)
    _refused_total: int = 0
    _folded_total: int = 0

    def __post_init__(self) -> None:
        """Look after what waits, from now on."""
        self._upkeep = Upkeep(self.store, self.plan, self.settings.destinations)

    def recall(self, reported: Iterable[ReportedAlert]) -> None:
        """Go on where an earlier process stood."""
        self._reported = {one.key: one for one in reported}

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication]:
        """Take one item."""
        match item:
            case Received(topic, message):
                self.directory.receive(topic.id, message)
                self.digest.receive(message)
                at = datetime.fromtimestamp(self._at_s, UTC)
                self._observer.receive(topic, message, at, retained=item.retained)
                if isinstance(message, Alert):
                    self._take(message)
            case TombstoneReceived(topic):
                self.directory.forget(topic.id)
            case Presence(topic, online, taken_back):
                if taken_back:
                    self._observer.gone(topic)
                else:
                    self._observer.presence(topic, online=online)
            case Tick() as tick:
                self._pass(tick)
            case Attempt():
                yield from self._attempted(item)
            case CommandReceived(_, NotifyTest(destination=name)):
                self._test(name)
            case _:
                return

    def close(self) -> Iterable[Publication]:
        """Remember until when we were there."""
        self._upkeep.close()
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell of each destination and of what waits."""
        return {
            "unwritten_total": self._refused_total,
            "folded_total": self._folded_total,
            "devices_known": len(self.directory),
            **self.state(),
        }

    # --- alerts -----------------------------------------------------------------------------

    def _take(self, alert: Alert) -> None:
        if alert.state == "open":
            self._opened(alert)
        else:
            self._closed(alert)

    def _opened(self, alert: Alert) -> None:
        known = self._open.get(alert.key)
        if known is None or known.alert.id != alert.id:
            if len(self._open) >= MOST_KNOWN:
                del self._open[next(iter(self._open))]
            known = self._open[alert.key] = _Open(alert)
        known.alert = alert
        cause = self._cause_of(alert)
        if cause is not None:
            self._fold(alert, cause)
            return
        self._report_open(alert)

    def _report_open(self, alert: Alert, *, hold_s: float | None = None) -> None:
        """Tell those who have not been reported, or not that it is so bad."""
        reported = self._known(alert)
        changes = []
        for name in self.settings.destinations:
            if not self.plan.concerns(name, alert.rule, alert.severity, macs_of(alert), self._now):
                continue
            if name not in reported.destinations:
                changes.append(self._change(name, alert, "opened", hold_s))
            elif SEVERITIES.index(alert.severity) > SEVERITIES.index(reported.severity):
                changes.append(self._raised(name, alert))
        if changes or alert.key not in self._reported:
            due_s = {one.destination: self._boot_s + one.due_s - self._at_s for one in changes}
            self._open[alert.key].due_s |= due_s
            destinations = reported.destinations | due_s.keys()
            self._keep(changes, self._record(alert, destinations, reported.severity))

    def _known(self, alert: Alert) -> ReportedAlert:
        reported = self._reported.get(alert.key)
        if reported is None or reported.alert_id != alert.id or reported.state == "closed":
            at_s = alert.opened_at.timestamp()
            return ReportedAlert(alert.key, alert.id, "open", alert.severity, at_s)
        return reported

    @staticmethod
    def _record(alert: Alert, destinations: frozenset[str], severity: Severity) -> ReportedAlert:
        worst = max(severity, alert.severity, key=SEVERITIES.index)
        return ReportedAlert(
            alert.key, alert.id, alert.state, worst, alert.at.timestamp(), frozenset(destinations)
        )

    def _raised(self, name: str, alert: Alert) -> NoticeChange:
        """Tell that it got worse; where the first word still waits, tell that instead."""
        if name in self._open[alert.key].waiting(self._boot_s):
            self.store.withdraw(alert.key, [name])
            return self._change(name, alert, "opened", 0.0)
        return self._change(name, alert, "raised", 0.0)

    def _closed(self, alert: Alert) -> None:
        known = self._open.pop(alert.key, None)
        reported = self._reported.get(alert.key)
        if reported is not None and (reported.alert_id, reported.state) == (alert.id, "closed"):
            return
        is_reported = reported is not None and reported.alert_id == alert.id
        if reported is not None and is_reported:
            names = [name for name in self.settings.destinations if name in reported.destinations]
        elif self._was_missed(alert):
            names = [
                name for name in self.settings.destinations
                if self.plan.concerns(
                    name, alert.rule, alert.severity, macs_of(alert), alert.opened_at
                )
            ]  # fmt: skip
        else:
            names = []
        if known is not None and (waiting := known.waiting(self._boot_s)):
            # it came and went before these were notified
            self.store.withdraw(alert.key, waiting)
            names = [name for name in names if name not in waiting
                     or self.plan.is_quiet(name, alert.severity, self._now)]  # fmt: skip
        changes = [
            self._change(name, alert, "closed", 0.0, tuple(known.effects.values()) if known else ())
            for name in names
            if self.settings.destinations[name].closes or not is_reported
        ]
        self._keep(changes, self._record(alert, frozenset(names), alert.severity))
        if known is not None:
            self._release(known)

    def _was_missed(self, alert: Alert) -> bool:
        """Return whether an alert opened and closed while no notifier was there."""
        return self.alive_before_s is not None and (
            alert.opened_at.timestamp() > self.alive_before_s - ALIVE_EVERY_S
        )

    # --- causes -----------------------------------------------------------------------------

    def _cause_of(self, alert: Alert) -> str | None:
        """Return the key of the open alert that this one is reported with."""
        if alert.caused_by is not None and alert.caused_by in self._open:
            return alert.caused_by
        if alert.rule not in _EFFECTS:
            return None
        names = self._names_of(alert)
        for parent, behind in self.settings.behind.items():
            if names.isdisjoint(behind):
                continue
            for key, one in self._open.items():
                is_down = one.alert.rule == "device-down" and key != alert.key
                if is_down and parent in self._names_of(one.alert):
                    return key
        return None

    def _names_of(self, alert: Alert) -> frozenset[str]:
        """Return every MAC and IP address that stands for whom an alert is about."""
        card = self.directory.subject(alert)
        addresses = frozenset(card.addresses) if card else frozenset()
        return addresses | macs_of(alert)

    def _fold(self, alert: Alert, cause: str) -> None:
        """Tell an alert with its cause; what was not sent of it is not sent."""
        by, known = self._open[cause], self._open[alert.key]
        if alert.key in by.effects:
            return
        card = self.directory.subject(alert)
        by.effects[alert.key] = card.short if card else alert.subject
        self._folded_total += 1
        reported = self._known(alert)
        if waiting := known.waiting(self._boot_s):
            self.store.withdraw(alert.key, waiting)
            told = reported.destinations - waiting.keys()
            self._keep([], replace(reported, destinations=told))
        if waiting := by.waiting(self._boot_s):  # while it waits itself it can name what it carries
            self.store.withdraw(cause, waiting)
            self._keep(
                [
                    self._change(name, by.alert, "opened", left_s, tuple(by.effects.values()))
                    for name, left_s in waiting.items()
                ],
                self._known(by.alert),
            )

    def _release(self, cause: _Open) -> None:
        """Let what outlasts its cause be reported by itself, a while later."""
        for key in cause.effects:
            effect = self._open.get(key)
            if effect is not None and not self._known(effect.alert).destinations:
                self._report_open(effect.alert, hold_s=AFTER_S)

    # --- changes ----------------------------------------------------------------------------

    def _change(
        self,
        destination: str,
        alert: Alert,
        what: Happening,
        hold_s: float | None,
        effects: tuple[str, ...] = (),
    ) -> NoticeChange:
        """Word one change, for when it is to be sent."""
        hold = _hold_s(alert) if hold_s is None else hold_s
        quiet_s = self.plan.quiet_until(destination, alert.severity, self._now)
        mark = {"opened": alert.severity.upper(), "raised": f"NOW {alert.severity.upper()}"}
        at = alert.closed_at or alert.at if what == "closed" else alert.opened_at
        text = self.wording.closed if what == "closed" else self.wording.opened
        return NoticeChange(
            destination, what, alert.key, alert.id, alert.rule, alert.severity,
            at_s=at.timestamp(), opened_s=alert.opened_at.timestamp(),
            due_s=max(self._at_s + hold, quiet_s or 0.0),
            title=self.wording.title(alert, mark.get(what, "OVER")),
            body=text(alert, effects), line=self.wording.line(alert),
            held=quiet_s is not None,
        )  # fmt: skip

    def _keep(self, changes: list[NoticeChange], reported: ReportedAlert) -> None:
        """Write changes and what they make known; what a full disk refuses is told at a refresh."""
        if not self.store.add(changes, [reported]):
            self._refused_total += 1
            return
        self._reported.pop(reported.key, None)
        self._reported[reported.key] = reported
        if len(self._reported) > MOST_KNOWN:
            del self._reported[next(iter(self._reported))]
        if any(change.due_s <= self._at_s for change in changes):
            self.post_soon()

    # --- time -------------------------------------------------------------------------------

    @property
    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._at_s, UTC)

    def _pass(self, tick: Tick) -> None:
        self._at_s, self._boot_s = tick.at.timestamp(), tick.boot_s
        if step_s := self._upkeep.tick(tick):
            self.digest.clock_set(tick.at, step_s)
        self._observer.tick(tick.boot_s, tick.broker)
        level, reasons = self._observer.state()
        alert = self._blindness.judge(level, reasons, tick.at, tick.boot_s)
        if alert is not None:
            self._take(alert)
        for title, body in self.digest.due(tick.at):
            self._add_plain("digest", title, body, self._digest_readers())

    def _digest_readers(self) -> list[str]:
        return [name for name, one in self.settings.destinations.items() if one.digest]

    def _test(self, name: str | None) -> None:
        names = list(self.settings.destinations) if name is None else [name]
        if unknown := [one for one in names if one not in self.settings.destinations]:
            known = ", ".join(self.settings.destinations)
            raise CommandRefusedError(f"no destination {unknown[0]!r}; there are: {known}")
        text = "This is a test: alerts reach you here.\nNothing is wrong."
        if not self._add_plain("test", "MonitorPi test", text, names):
            raise CommandRefusedError("the outbox cannot be written: is the disk full?")

    def _add_plain(self, what: Happening, title: str, body: str, names: Iterable[str]) -> bool:
        """Send a message that is of no alert."""
        changes = [
            NoticeChange(name, what, what, what, what, "info", self._at_s, self._at_s, self._at_s,
                   title, body, title)
            for name in names
        ]  # fmt: skip
        is_kept = self.store.add(changes, [])
        self.post_soon()
        return is_kept

    # --- deliveries -------------------------------------------------------------------------

    def _attempted(self, attempt: Attempt) -> Iterator[Publication]:
        """Publish what became of a message."""
        letter = attempt.letter
        newest = {change.alert_id: change for change in letter.changes}
        sent = Sent(
            at=datetime.fromtimestamp(attempt.at_s, UTC), destination=letter.destination,
            what=letter.what, ok=attempt.is_delivered, tries=attempt.tries,
            title=letter.title[:255], error=attempt.error,
            changes=len(letter.changes),
            waited_s=round(attempt.waited_s, 3),
            alerts=[
                SentAlert(key=one.key, id=one.alert_id, what=one.what)
                for one in list(newest.values())[:32]
                if one.what not in ("digest", "test")
            ],
        )  # fmt: skip
        yield Publication(letter.destination, sent)


def _hold_s(alert: Alert) -> float:
    """Return how long a new alert waits for a cause."""
    return HOLD_S if alert.rule in _EFFECTS or alert.rule.startswith(_REPEATED) else 0.0
