"""What is usual for each device and class: exponentially weighted rates, bounded and savable.

A baseline is an exponentially weighted moving average over irregular windows,
``v += (1 - exp(-dt / tau)) * (rate - v)``, with time since the last update counted as silence.
It speaks only once it has watched for :data:`MATURE_S`; until then, and for a device that has
none, the mean of the LAN's devices stands in. The caller freezes it (:meth:`Baseline.hold`) while
an alert is open, and never teaches it what is over a threshold: a slow ramp cannot raise it past
the floor.

All times here are seconds *watched*, not the time of day: a night without power, a clock that is
set and a gap in a file are no silence of anybody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TAU_S: Final = 3600.0
"""Time constant: an hour's habits weigh, a minute's burst does not."""
MATURE_S: Final = 600.0
"""Watched for so long before a baseline is used."""
MAX_DEVICES: Final = 4096
"""As many as there can be devices."""
_LONGEST_PAUSE_S: Final = 300.0
_FORGET_S: Final = 30 * 86400.0


@dataclass(slots=True)
class Usual:
    """The usual rate of one device and class."""

    rate: float
    watched_s: float
    at_s: float

    def learn(self, rate: float, span_s: float, now_s: float) -> None:
        """Take one window's rate; the time since the last one counts as silence."""
        silent_s = max(0.0, now_s - self.at_s - span_s)
        if silent_s:
            self.rate *= math.exp(-silent_s / TAU_S)
        self.rate += (1.0 - math.exp(-span_s / TAU_S)) * (rate - self.rate)
        self.watched_s = min(self.watched_s + silent_s + span_s, _FORGET_S)
        self.at_s = now_s


class Baseline:
    """The usual rates of all devices, by MAC and class."""

    def __init__(self) -> None:
        self._devices: Bounded[dict[str, Usual]] = Bounded(MAX_DEVICES)
        self._lan: dict[str, tuple[float, float]] = {}
        self._lan_at_s = -math.inf

    def __len__(self) -> int:
        return len(self._devices)

    def learn(
        self, mac: str, rates: Iterable[tuple[str, float]], span_s: float, now_s: float
    ) -> None:
        """Take the rates (per second) of one device's window."""
        usual = self._devices.get(mac)
        if usual is None:
            usual = {}
        if not self._devices.put(mac, usual, now_s):
            return
        for name, rate in rates:
            known = usual.get(name)
            if known is None:
                known = usual[name] = Usual(0.0, 0.0, now_s - span_s)
            known.learn(rate, span_s, now_s)

    def hold(self, name: str, now_s: float) -> None:
        """Let time pass for a device or target and learn nothing: it is not itself just now."""
        usual = self._devices.get(name)
        if usual is not None:
            self._devices.put(name, usual, now_s)
            for one in usual.values():
                one.at_s = now_s

    def learn_levels(self, key: str, levels: Iterable[tuple[str, float]], now_s: float) -> None:
        """Take measured values that are no rates (ms, ratios): between two of them is no silence.

        A value weighs as long as the pause before it, five minutes at most.
        """
        usual = self._devices.get(key)
        if usual is None:
            usual = {}
        if not self._devices.put(key, usual, now_s):
            return
        for name, level in levels:
            known = usual.setdefault(name, Usual(level, 0.0, now_s))
            span_s = min(max(0.0, now_s - known.at_s), _LONGEST_PAUSE_S)
            known.at_s = now_s
            known.learn(level, span_s, now_s)

    def of(self, mac: str | None, name: str, now_s: float) -> float | None:
        """Return the usual rate per second, the LAN's for a device that has none yet."""
        if mac is not None:
            usual = (self._devices.get(mac) or {}).get(name)
            if usual is not None and usual.watched_s >= MATURE_S:
                return usual.rate
        return self._of_lan(name, now_s)

    def _of_lan(self, name: str, now_s: float) -> float | None:
        """Return the mean over the devices that have a baseline; worked out once a minute."""
        if not 0 <= now_s - self._lan_at_s < 60.0:  # noqa: PLR2004 - once a minute
            sums: dict[str, tuple[float, int]] = {}
            for usual in self._devices.values():
                for key, one in usual.items():
                    if one.watched_s >= MATURE_S:
                        total, count = sums.get(key, (0.0, 0))
                        sums[key] = (total + one.rate, count + 1)
            self._lan = {key: (total / count, count) for key, (total, count) in sums.items()}
            self._lan_at_s = now_s
        mean = self._lan.get(name)
        return None if mean is None else mean[0]

    def saved(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Return what is worth keeping over a restart: rate and seconds watched."""
        return {
            mac: {
                name: (round(one.rate, 4), round(one.watched_s, 1))
                for name, one in usual.items()
                if one.watched_s >= MATURE_S
            }
            for mac, usual in self._devices.items()
            if any(one.watched_s >= MATURE_S for one in usual.values())
        }

    def restore(self, saved: Mapping[str, Mapping[str, tuple[float, float]]], now_s: float) -> None:
        """Take back what was saved. The time away is not counted as silence."""
        for mac, rates in saved.items():
            usual = {
                name: Usual(rate, watched_s, now_s) for name, (rate, watched_s) in rates.items()
            }
            self._devices.restore(mac, usual, now_s)
