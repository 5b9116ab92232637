"""Who is on the LAN and what each sends now, as the page is told. Pure.

Theory of operation. What a device is comes as its retained state; what it sends comes as rows of
windows, which are read while somebody looks. A device's part of the picture is made anew when it
is announced and when newer rows were read; in between it is the same object, which costs nothing to
compare.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id
from monitorpi_dashboard.picture import device_part, device_with_rates, flows, keep

if TYPE_CHECKING:
    from datetime import datetime

    from monitorpi_common.messages import Device, Traffic
    from monitorpi_dashboard.picture import Part, Rows

MAX_DEVICES: Final = 4096
MAX_UNKNOWN: Final = 64


class DeviceShelf:
    """Keeps devices, and the newest row of each MAC address."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        """Of the newest windows; a window's rows are not changed afterwards."""
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._announced: dict[str, Part] = {}
        """What a page shows of a device whatever it sends; made where it is first wanted."""
        self._seen: OrderedDict[str, datetime] = OrderedDict()
        self._parts: dict[str, Part] = {}
        self._unknown: dict[str, Part] = {}
        self._rated: Rows | None = None
        """The rows of what was told last."""

    def announce(self, id_: str, device: Device) -> None:
        """Keep what a device is."""
        self._change(id_)
        for gone in keep(self._devices, id_, device, MAX_DEVICES):
            self._change(gone)

    def forget(self, id_: str) -> None:
        """Drop a device that was taken back."""
        self._devices.pop(id_, None)
        self._change(id_)

    def window(self, window: Traffic) -> None:
        """Take the rows of a window."""
        self.rows = self.rows | {
            window.interface: {row.mac: (window.window_s, row) for row in window.devices}
        }
        for row in window.devices:
            if row.tx.get("packets") and (id_ := mac_id(row.mac)) in self._devices:
                keep(self._seen, id_, window.end, MAX_DEVICES)

    def no_windows(self, *interfaces: str) -> None:
        """Forget the rows of interfaces, of all where none is named: they are of the past."""
        left = {} if not interfaces else self.rows.copy()
        for name in interfaces:
            left.pop(name, None)
        self.rows = left

    def parts(self) -> dict[str, Part]:
        """Return all devices as the page is told."""
        if self._rated is not self.rows:
            self._rated = self.rows
            self._parts = {}
            self._unknown = self._find_unknown()
        for id_, device in self._devices.items():
            if id_ not in self._parts:
                self._parts[id_] = self._device(id_, device)
        return {id_: self._parts[id_] for id_ in self._devices}

    @property
    def unknown_senders(self) -> dict[str, Part]:
        """Senders that are not devices yet, as of the rates that were told last."""
        return self._unknown

    def _change(self, id_: str) -> None:
        self._announced.pop(id_, None)
        self._parts.pop(id_, None)

    def _device(self, id_: str, device: Device) -> Part:
        """Return a device as announced, but for when it was seen and what it does now."""
        seen = max(device.last_seen, self._seen.get(id_, device.last_seen))
        if id_ not in self._announced:
            self._announced[id_] = device_part(device)
        return device_with_rates(self._announced[id_], seen, device.mac, self.rows)

    def _find_unknown(self) -> dict[str, Part]:
        senders = dict.fromkeys(mac for rows in self.rows.values() for mac in rows)
        unknown = [mac for mac in senders if mac_id(mac) not in self._devices][:MAX_UNKNOWN]
        return {
            mac: {"mac": mac, **flows(rows[mac] for rows in self.rows.values() if mac in rows)}
            for mac in unknown
        }
