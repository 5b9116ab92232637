"""Degraded: one cause that makes several targets answer badly, reported once with all it carries.

``uplink-degraded``: what is beyond the router loses packets or is slow while the LAN is well.
``group-degraded``: several devices turned bad at the same time. The members have no alert of their
own meanwhile.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_detector.targets.quality import Cause, Degradation
    from monitorpi_detector.views.rounds import RoundView

_PEERS: Final = 32
_A_NIGHT: Final = 2
"""Alerts of one kind and place within twelve hours, as on the quality of one target."""
_KNOWN_S: Final = 7200.0
_LIMITS: Final = Limits(floor=1.0, quiet_s=60.0, usual_after_s=3600.0)


def _figures(view: RoundView, one: Degradation) -> str:
    """Return how the members answered in this round, the one in the middle of them."""
    results = [target for target in view.results() if target.address in one.members]
    lost = [target.loss_ratio for target in results if target.loss_ratio is not None]
    delays = [target.rtt_p50_ms for target in results if target.rtt_p50_ms is not None]
    words = [f"{median(lost):.0%} lost"] if lost else []
    words += [f"{median(delays):.0f} ms"] if delays else []
    return f" ({', '.join(words)})" if words else ""


def _uplink(one: Degradation, figures: str) -> str:
    return (
        f"the uplink is bad{figures}: {one.names} answer badly since the same time, "
        f"{one.well} targets on the LAN are well"
    )


def _group(one: Degradation, figures: str) -> str:
    count = len(one.devices)
    if one.is_nearly_all:
        return (
            f"nearly all {count} targets answer badly{figures} since the same time: this Pi's own "
            f"link, or the switch it is on ({one.names})"
        )
    return (
        f"{count} devices answer badly{figures} since the same time ({one.names}), {one.well} "
        "others are well: an access point, a switch or a full link"
    )


def _judge_of(
    cause: Cause, text: Callable[[Degradation, str], str]
) -> Callable[[RoundView, LimitsOf], Iterator[Finding]]:
    def judge(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
        """Report what several targets have in common."""
        for one in view.degradations:
            if one.cause != cause:
                continue
            known = any(stay.is_known(_KNOWN_S) for stay in one.members.values())
            yield Finding(
                subject=one.subject,
                value=float(len(one.bad)),
                threshold=limits(None).floor,
                text=text(one, _figures(view, one)),
                unit="targets",
                victims=tuple(Peer(mac=stay.mac, ip=stay.ip) for stay in one.devices[:_PEERS]),
                about=frozenset(
                    name
                    for stay in one.members.values()
                    for name in (stay.mac, stay.address)
                    if name
                ),
                severity="warning" if known else "info",
                decisive=True,
                story=f"{cause}-{one.subject}",
                a_night=_A_NIGHT,
            )

    return judge


RULES: Final = (
    Rule(
        name="uplink-degraded", title="the uplink is bad", unit="targets", defaults=_LIMITS,
        judge=_judge_of("uplink-degraded", _uplink), kind="effect",
    ),
    Rule(
        name="group-degraded", title="several devices answer badly", unit="targets",
        defaults=_LIMITS, judge=_judge_of("group-degraded", _group), kind="effect",
    ),
)  # fmt: skip
