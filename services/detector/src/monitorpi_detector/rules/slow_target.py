"""Slow targets: round-trip delay, jitter or packet loss far over a fixed limit and over the usual.

VoIP wants at most 150 ms one way, 30 ms of jitter and 1 % loss; a LAN's devices answer in a few
milliseconds. With ten probes a round one lost reply is 10 %, so the floor of loss is three of ten,
in 6 of 8 rounds: a device that always loses one of twenty has two of ten lost in each twelfth
round, and while a microwave oven takes one of eight a Wi-Fi device has it in each third. What a
target was like for an hour, such as a satellite link, a Wi-Fi device that saves power or one at the
edge of the radio's reach, is usual for it from then on.

A target that answers nothing is down, and one that has just come back is not judged yet. What many
have in common is reported as that: ``degraded``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import slug
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_common.messages import ProbeResult
    from monitorpi_detector.views.rounds import RoundView

_USUAL_AFTER_S: Final = 3600.0
_KNOWN_S: Final = 7200.0
"""Seconds there before a target that nobody named is more than a note: its ways are not known."""
_NEVER_AT_ONCE: Final = 1e6
"""One round never raises: loss and jitter of ten probes, of which some are lost, are chance. The
median of their delays is not."""
_NAMED_A_NIGHT: Final = 2
"""Alerts on the quality of one target within twelve hours, where the operator named it."""
_OTHERS_A_NIGHT: Final = 1


def _judge_of(
    measure: str, unit: str, text: str, scale: float
) -> Callable[[RoundView, LimitsOf], Iterator[Finding]]:
    def judge(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
        """Find targets whose answers are worse than they should be."""
        for target in view.results():
            value = getattr(target, measure)
            if value is None or value < limits.least or target.state == "down":
                continue
            if not view.is_steady(target) or view.is_carried(target):
                continue
            usual = view.usual(target.address, MEASURES[measure])
            yield Finding(
                subject=slug(target.address),
                value=value,
                threshold=_threshold(limits(target.mac), usual),
                text=f"{target.name} ({target.address}) {text}",
                unit=unit,
                scale=scale,
                baseline=usual,
                victims=(Peer(mac=target.mac),),
                about=frozenset({target.address}),
                severity="warning" if view.is_known(target, _KNOWN_S) else "info",
                story=view.story(target),
                a_night=_NAMED_A_NIGHT if view.is_named(target) else _OTHERS_A_NIGHT,
            )

    return judge


MEASURES: Final = {"loss_ratio": "loss_ratio", "rtt_p50_ms": "rtt_ms", "jitter_ms": "jitter_ms"}
"""What is read of a target, by the name under which its baseline is kept."""

HIGH_LOSS: Final = Rule(
    name="high-loss", title="high packet loss", unit="loss ratio",
    defaults=Limits(
        floor=0.25, factor=3.0, raise_m=6, raise_n=8, raise_at_once=_NEVER_AT_ONCE, quiet_s=60.0,
        usual_after_s=_USUAL_AFTER_S,
    ),
    judge=_judge_of("loss_ratio", "loss ratio", "loses packets", 100.0), kind="effect",
)  # fmt: skip
HIGH_DELAY: Final = Rule(
    name="high-delay", title="high round-trip delay", unit="ms",
    defaults=Limits(
        floor=100.0, factor=3.0, raise_m=6, raise_n=8, quiet_s=60.0, usual_after_s=_USUAL_AFTER_S
    ),
    judge=_judge_of("rtt_p50_ms", "ms", "has high round-trip delay", 1.0), kind="effect",
)  # fmt: skip
HIGH_JITTER: Final = Rule(
    name="high-jitter", title="high jitter", unit="ms",
    defaults=Limits(
        floor=30.0, factor=3.0, raise_m=6, raise_n=8, raise_at_once=_NEVER_AT_ONCE, quiet_s=60.0,
        usual_after_s=_USUAL_AFTER_S,
    ),
    judge=_judge_of("jitter_ms", "ms", "has high jitter", 1.0), kind="effect",
)  # fmt: skip
RULES: Final = (HIGH_LOSS, HIGH_DELAY, HIGH_JITTER)
_MEASURED: Final = tuple(zip(RULES, MEASURES, strict=True))


def _threshold(limits: Limits, usual: float | None) -> float:
    return max(limits.floor, limits.factor * (usual or 0.0))


def counts_as(
    target: ProbeResult,
    usual: Callable[[str, str], float | None],
    limits: Callable[[str], LimitsOf],
    usual_limit: Callable[[str], float | None],
) -> int:
    """Return as how many bad rounds one counts: worse than it should be and than is usual for it.

    Args:
        target: its result.
        usual: its baseline, by address and measure.
        limits: the limits of a rule.
        usual_limit: the limit that what became usual gives an alert, by its key.

    """
    counts = 0
    for rule, measure in _MEASURED:
        value = getattr(target, measure)
        if value is None or value < (of_rule := limits(rule.name)).least:
            continue
        own = of_rule(target.mac)
        least = max(
            _threshold(own, usual(target.address, MEASURES[measure])),
            usual_limit(slug(f"{rule.name}-{slug(target.address)}")) or 0.0,
        )
        if own.enabled and value >= least:
            counts = max(counts, own.raise_m if value >= own.raise_at_once * least else 1)
    return counts
