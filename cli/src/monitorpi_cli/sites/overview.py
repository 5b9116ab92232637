"""What is known of each site, from what a broker of several sites keeps. Pure.

A site speaks for itself: its detector says every three seconds whether anybody watches, and that
word expires after a minute. What it said last is judged by the time it was said at, since a broker
keeps it whatever became of the site; the link to the site is what the broker itself knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from monitorpi_cli.stack.centre import LINKS
from monitorpi_common.messages import Alert, Service, WatchState, message_type
from monitorpi_common.topics import Topic, TopicError, is_slug
from monitorpi_common.watch import MAX_INSTANCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

SILENT_S: Final = 30.0
"""Ten words that did not come."""
AHEAD_S: Final = 30.0
"""A site's clock that is ahead by more is told."""
MAX_SITES: Final = 10_000
MAX_ALERTS: Final = 1024

SiteLevel = Literal["watching", "partly", "blind", "silent", "unconnected"]
_ORDER: Final[tuple[SiteLevel, ...]] = ("unconnected", "silent", "blind", "partly", "watching")
"""The worst first."""
FILTERS: Final = (
    f"{LINKS}/+/link",
    "monitorpi/v1/+/+/status/+",
    f"monitorpi/v1/+/{Service.DETECTOR.value}/{WatchState.KIND}/+",
    f"monitorpi/v1/+/{Service.DETECTOR.value}/{Alert.KIND}/+",
)


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One site, as of one moment."""

    site: str
    level: SiteLevel
    age_s: float | None
    """Since it last said whether it watches; None: it has not."""
    online: int
    instances: int
    """Services that have said whether they are there, and those of them that are."""
    open_alerts: int
    critical: int
    worst: str | None
    """The newest open alert of the worst severity, in its own words."""
    reason: str | None
    """Why it does not watch, or what is wrong with the link or the clock."""


@dataclass(slots=True)
class _Site:
    linked: bool | None = None
    watch: WatchState | None = None
    online: dict[tuple[str, str], bool] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)


@dataclass(slots=True)
class SitesOverview:
    """Gathers what a broker keeps of its sites."""

    rejected: int = 0
    """Messages that are not of the contract."""
    _sites: dict[str, _Site] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes) -> None:
        """Take one message."""
        head, _, rest = topic.partition("/")
        if head == LINKS:
            site, _, kind = rest.partition("/")
            if kind != "link" or not is_slug(site):
                self.rejected += 1
            elif (known := self._of(site)) is not None:
                known.linked = payload == b"1"
            return
        try:
            self._take(Topic.parse(topic), payload)
        except (TopicError, ValueError):
            self.rejected += 1

    def _of(self, site: str) -> _Site | None:
        if site not in self._sites and len(self._sites) >= MAX_SITES:
            return None
        return self._sites.setdefault(site, _Site())

    def _take(self, topic: Topic, payload: bytes) -> None:
        known = self._of(topic.site)
        if known is None:
            return
        if topic.kind == "status":
            key = (topic.service, topic.id)
            if key in known.online or len(known.online) < MAX_INSTANCES:
                known.online[key] = payload == b"online"
            return
        kind = message_type(topic.service, topic.kind)
        if not payload:
            known.alerts.pop(topic.id, None)
        elif kind is WatchState:
            known.watch = WatchState.model_validate_json(payload)
        elif kind is Alert:
            alert = Alert.model_validate_json(payload)
            if alert.state == "closed":
                known.alerts.pop(topic.id, None)
            elif len(known.alerts) < MAX_ALERTS:
                known.alerts[topic.id] = alert

    def rows(self, now: datetime) -> list[SiteRow]:
        """Return a row per site, the worst first, then by name."""
        return in_order([self._row(name, site, now) for name, site in self._sites.items()])

    def _row(self, name: str, site: _Site, now: datetime) -> SiteRow:
        age_s = (now - site.watch.at).total_seconds() if site.watch else None
        level, reason = _level(site, age_s)
        alerts = sorted(
            site.alerts.values(), key=lambda one: (one.severity == "critical", one.opened_at)
        )
        return SiteRow(
            site=name, level=level, age_s=age_s, reason=reason,
            online=sum(site.online.values()), instances=len(site.online),
            open_alerts=len(alerts),
            critical=sum(alert.severity == "critical" for alert in alerts),
            worst=alerts[-1].summary if alerts else None,
        )  # fmt: skip


def in_order(rows: Iterable[SiteRow]) -> list[SiteRow]:
    """Return rows, those with the worst state first, then by name."""
    return sorted(rows, key=lambda row: (_ORDER.index(row.level), row.site))


def _level(site: _Site, age_s: float | None) -> tuple[SiteLevel, str | None]:
    """Return a site's state, and why it is no better."""
    if site.linked is False:
        return "unconnected", "its broker is not connected: look at its network"
    if site.watch is None or age_s is None:
        return "silent", "it has not said that it watches for a minute or more"
    if age_s > SILENT_S:
        return "silent", f"what it said is {age_s:.0f} s old: its detector is gone, or its clock"
    if age_s < -AHEAD_S:
        return site.watch.state, f"its clock is {-age_s:.0f} s ahead of this one"
    return site.watch.state, next(_reasons(site.watch), None)


def _reasons(watch: WatchState) -> Iterator[str]:
    for reason in watch.reasons:
        yield reason.text
