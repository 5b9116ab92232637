"""Surge: far more of one class from one device than is usual for it; a threshold for every class.

One rule per class, ``surge-dns`` and so on. The classes the flood rules judge with evidence have
generous floors here, so that the better rule speaks first. Classes of plain volume (tcp, udp, http,
multicast, fragment ...) have none by default: a speed test, a television channel of 25 Mb/s (2,400
frames/s to a group) or a tunnel whose packets do not fit is no attack. A floor set in the
configuration switches such a rule on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import CLASSES
from monitorpi_common.topics import mac_id, slug
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.storm import threshold_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_detector.views.window import WindowView

_FLOORS: Final[dict[str, float]] = {
    "arp": 1000.0,
    "icmp": 2000.0,
    "igmp": 500.0,
    "dhcp": 500.0,
    "dns": 500.0,  # a resolver for a busy LAN answers some 100/s
    "mdns": 200.0,
    "rst": 2000.0,
    "fin": 2000.0,
    "syn_ack": 2000.0,
    "malformed": 100.0,
}
"""Frames/s from one device, several times what its busiest benign use was seen to be."""

_OFF: Final = 1e6
_USUAL_AFTER_S: Final = 7200.0
_FACTOR: Final = 10.0


def _judge_of(name: str) -> Callable[[WindowView, LimitsOf], Iterator[Finding]]:
    def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
        """Find senders of far more than usual."""
        for row, rate in view.senders(name, limits.least):
            own = view.own_arp(row.mac) if name == "arp" else 0.0
            if name in ("icmp", "icmp_echo"):
                own = view.own_echo(row.mac)
            threshold, usual = threshold_of(view, row.mac, name, limits(row.mac))
            yield Finding(
                subject=mac_id(row.mac),
                value=max(0.0, rate - view.rate(own)),
                threshold=threshold,
                text=f"{name} surge from {row.mac}",
                baseline=usual,
                sources=(view.source(row, row.tx.get(name, 0)),),
                severity="warning",
            )

    return judge


def rule_name(name: str) -> str:
    """Return the name of a class's rule: ``syn_ack`` -> ``surge-syn-ack``."""
    return f"surge-{slug(name)}"


RULES: Final[tuple[Rule[WindowView], ...]] = tuple(
    Rule(
        name=rule_name(name),
        title=f"{name} surge",
        unit="frames/s",
        defaults=Limits(
            floor=_FLOORS.get(name, _OFF), factor=_FACTOR, enabled=name in _FLOORS, raise_m=3,
            raise_n=5, usual_after_s=_USUAL_AFTER_S,
        ),
        judge=_judge_of(name),
        kind="effect",
    )
    for name in CLASSES
)  # fmt: skip
