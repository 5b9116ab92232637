"""Who asks by ARP for addresses that nobody has, as capture counts them. Pure, bounded.

Theory of operation. Capture says of each device how many such addresses it asked for within an
hour, and when it asked for another one last. A sweep goes on while that is recent. What is told as
a storm of ARP meanwhile is that, not a sweep as well: only what is asked after it counts anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from monitorpi_common.messages import Device

GOES_ON_S: Final = 120.0
"""A sweep has ended when no other address was asked for in so long: capture speaks of a device each
minute."""
MAX_SWEEPS: Final = 1024
_WORTH: Final = 8
"""Fewer addresses are not worth a place: a printer that is gone, a phone's last network."""


@dataclass(slots=True)
class Sweep:
    """What one device asked for."""

    addresses: int
    last_s: float
    reported_s: float = -math.inf
    """Until when it was told as a storm."""


class Sweeps:
    """The devices that ask for many."""

    def __init__(self) -> None:
        self._sweeps: Bounded[Sweep] = Bounded(MAX_SWEEPS, stale_s=GOES_ON_S)

    def see(self, device: Device) -> None:
        """Take what capture says of a device."""
        sweep = self._sweeps.get(device.mac)
        if device.asked_at is None or device.asked_in_vain < _WORTH:
            if sweep is not None:
                self._sweeps.remove(device.mac)
            return
        asked_s = device.asked_at.timestamp()
        if sweep is None:
            sweep = Sweep(0, 0.0)
        sweep.addresses, sweep.last_s = device.asked_in_vain, asked_s
        self._sweeps.put(device.mac, sweep, asked_s)

    def reported(self, mac: str, now_s: float) -> None:
        """Take that what a device sends is told as a storm."""
        sweep = self._sweeps.get(mac)
        if sweep is not None:
            sweep.reported_s = now_s

    @property
    def macs(self) -> list[str]:
        """Who asks for many."""
        return [mac for mac, _ in self._sweeps.items()]

    def going_on(self, now_s: float) -> list[tuple[str, int]]:
        """Return who asks for many now, and for how many addresses."""
        return [
            (mac, one.addresses)
            for mac, one in self._sweeps.items()
            if now_s - one.last_s <= GOES_ON_S and one.last_s > one.reported_s
        ]
