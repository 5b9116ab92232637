"""``monitorpi evaluate --week``: the alerts of a simulated week, each with its reason."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_dev.week import incidents
from monitorpi_dev.week.run import EVENTS, Week
from monitorpi_dev.week.verdict import CARRIED, NOISE_A_WEEK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_dev.week.verdict import Verdict, VerdictLine

_FULL_DAYS: Final = 7.0
_LEARNING_SHARE: Final = 0.25
"""Of a part of a week, for learning; a whole one has the day that is the default."""
_LEAST_INCIDENTS: Final = 3
_LEAST_EVENTS: Final = 2
_OK, _FAILED = 0, 1
_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0


def week(seed: int, days: float) -> Week:
    """Return a week of a home, or a part of one with its share of the incidents."""
    if days >= _FULL_DAYS:
        return Week(seed, days)
    return Week(
        seed,
        days,
        learning_s=min(1.0, days * _LEARNING_SHARE) * 24 * _HOUR_S,
        incidents=max(_LEAST_INCIDENTS, round(incidents.COUNT * days / _FULL_DAYS)),
        events=max(_LEAST_EVENTS, round(EVENTS * days / _FULL_DAYS)),
    )


def show(seed: int, days: float, *, as_json: bool) -> int:
    """Run a week and print it: 0 every incident told and hardly any noise, 1 not so."""
    verdict = week(seed, days).run()
    if as_json:
        print(json.dumps(as_dict(verdict)))
    else:
        print("\n".join(lines(verdict)))
    return _OK if verdict.is_good else _FAILED


def as_dict(verdict: Verdict) -> dict[str, object]:
    """Return everything as JSON takes it; times are seconds since 1970."""
    return {
        "alerts": [asdict(line) for line in verdict.lines],
        "incidents": [asdict(one) for one in verdict.incidents],
        "noise": verdict.noise,
        "noise_by_rule": dict(verdict.noise_by_rule),
        "missed": verdict.missed,
        "days": verdict.days,
        "good": verdict.is_good,
    }


def lines(verdict: Verdict) -> Iterator[str]:
    """Write the week for people."""
    for line in verdict.lines:
        if line.verdict != CARRIED:
            yield _alert(line)
    carried = Counter(line.rule for line in verdict.lines if line.verdict == CARRIED)
    for rule, count in carried.most_common():
        yield f"and {count} {rule} carried by one of these, their cause"
    yield ""
    for one in verdict.incidents:
        reported = (
            "MISSED"
            if one.rule is None
            else f"told after {one.seconds:g} s by {one.rule} on {one.subject}"
        )
        yield f"{_when(one.at)}  {one.name}: {reported}"
    rules = ", ".join(f"{rule} {count}" for rule, count in verdict.noise_by_rule.items())
    count = len(verdict.incidents)
    yield ""
    yield f"incidents: {count - len(verdict.missed)} of {count} told"
    yield f"noise: {verdict.noise} in {verdict.days:g} days, at most {NOISE_A_WEEK} allowed"
    if rules:
        yield f"noise by rule: {rules}"


def _alert(line: VerdictLine) -> str:
    lasted = "still open" if line.seconds is None else _lasted(line.seconds)
    again = f", opened {line.openings} times" if line.openings > 1 else ""
    return (
        f"{_when(line.at)}  {line.verdict:<7}  {line.severity:<8}  {line.rule} {line.subject}, "
        f"{lasted}{again}: {line.reason}"
    )


def _when(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%a %H:%M:%S")


def _lasted(seconds: float) -> str:
    for unit_s, unit in ((_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"
