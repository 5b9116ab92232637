"""The sensor itself: it sees nothing, it loses frames, a part of it is not running.

These rules read what the detector concludes of its own watch. Only what was there and has gone is
reported: what never came is a matter of the set-up, which the page and ``doctor`` speak of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import slug
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.conclusion import Facts


def _blind(view: Facts, limits: LimitsOf) -> Iterator[Finding]:
    """Find interfaces whose windows have stopped while capture runs."""
    if not view.online.get("capture"):
        return
    for name, wire in view.wires.items():
        silent_s = view.now_s - wire.arrived_s
        why = view.away.get(name) if wire.has_link else "it has no link"
        yield Finding(
            subject=f"wire-{slug(name)}",
            value=silent_s,
            threshold=limits(None).floor,
            text=f"nothing is seen on {name}" + (f": {why}" if why else ""),
            unit="s without a window",
            severity="critical",
            decisive=True,
        )


def _loses(view: Facts, limits: LimitsOf) -> Iterator[Finding]:
    """Find interfaces of whose frames too many are lost."""
    for name, wire in view.wires.items():
        yield Finding(
            subject=f"wire-{slug(name)}",
            value=100 * wire.lost_ratio,
            threshold=limits(None).floor,
            text=f"the sensor loses frames of {name}",
            unit="% of frames",
            severity="warning",
            decisive=True,
        )


def _missing(view: Facts, limits: LimitsOf) -> Iterator[Finding]:
    """Find services that were here and are not."""
    for service, since_s in view.gone_s.items():
        yield Finding(
            subject=slug(service),
            value=view.now_s - since_s,
            threshold=limits(None).floor,
            text=f"the {service} is not running",
            unit="s away",
            severity="critical" if service == "capture" else "warning",
            decisive=True,
        )


RULES: Final[tuple[Rule[Facts], ...]] = (
    Rule(
        name="sensor-blind", title="sensor blind", unit="s", judge=_blind, kind="notice",
        defaults=Limits(floor=10.0, quiet_s=3.0),
    ),
    Rule(
        name="sensor-loses", title="sensor loses frames", unit="%", judge=_loses, kind="notice",
        defaults=Limits(floor=1.0, quiet_s=30.0),
    ),
    Rule(
        name="service-missing", title="service missing", unit="s", judge=_missing, kind="notice",
        defaults=Limits(floor=10.0, quiet_s=3.0),
    ),
)  # fmt: skip
