"""Rules by hand: one view in, findings out."""

from __future__ import annotations

from typing import Any

from tests.detector.windows import PI, at, probe
from tests.detector.windows import window as built

from monitorpi_common.messages import ProbeSource
from monitorpi_detector.baseline import Baseline
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rule import Finding, Limits, LimitsOf
from monitorpi_detector.rules import RULES
from monitorpi_detector.views.window import WindowView

NOW = at(0).timestamp()


def limits(rule: str) -> LimitsOf:
    """Return the default limits of a rule."""
    one: Limits = RULES[rule].defaults
    return LimitsOf(lambda _: one, one.floor * one.close_ratio)


def found(rule: str, view: Any) -> list[Finding]:
    """Return what a rule finds."""
    return list(RULES[rule].judge(view, limits(rule)))


def values(rule: str, view: Any) -> list[tuple[str, float, float]]:
    """Return subject, value and threshold of each finding."""
    return [(one.subject, one.value, one.threshold) for one in found(rule, view)]


def view(*rows: Any, ports: int = 1, first_seen_s: float = NOW - 100, known: HostInventory | None
         = None, usual: dict[str, Any] | None = None, **more: Any) -> WindowView:  # fmt: skip
    """Return the view of a window."""
    baseline = Baseline()
    baseline.restore(usual or {}, 0.0)
    inventory = HostInventory() if known is None else known
    return WindowView(built(0, *rows, **more), inventory, baseline, NOW, first_seen_s, 0.0, ports)


def ours(echo: float = 0.0, arp: float = 0.0) -> HostInventory:
    """Return an inventory with a prober of ours."""
    one = HostInventory()
    one.see_probe("a", probe(0, source=ProbeSource(mac=PI, echo_per_s=echo, arp_per_s=arp)), NOW)
    return one
