"""IGMP or MLD storm: group membership reports without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.view import WindowView


def _sent(view: WindowView, row: DeviceWindow) -> float:
    del view
    return float(row.tx.get("igmp", 0))


def _on_wire(view: WindowView) -> float:
    return float(view.traffic.counts.get("igmp", 0))


_STORM: Final = storm.Storm("igmp", "IGMP storm", "IGMP/s", _sent, _on_wire, nobody=5.0)


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders of many membership reports."""
    yield from storm.judge(view, limits, _STORM)


RULE: Final = Rule(
    name="igmp-storm", title="IGMP storm", unit="IGMP/s", judge=judge,
    defaults=Limits(floor=50.0, usual_after_s=storm.USUAL_AFTER_S),
)  # fmt: skip
