"""What changed about devices and targets, from what is said of them again and again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_history.items import Change, Named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from monitorpi_common.messages import Device, Target
    from monitorpi_history.items import Batch, ChangeWord

MAX_DEVICES: Final = 8192
"""Twice the inventory of one site."""
MAX_TARGETS: Final = 2048
MAX_PENDING: Final = 8192
"""Changes held while nothing can be written."""


class Diary:
    """Compares what is said with what was said before."""

    def __init__(
        self, devices: Iterable[Device] = (), states: Mapping[str, str] | None = None
    ) -> None:
        """Go on from what was written: devices, and the states of targets by address."""
        self._devices = {device.mac: device for device in devices}
        self._states = dict(states or {})
        self._fresh: dict[str, Device] = {}
        self._named: dict[str, Named] = {}
        self._targets: dict[str, Named] = {}
        self._changes: list[Change] = []
        self.refused = 0
        """Devices and targets beyond the bounds."""

    @property
    def known(self) -> dict[str, Device]:
        """The devices, by MAC address."""
        return self._devices

    def device(self, device: Device, at_ms: int) -> None:
        """Take what is said of a device."""
        before = self._devices.get(device.mac)
        if before is None and len(self._devices) >= MAX_DEVICES:
            self.refused += 1
            return
        changes = list(_compare(before, device, at_ms))
        self._devices[device.mac] = device
        self._note(*changes)
        if changes or before is None:
            self._fresh[device.mac] = device

    def device_gone(self, mac: str, at_ms: int) -> None:
        """Take that a device is no longer of the inventory."""
        device = self._devices.pop(mac, None)
        if device is not None:
            self._note(Change(at_ms, mac, "forgotten", device.hostname))
            self._fresh[mac] = device

    def target(self, target: Target) -> None:
        """Take what is said of a target."""
        before = self._states.get(target.address)
        if before is None and len(self._states) >= MAX_TARGETS:
            self.refused += 1
            return
        is_judged = target.state in ("up", "down")
        state = target.state if is_judged else before or ""
        self._states[target.address] = state
        named = Named(target.name, state)
        if self._named.get(target.address) != named:
            self._named[target.address] = self._targets[target.address] = named
        if is_judged and before and state != before:
            at_ms = round(target.since.timestamp() * 1000)
            what: ChangeWord = "up" if state == "up" else "down"
            self._note(Change(at_ms, target.address, what, before, state))

    def _note(self, *changes: Change) -> None:
        if len(self._changes) + len(changes) > MAX_PENDING:
            self.refused += len(changes)
            return
        self._changes += changes

    def add_to(self, batch: Batch) -> None:
        """Add what is not written yet to a batch; it stays until `clear`."""
        batch.changes = list(self._changes)
        batch.devices = list(self._fresh.values())
        batch.targets = dict(self._targets)

    def clear(self) -> None:
        """Forget what was pending: it is written."""
        self._changes.clear()
        self._fresh.clear()
        self._targets.clear()


def _compare(before: Device | None, after: Device, at_ms: int) -> Iterator[Change]:
    if before is None:
        since_ms = round(after.first_seen.timestamp() * 1000)
        name = after.hostname or after.vendor
        yield Change(since_ms, after.mac, "new", None, ", ".join(filter(None, [name, *after.ips])))
        return
    if before.present != after.present:
        yield Change(at_ms, after.mac, "back" if after.present else "gone")
    if set(before.ips) != set(after.ips):
        yield Change(at_ms, after.mac, "moved", " ".join(before.ips), " ".join(after.ips))
    if before.hostname != after.hostname:
        yield Change(at_ms, after.mac, "renamed", before.hostname, after.hostname)
    if before.role != after.role:
        yield Change(at_ms, after.mac, "role", before.role, after.role)
    if before.vendor != after.vendor:
        yield Change(at_ms, after.mac, "vendor", before.vendor, after.vendor)
