"""The floods of the demo, and when each comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_lab.flood import Kind

QUIET_S: Final = 5.0
"""The demo's ``quiet_s`` of the detector: nobody wants to watch a minute of silence."""
LEAD_S: Final = 5.0
"""Undisturbed traffic before the first flood: an alert there would be a false one."""
FLOOD_S: Final = 6.0
SETTLE_S: Final = QUIET_S + 6.0
"""From a flood's last frame to its alert's close at the latest: the rest of its window (1 s), the
quiet time, the watermark's lag (3 s) and a margin for a busy machine."""
MINIMUM_S: Final = LEAD_S + 2 * (FLOOD_S + SETTLE_S)
ALERT_WITHIN_S: Final = 3.0
RATE: Final = 400.0
"""Frames per second of each flood: four to eight times the default floors."""


@dataclass(frozen=True)
class Step:
    """A flood of the demo: which rule must find it, and when it comes after the first window."""

    rule: str
    kind: Kind
    rate: float
    at_s: float
    seconds: float = FLOOD_S


def schedule(seconds: float) -> tuple[Step, ...]:
    """Place both floods in a demo of so many seconds, what is to spare shared between them.

    Raises:
        ValueError: too short for both alerts to close.

    """
    if not seconds >= MINIMUM_S:  # nan too
        raise ValueError(
            f"{seconds:g} s are too few for both alerts to open and close: give at least "
            f"{MINIMUM_S:g}"
        )
    spare = (seconds - MINIMUM_S) / 3
    first = LEAD_S + spare
    return (
        Step("syn-flood", "syn", RATE, first),
        Step("icmp-flood", "icmp_echo", RATE, first + FLOOD_S + SETTLE_S + spare),
    )
