"""IGMP or MLD storm: group membership reports without end.

A querier asks all at once, and each host answers for each of its groups within ten seconds (RFC
3376, RFC 3810), or within one after a change of the topology: a few frames from each of many MAC
addresses are answers. One address that sends many is a storm, and so are many invented ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.views.window import WindowView


def _sent(view: WindowView, row: DeviceWindow) -> float:
    del view
    return float(row.tx.get("igmp", 0))


_ANSWERS: Final = 20
"""Reports of one host in one second that answer a query: as many groups as a busy host joins."""


def _on_wire(view: WindowView) -> float:
    """Return the reports beyond a few from each MAC address that was here before."""
    traffic = view.traffic
    omitted = 0
    if traffic.source_macs >= traffic.omitted.devices:
        omitted = min(traffic.omitted.classes.get("igmp", 0), _ANSWERS * traffic.omitted.devices)
    answers = omitted + sum(min(row.tx.get("igmp", 0), _ANSWERS) for row in traffic.devices)
    return traffic.counts.get("igmp", 0) - answers * view.known_share


_STORM: Final = storm.Storm("igmp", "IGMP storm", "IGMP/s", _sent, _on_wire, nobody=5.0)


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders of many membership reports."""
    yield from storm.judge(view, limits, _STORM)


RULE: Final = Rule(
    name="igmp-storm", title="IGMP storm", unit="IGMP/s", judge=judge,
    defaults=Limits(floor=50.0, usual_after_s=storm.USUAL_AFTER_S),
)  # fmt: skip
