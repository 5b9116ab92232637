"""Outages: one cause that took several targets away, reported once with all it carries.

``cut-off``: nothing answers the prober any more. ``uplink-down``: what is beyond the router is
gone while the LAN lives. ``group-down``: several devices went at the same moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_common.messages import Severity
    from monitorpi_detector.targets.outage import Cause, Outage
    from monitorpi_detector.views.rounds import RoundView
    from monitorpi_detector.views.window import WindowView

_PEERS: Final = 32
_A_NIGHT: Final = 4
"""Outages of one kind and place within twelve hours: what fails more often is known to."""
_WITNESSES: Final = 0.2
"""Share of the members whose frames must be seen to blame this machine's own link."""


def _cut_off(one: Outage) -> str:
    count = len(one.devices)
    who = f"none of {count} targets answers" if count > 1 else f"{one.names} does not answer"
    if one.lacks_network:
        return f"this Pi is cut off, its network is unreachable: {who} ({one.names})"
    if one.witnessed >= max(1.0, _WITNESSES * count):
        return (
            f"this Pi is cut off: {who}, though the mirror port shows frames of {one.witnessed} "
            f"of them: its own link is away ({one.names})"
        )
    return (
        f"this Pi is cut off: {who} since the same moment: its own link, or the switch it is on "
        f"({one.names})"
    )


def _uplink(one: Outage) -> str:
    return (
        f"the uplink is away: nothing beyond the router answers ({one.names}), "
        f"{one.others} targets on the LAN do"
    )


def _group(one: Outage) -> str:
    count = len(one.devices)
    if one.lacks_network:
        return f"this Pi has no network to {count} targets any more ({one.names})"
    return (
        f"{count} devices went at the same moment ({one.names}), {one.others} others answer: "
        "a switch, an access point or a fuse" + (", or the router" if one.has_beyond else "")
    )


_LIMITS: Final = Limits(floor=1.0, quiet_s=30.0, raise_m=5, raise_n=6)


def _judge_of(
    cause: Cause, text: Callable[[Outage], str], severity: Severity
) -> Callable[[RoundView, LimitsOf], Iterator[Finding]]:
    def judge(view: RoundView, limits: LimitsOf) -> Iterator[Finding]:
        """Report the outages of this kind that go on."""
        for one in view.outages:
            if one.cause != cause or one.ended is not None:
                continue
            members = one.devices
            yield Finding(
                subject=one.subject,
                value=float(max(1, len(one.silent))),
                threshold=limits(None).floor,
                text=text(one),
                unit="targets",
                victims=tuple(Peer(mac=stay.mac, ip=stay.ip) for stay in members[:_PEERS]),
                about=frozenset(
                    name
                    for stay in one.members.values()
                    for name in (stay.mac, stay.address)
                    if name
                ),
                severity=severity,
                decisive=True,
                opens=one.is_sure,
                story=f"{cause}-{one.subject}" if cause != "uplink-down" else cause,
                a_night=None if cause == "cut-off" else _A_NIGHT,
            )

    return judge


_LOST: Final = 5.0
"""Connections/s that were answered before, and none is now: fewer may stop by themselves."""


def judge_window(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find routers that pass no answer any more to those who were answered until then."""
    asked: dict[str, float] = {}
    for row in view.vain_senders:
        router = view.lost_uplink(row)
        if router is not None:
            asked[router] = asked.get(router, 0.0) + view.rate(row.tx.get("syn", 0))
    for router, rate in asked.items():
        if rate < _LOST:
            continue
        yield Finding(
            subject="internet",
            value=1.0,
            threshold=limits(router).floor,
            text=f"the uplink is away: the router {router} passes no answer any more, "
            f"{rate:.0f} connections/s are asked for in vain",
            unit="uplinks",
            victims=(Peer(mac=router, ip=view.inventory.ip(router)),),
            severity="critical",
            story="uplink-down",
            a_night=_A_NIGHT,
        )


def _rule(
    cause: Cause, title: str, text: Callable[[Outage], str], severity: Severity
) -> Rule[RoundView]:
    return Rule(
        name=cause, title=title, unit="targets", defaults=_LIMITS,
        judge=_judge_of(cause, text, severity), kind="outage",
    )  # fmt: skip


RULES: Final = (
    _rule("cut-off", "this Pi is cut off", _cut_off, "critical"),
    _rule("uplink-down", "the uplink is away", _uplink, "critical"),
    _rule("group-down", "several devices went together", _group, "warning"),
)

UPLINK: Final[Rule[WindowView]] = Rule(
    name="uplink-down", title="the uplink is away", unit="targets", defaults=_LIMITS,
    judge=judge_window, kind="outage",
)  # fmt: skip
"""The same alert as seen in traffic, where no target beyond the router is probed."""
