"""Windows of a second become one value per interval: Home Assistant keeps each it is sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import CLASSES, Rates

if TYPE_CHECKING:
    from datetime import datetime

    from monitorpi_common.messages import Wire

MOST_INTERFACES: Final = 64


@dataclass(slots=True)
class _Sum:
    seconds: float = 0.0
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    link_bps: int | None = None


@dataclass(slots=True)
class RateMeter:
    """Adds up the windows of each interface."""

    _sums: dict[str, _Sum] = field(default_factory=dict)

    def add(self, window: Wire) -> None:
        """Take a window."""
        if window.interface not in self._sums and len(self._sums) >= MOST_INTERFACES:
            return
        one = self._sums.setdefault(window.interface, _Sum())
        one.seconds += window.window_s
        one.packets += window.packets
        one.bytes += window.bytes
        one.lost += window.kernel_drops
        one.link_bps = window.link_bps
        for name in CLASSES:
            one.classes[name] = one.classes.get(name, 0) + window.counts.get(name, 0)

    def take(self, at: datetime) -> list[Rates]:
        """Return the rates of each interface that windows came of, and begin anew."""
        found = [_rates(name, one, at) for name, one in self._sums.items() if one.seconds]
        self._sums = {}
        return found


def _rates(interface: str, one: _Sum, at: datetime) -> Rates:
    bps = 8 * one.bytes / one.seconds
    seen = one.packets + one.lost
    return Rates(
        at=at, interface=interface, interval_s=round(one.seconds, 3),
        frames_per_s=round(one.packets / one.seconds, 1), bps=round(bps),
        utilisation_ratio=round(bps / one.link_bps, 4) if one.link_bps else None,
        lost_ratio=round(one.lost / seen, 6) if seen else 0.0,
        classes={name: round(count / one.seconds, 1) for name, count in one.classes.items()},
    )  # fmt: skip
