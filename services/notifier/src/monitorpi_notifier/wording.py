"""The words of a message: what, who, since when, how bad, what to do. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import SEVERITIES
from monitorpi_notifier.advice import advice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from monitorpi_common.messages import Alert, Evidence, Peer
    from monitorpi_notifier.directory import Directory
    from monitorpi_notifier.items import NoticeChange

_COUNTED: Final = frozenset({"devices", "targets", "uplinks", "servers", "routers"})
"""Units of which a number says nothing."""
_MOST_LINES: Final = 12
_MOST_NAMES: Final = 8
_WHY: Final = {
    "quiet": "its cause is over",
    "sensor-lost": "the sensor was lost: nobody knows",
    "silenced": "silenced by a person",
    "replaced": "another alert says more",
    "usual": "it has lasted so long that it is usual now",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
DOUBT: Final = "(You may have this already: the notifier was stopped while it sent it.)"


class Wording:
    """Words for one reader: his time zone, and where his page is."""

    def __init__(self, directory: Directory, zone: tzinfo, page: str | None) -> None:
        self._directory = directory
        self._zone = zone
        self._page = page

    def title(self, alert: Alert, mark: str) -> str:
        """Return the subject line: how severe, what, who."""
        card = self._directory.subject(alert)
        who = f": {card.short}" if card else ""
        return f"{mark} {advice(alert.rule).title}{who}"

    def opened(self, alert: Alert, effects: Sequence[str] = ()) -> str:
        """Return the text for an alert that is open."""
        card = self._directory.subject(alert)
        lines = [
            _sentence(alert.summary),
            "",
            f"Device: {card.long}" if card else None,
            self._peers("Victim", alert.evidence.victims, alert, card.mac if card else None),
            f"Since: {self.time(alert.opened_at)}",
            _how_bad(alert.evidence),
            f"With it: {_names(effects)}" if effects else None,
            f"What to do: {advice(alert.rule).todo}",
            self._link(),
        ]
        return "\n".join(line for line in lines if line is not None)

    def closed(self, alert: Alert, effects: Sequence[str] = ()) -> str:
        """Return the text for an alert that is over."""
        end = alert.closed_at or alert.at
        card = self._directory.subject(alert)
        lasted = duration((end - alert.opened_at).total_seconds())
        why = _WHY.get(alert.close_reason or "", "")
        lines = [
            f"It lasted {lasted}: {self.time(alert.opened_at)} to {self.time(end)}"
            + (f"; {why}." if why else "."),
            _sentence(alert.summary),
            "",
            f"Device: {card.long}" if card else None,
            self._peers("From", alert.evidence.sources, alert, card.mac if card else None),
            _peak(alert.evidence),
            f"With it: {_names(effects)}" if effects else None,
            self._link(),
        ]
        return "\n".join(line for line in lines if line is not None)

    def line(self, alert: Alert) -> str:
        """Return an alert in one line."""
        return _sentence(alert.summary)

    def _peers(self, word: str, peers: Iterable[Peer], alert: Alert, but: str | None) -> str | None:
        """Name those an alert is about besides its subject."""
        macs = dict.fromkeys(peer.mac for peer in peers if peer.mac and peer.mac != but)
        if not macs or alert.rule in ("group-down", "group-degraded"):
            return None
        names = [self._directory.device(mac).long for mac in macs]
        return f"{word}: {'; '.join(names[:3])}" + (
            f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004
        )

    def _link(self) -> str | None:
        return f"Page: {self._page}" if self._page else None

    def time(self, at: datetime | float) -> str:
        """Write a moment in local time: ``Mon 30 Nov 03:12:05``."""
        moment = datetime.fromtimestamp(at, UTC) if isinstance(at, float) else at
        return f"{moment.astimezone(self._zone):%a %d %b %H:%M:%S}"

    def summary(
        self, changes: Sequence[NoticeChange], now_s: float, late_s: float
    ) -> tuple[str, str]:
        """Return subject line and text of one message for several changes.

        Args:
            changes: what it tells, in the order it happened.
            now_s: the wall clock.
            late_s: age from which it has to be said why it comes late.

        """
        matters = _matters(changes)
        is_open = [one for one in matters if one[-1].what not in ("closed", "digest", "test")]
        worst = max((one[-1] for one in matters), key=lambda one: SEVERITIES.index(one.severity))
        head = f"{len(matters)} alerts" if len(matters) > 1 else worst.title
        over = len(matters) - len(is_open)
        title = f"{worst.severity.upper()} {head}: {len(is_open)} open, {over} over"
        lines = []
        first, last = changes[0].at_s, changes[-1].at_s
        if now_s - first > late_s and not all(change.held for change in changes):
            lines.append("This comes late: until now it could not be sent.")
        lines += [f"From {self.time(first)} to {self.time(last)}.", ""]
        shown = sorted(matters, key=_order)
        lines += [self._matter(one) for one in shown[:_MOST_LINES]]
        if rest := shown[_MOST_LINES:]:
            lines.append(f"and {len(rest)} more: {_by_rule(rest)}")
        lines += ["", *([DOUBT] if any(c.doubtful for c in changes) else []), self._link() or ""]
        return title, "\n".join(lines).strip()

    def _matter(self, changes: Sequence[NoticeChange]) -> str:
        first, last = changes[0], changes[-1]
        if last.what == "closed":
            state = f"over after {duration(last.at_s - last.opened_s)}"
        else:
            state = f"open since {self.time(last.opened_s)}"
        return f"- {first.severity.upper()} {last.line} ({state})"


def _order(changes: Sequence[NoticeChange]) -> tuple[bool, int, float]:
    """Put open ones first, then the worst, then the first."""
    last = changes[-1]
    return last.what == "closed", -SEVERITIES.index(last.severity), changes[0].at_s


def _matters(changes: Sequence[NoticeChange]) -> list[list[NoticeChange]]:
    """Put together what belongs to one alert."""
    found: dict[str, list[NoticeChange]] = {}
    for change in changes:
        found.setdefault(change.alert_id, []).append(change)
    return list(found.values())


def _by_rule(matters: Iterable[Sequence[NoticeChange]]) -> str:
    counts: dict[str, int] = {}
    for one in matters:
        counts[one[-1].rule] = counts.get(one[-1].rule, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown = [f"{count} {advice(rule).title}" for rule, count in ordered[:_MOST_NAMES]]
    return ", ".join(shown) + (", others" if len(ordered) > _MOST_NAMES else "")


def duration(seconds: float) -> str:
    """Write a length of time in its two largest units: ``4 min 12 s``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def quantity(value: float, unit: str) -> str:
    """Write a measured value: ``1,012 frames/s``, ``20 % loss``."""
    if unit == "loss ratio":
        return f"{100 * value:.0f} % loss"
    number = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"  # noqa: PLR2004
    return f"{number} {unit}"


def _how_bad(evidence: Evidence) -> str | None:
    if evidence.unit in _COUNTED:
        return None
    usual = (
        f", usual here is {quantity(evidence.baseline, evidence.unit)}" if evidence.baseline else ""
    )
    return (
        f"How bad: {quantity(evidence.value, evidence.unit)}; "
        f"it is an alert from {quantity(evidence.threshold, evidence.unit)}{usual}"
    )


def _peak(evidence: Evidence) -> str | None:
    if evidence.unit in _COUNTED:
        return None
    return f"Peak: {quantity(evidence.peak, evidence.unit)}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
