"""High jitter: far over a fixed limit and over what is usual for this target (round-trip values).

VoIP wants at most 30 ms; Wi-Fi devices that sleep have more, which their baseline knows.
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
    """Find targets that are slower than they should be."""
    for target in view.results():
        value, own = target.jitter_ms, limits(target.mac)
        if value is None:
            continue
        usual = view.usual(target.address, "jitter_ms")
        yield Finding(
            subject=slug(target.address),
            value=value,
            threshold=max(own.floor, own.factor * (usual or 0.0)),
            text=f"{target.name} ({target.address}) has high jitter",
            unit="ms",
            baseline=usual,
            victims=(Peer(mac=target.mac),),
            about=frozenset({target.address}),
            severity="warning",
        )


RULE: Final = Rule(
    name="high-jitter", title="high jitter", unit="ms",
    defaults=Limits(floor=30.0, factor=3.0, raise_m=3, raise_n=5, quiet_s=60.0), judge=judge,
    kind="effect",
)  # fmt: skip
