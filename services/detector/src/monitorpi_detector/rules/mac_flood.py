"""MAC flood: source addresses without end, to overflow a switch's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.views.window import WindowView

_FIRST_TIMES: Final = 20.0
"""In an epoch's first seconds every MAC is new, so many times the floor is needed: a LAN of a
thousand devices is not invented ones, and a flood goes on when these seconds are over."""


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find windows with too many MACs never seen before."""
    base = limits(None)
    # who answers our own probes was there all along
    woken = sum(
        view.own_echo(mac) + view.own_arp(mac)
        for mac in view.inventory.own_macs
        if mac in view.rows
    )
    value = view.rate(max(0.0, view.traffic.new_macs - woken))
    if value < base.floor * base.close_ratio:
        return
    yield Finding(
        subject=view.wire_subject,
        value=value,
        threshold=base.floor * (_FIRST_TIMES if view.is_young else 1.0),
        text=f"MAC flood on {view.traffic.interface}, {view.traffic.source_macs} MAC addresses "
        "in one window",
        unit="new MACs/s",
    )


RULE: Final = Rule(
    name="mac-flood", title="MAC flood", unit="new MACs/s", defaults=Limits(floor=200.0),
    judge=judge,
)  # fmt: skip
