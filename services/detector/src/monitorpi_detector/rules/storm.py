"""What storm rules share: frames of one kind from one MAC address, or from nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.views.window import WindowView


USUAL_AFTER_S: Final = 86400.0
"""A day of a storm that harms nobody enough to be ended, and each step beyond it is news."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One kind of frames, and how a storm of it is reported."""

    reads: str
    """The class whose senders are looked at."""
    title: str
    unit: str
    of_sender: Callable[[WindowView, DeviceWindow], float]
    """Frames of a sender in this window that count."""
    of_wire: Callable[[WindowView], float]
    """Frames of the wire in this window that count."""
    nobody: float
    """Times the floor that what no sender explains must reach."""
    may_be_brief: Callable[[WindowView, DeviceWindow], bool] = lambda _, __: False
    """A sender's frames are no storm unless they last."""


def judge(view: WindowView, limits: LimitsOf, storm: Storm) -> Iterator[Finding]:
    """Find senders of a storm, and last what none of them explains."""
    base = limits(None)
    explained = 0.0
    for row, _ in view.senders(storm.reads, limits.least):
        own = limits(row.mac)
        count = storm.of_sender(view, row)
        explained += view.rate(count)
        threshold, usual = threshold_of(view, row.mac, storm.reads, own)
        yield Finding(
            subject=mac_id(row.mac),
            value=view.rate(count),
            threshold=threshold,
            text=f"{storm.title} from {row.mac}",
            unit=storm.unit,
            baseline=usual,
            sources=(view.source(row, count),),
            beyond_router=None,
            must_last=storm.may_be_brief(view, row),
        )
    value = view.rate(storm.of_wire(view))
    # without MACs nobody can be kept apart: the floor as it stands
    times = storm.nobody if view.rows else 1.0
    times *= view.ports  # a little from everybody is there on each port
    if explained >= value / 2:
        value = min(value - explained, view.omitted(storm.reads))
        times = view.omitted_times(storm.reads, storm.nobody)
    elif view.omitted(storm.reads) >= value / 2:
        times = view.omitted_times(storm.reads, times)
    if value >= base.floor * base.close_ratio:
        yield Finding(
            subject=view.wire_subject,
            value=value,
            threshold=base.floor * times,
            text=f"{storm.title} on {view.traffic.interface} from "
            f"{max(view.traffic.source_macs, 1)} MAC addresses",
            unit=storm.unit,
        )


def threshold_of(
    view: WindowView, mac: str | None, name: str, limits: Limits
) -> tuple[float, float | None]:
    """Return the threshold of a device for a class, and the baseline it rests on."""
    usual = view.usual(mac, name)
    return max(limits.floor, limits.factor * (usual or 0.0)), usual
