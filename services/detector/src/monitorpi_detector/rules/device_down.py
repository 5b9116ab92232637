"""Device down: a target that was up answers no more. The prober's own hysteresis decides when.

Who is missed is decided by evidence, not by the look of a MAC address: what the operator named,
what was there for most of the time watched or for a day. What comes and goes is missed when it
stays away for longer than it ever did, and then it is a note: nobody is called for a laptop at
the weekend. So is the first day of watching, in which nobody's nights are known, and an absence
not twice as long as one it came back from by itself. What an outage took along is reported by the
outage alone, and a device whose frames are still seen is not down: it answers no pings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import slug
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import ProbeResult, Severity
    from monitorpi_detector.views.rounds import RoundView

_A_NIGHT: Final = 2
"""Alerts on a target within twelve hours, unless the operator named it: then each is reported."""
_KNOWN_S: Final = 3600.0
"""Seconds there before a device that nobody named is more than a note when it goes."""
_USUAL_AFTER_S: Final = 3600.0


def _finding(
    view: RoundView, limits: LimitsOf, target: ProbeResult, text: str, severity: Severity
) -> Finding:
    return Finding(
        subject=slug(target.address),
        value=1.0,
        threshold=limits(target.mac).floor,
        text=f"{target.name} ({target.address}) {text}",
        unit="devices",
        victims=(Peer(mac=target.mac),),
        about=frozenset({target.address}),
        severity=severity,
        decisive=True,
        opens=not view.may_start(target),
        story=view.story(target),
        a_night=None if view.is_named(target) else _A_NIGHT,
    )


def judge(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
    """Find targets that are down, were up before and are missed."""
    for target in view.gone():
        if view.frames_since(target) is None:
            severity: Severity = "warning" if view.calls(target, _KNOWN_S) else "info"
            yield _finding(view, limits, target, "is down", severity)


def judge_pings(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
    """Find targets that are there and answer no pings any more."""
    for target in view.gone():
        witness = view.frames_since(target)
        if witness is not None:
            yield _finding(view, limits, target, f"answers no pings, but {witness}", "info")


DOWN: Final = Rule(
    name="device-down", title="device down", unit="devices",
    defaults=Limits(floor=1.0, quiet_s=30.0), judge=judge, kind="effect",
)  # fmt: skip
NO_PINGS: Final = Rule(
    name="answers-no-pings", title="answers no pings", unit="devices",
    defaults=Limits(floor=1.0, quiet_s=30.0, usual_after_s=_USUAL_AFTER_S), judge=judge_pings,
    kind="effect",
)  # fmt: skip
