"""Quiet targets that capture has just seen, and that are asked at once for that reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitorpi_prober.states import MAX_LATCHED
from monitorpi_prober.targets import target_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from monitorpi_common.messages import Device
    from monitorpi_prober.schedule import ProbeTarget


@dataclass(slots=True)
class Wakeups:
    """When capture saw each device last, and the targets to wake; bounded."""

    _seen: dict[str, datetime] = field(default_factory=dict)
    _woken: dict[str, None] = field(default_factory=dict)

    def see(self, device: Device) -> None:
        """Take a device; one that was seen anew is to be asked at once."""
        before = self._seen.pop(device.mac, None)
        self._seen[device.mac] = device.last_seen
        while len(self._seen) > MAX_LATCHED:
            del self._seen[next(iter(self._seen))]
        if device.present and (before is None or device.last_seen > before):
            for address in device.ips:
                self._woken[target_id(address, device.interface)] = None

    def take(self, quiet: Iterable[ProbeTarget]) -> list[str]:
        """Return the keys of the quiet targets to wake, each once."""
        if not self._woken:
            return []
        keys = [one.key for one in quiet if one.key in self._woken]
        self._woken.clear()
        return keys
