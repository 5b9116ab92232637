"""High loss: a target that is up loses echo requests, round after round.

A target that answers nothing is down and told of as that. VoIP wants at most 1 %; with ten
probes a round one lost reply is 10 %, so the floor is two of ten in two of three rounds, or three
times what this target usually loses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import slug
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.view import RoundView


def judge(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
    """Find targets that lose much."""
    for target in view.results():
        if target.state == "down" or target.loss_ratio is None or target.received == 0:
            continue
        own, usual = limits(target.mac), view.usual(target.address, "loss_ratio")
        yield Finding(
            subject=slug(target.address),
            value=target.loss_ratio,
            threshold=max(own.floor, own.factor * (usual or 0.0)),
            text=f"{target.name} ({target.address}) loses packets",
            unit="loss ratio",
            baseline=usual,
            victims=(Peer(mac=target.mac),),
            about=frozenset({target.address}),
            severity="warning",
        )


RULE: Final = Rule(
    name="high-loss", title="high packet loss", unit="loss ratio",
    defaults=Limits(floor=0.2, factor=3.0, quiet_s=60.0), judge=judge, kind="effect",
)  # fmt: skip
