"""Floods of many senders: named ones at one destination, made-up ones, and those not listed. Pure.

What SYN and ICMP floods report alike; how much of it is a flood is each rule's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding
from monitorpi_detector.rules.words import to_whom
from monitorpi_detector.views.window import joined, toward

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_common.messages import DeviceWindow, Peer
    from monitorpi_detector.rule import Limits
    from monitorpi_detector.views.window import WindowView

_MAX_SOURCES: Final = 32


class FloodKind(NamedTuple):
    """What a flood is made of, and how alerts name it."""

    frames: str
    """The class that is counted."""
    title: str
    unit: str
    baseline: str
    """Of what a usual rate is known."""


def of_sources(
    kind: FloodKind, view: WindowView, rows: Sequence[DeviceWindow], victim: Peer, **more: Any
) -> Finding:
    """Report many sources at one destination, which is the subject.

    Args:
        kind: the flood's.
        view: the window.
        rows: the sources, the busiest first.
        victim: the destination.
        more: ``value``, ``threshold`` and what else the finding has.

    """
    return Finding(
        subject=f"victim-{mac_id(victim.mac or '')}",
        text=f"{kind.title} from {len(rows)} sources{to_whom(victim)}",
        unit=kind.unit,
        sources=tuple(view.source(row, toward(row, kind.frames)) for row in rows[:_MAX_SOURCES]),
        victims=(victim,),
        spread=joined([row.spread for row in rows]),
        spoofed=any(view.forged(row) for row in rows),
        beyond_router=False,
        **more,
    )


def of_made_up(kind: FloodKind, view: WindowView, victim: Peer, **more: Any) -> Finding:
    """Report frames to one destination, each from a MAC address that was made up for it."""
    macs = max(view.traffic.source_macs, 1)
    return Finding(
        subject=f"victim-{mac_id(victim.mac or '')}",
        text=f"{kind.title} from {macs} MAC addresses{to_whom(victim)}",
        unit=kind.unit, victims=(victim,), spoofed=True, **more,
    )  # fmt: skip


def of_unlisted(
    kind: FloodKind, view: WindowView, limits: Limits, value: float
) -> Iterator[Finding]:
    """Report what MACs sent that found no place in the window: ``value`` frames/s."""
    times = min(view.omitted_times(kind.frames), view.floor_times(kind.frames))
    usual = view.usual(None, kind.baseline) or 0.0
    threshold = max(limits.floor * times, limits.factor * usual)
    if value >= threshold * limits.close_ratio:
        yield Finding(
            subject=view.wire_subject, value=value, threshold=threshold, unit=kind.unit,
            text=f"{kind.title} on {view.traffic.interface} from MAC addresses that are not listed",
        )  # fmt: skip
