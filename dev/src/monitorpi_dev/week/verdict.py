"""What an owner would say of the week's alerts. Pure.

What counts as noise, decided once for all:

- An alert of severity ``warning`` or ``critical`` calls somebody to the page. It is noise unless it
  comes from an incident or from one of the events an owner wants to hear of.
- An incident is reported when one of its rules names one of its subjects within its time, and calls
  (above ``info``). Up to
  :data:`BESIDE` more alerts may tell of the same incident in other words; what is more is noise.
- An event (the router reboots, the power fails, the uplink is away, a guest comes, the owner's own
  scan) may be reported once. Each further alert of it is noise.
- An alert that names its cause (``caused_by``) is carried by that one and calls nobody.
- ``info`` calls nobody: it is a line on the page. More than :data:`NOTICES_A_DAY` of those a day
  bury the page: each beyond counts as noise.
- An alert that opens again is reported again, and one that stays open for a day is a reproach for
  each day: both count each time, unless an incident is behind it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitorpi_dev.week.stack import PublishedAlert
    from monitorpi_dev.week.truth import Fact, Truth

NOISE_A_WEEK: Final = 3
"""What an owner puts up with."""
BESIDE: Final = 2
CARRIED: Final = "carried"
NOTICES_A_DAY: Final = 10
_DAY_S: Final = 86400.0
_ROUNDED_S: Final = 0.01
"""Alerts have milliseconds."""


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One alert with its reason."""

    at: float
    rule: str
    subject: str
    severity: str
    seconds: float | None
    """How long it was open; None: it still is."""
    openings: int
    verdict: str
    """``told``, ``beside``, ``once``, ``carried``, ``notice`` or ``noise``."""
    reason: str
    noise: int
    summary: str


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """One incident, and how soon it was reported."""

    name: str
    at: float
    rule: str | None
    subject: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The week, judged."""

    lines: tuple[VerdictLine, ...]
    incidents: tuple[IncidentReport, ...]
    days: float

    @property
    def noise(self) -> int:
        """Alerts an owner would call noise."""
        return sum(line.noise for line in self.lines)

    @property
    def noise_by_rule(self) -> Mapping[str, int]:
        """The same by rule."""
        counts: Counter[str] = Counter()
        for line in self.lines:
            counts[line.rule] += line.noise
        return {rule: count for rule, count in counts.most_common() if count}

    @property
    def missed(self) -> list[str]:
        """The incidents nobody was notified of in time."""
        return [one.name for one in self.incidents if one.rule is None]

    @property
    def is_good(self) -> bool:
        """Every incident was reported, and hardly any noise."""
        return not self.missed and self.noise <= NOISE_A_WEEK


def judge(alerts: Iterable[PublishedAlert], truth: Truth, begins: float, ends: float) -> Verdict:
    """Find the reason for each alert, and each incident's alert."""
    reported = sorted(alerts, key=lambda one: one.first.opened_at)
    incidents = tuple(_report_of(fact, reported) for fact in truth.facts if fact.kind == "incident")
    notices: Counter[int] = Counter()
    used: Counter[int] = Counter()
    lines = tuple(_line(one, truth, begins, ends, notices, used) for one in reported)
    return Verdict(lines, incidents, (ends - begins) / _DAY_S)


def _report_of(fact: Fact, reported: list[PublishedAlert]) -> IncidentReport:
    for one in reported:
        alert, at = one.first, one.first.opened_at.timestamp()
        late = at - fact.since
        right = alert.rule in fact.rules and one.last.severity != "info"
        if right and -_ROUNDED_S <= late <= fact.within_s and fact.touches(alert.subject, at):
            after_s = max(0.0, round(late, 1))
            return IncidentReport(fact.name, fact.since, alert.rule, alert.subject, after_s)
    return IncidentReport(fact.name, fact.since, None, None, None)


def _line(
    reported: PublishedAlert,
    truth: Truth,
    begins: float,
    ends: float,
    notices: Counter[int],
    used: Counter[int],
) -> VerdictLine:
    alert, at = reported.last, reported.first.opened_at.timestamp()
    fact = truth.behind(alert.subject, at)
    closed = alert.closed_at.timestamp() if alert.closed_at else None
    open_s = (closed or ends) - at
    times = reported.openings + int(open_s // _DAY_S)
    verdict, noise = "noise", times
    if alert.caused_by is not None:
        verdict, noise = CARRIED, 0
    elif fact is not None and fact.kind == "incident":
        used[id(fact)] += 1
        right = alert.rule in fact.rules
        verdict = "told" if right else "beside"
        noise = max(0, min(1, used[id(fact)] - 1 - BESIDE))
    elif alert.severity == "info":
        day = int((at - begins) // _DAY_S)
        notices[day] += 1
        verdict, noise = "notice", int(notices[day] > NOTICES_A_DAY)
    elif fact is not None and fact.kind == "once":
        used[id(fact)] += 1
        first = used[id(fact)] == 1
        verdict, noise = "once" if first else "noise", times - first
    if noise:
        verdict = "noise"
    return VerdictLine(
        at, alert.rule, alert.subject, alert.severity, None if closed is None else round(open_s, 1),
        reported.openings, verdict, "nothing happened" if fact is None else fact.name, noise,
        alert.summary,
    )  # fmt: skip
