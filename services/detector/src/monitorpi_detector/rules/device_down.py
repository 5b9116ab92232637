"""Device down: a target that was up answers no more. The prober's own hysteresis decides when.

Private (randomised) MACs are phones and laptops that come and go: they are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import slug
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.view import RoundView

_PRIVATE: Final = 0x02


def judge(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
    """Find targets that are down and were up before."""
    for target in view.probe.targets:
        if target.state != "down" or target.address not in view.was_up:
            continue
        if target.mac is not None and int(target.mac[:2], 16) & _PRIVATE:
            continue
        yield Finding(
            subject=slug(target.address),
            value=1.0,
            threshold=limits(target.mac).floor,
            text=f"{target.name} ({target.address}) is down",
            unit="devices",
            victims=(Peer(mac=target.mac),),
            about=frozenset({target.address}),
            severity="warning",
            decisive=True,
        )


RULE: Final = Rule(
    name="device-down", title="device down", unit="devices",
    defaults=Limits(floor=1.0, quiet_s=30.0), judge=judge, kind="effect",
)  # fmt: skip
