"""Which devices of the LAN are shown, and what is known of them. Pure and bounded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from monitorpi_common.messages import Device, Target
from monitorpi_home_assistant.discovery import PublishedHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from monitorpi_common.messages import Message


@dataclass(slots=True)
class Hosts:
    """The devices that are chosen, by MAC address."""

    choice: Literal["none", "named", "all"] | list[str]
    most: int
    _hosts: dict[str, PublishedHost] = field(default_factory=dict)

    def receive(self, id_: str, message: Message) -> str | None:
        """Take what is said of a device; returns its MAC address where it is shown otherwise."""
        if self.choice == "none":
            return None
        match message:
            case Device():
                before = self._hosts.get(message.mac) or PublishedHost(message.mac)
                after = replace(
                    before, name=before.name if before.target else message.hostname,
                    vendor=message.vendor, is_seen=True,
                )  # fmt: skip
            case Target(mac=str() as mac):
                before = self._hosts.get(mac) or PublishedHost(mac)
                if before.target not in (None, id_):
                    return None  # a device with several addresses is pinged as the first one
                name = message.name if message.name != message.address else before.name
                after = replace(
                    before, name=name, target=id_, vendor=before.vendor or message.vendor
                )
            case _:
                return None
        return self._keep(before, after)

    def _keep(self, before: PublishedHost, after: PublishedHost) -> str | None:
        is_known = after.mac in self._hosts
        if not is_known and len(self._hosts) >= 4 * self.most:
            return None
        self._hosts[after.mac] = after
        return after.mac if after != before or not is_known else None

    def forget(self, id_: str) -> str | None:
        """Drop what was taken back; returns the MAC address of who is shown otherwise."""
        for mac, one in self._hosts.items():
            if one.target == id_:
                self._hosts[mac] = replace(one, target=None)
                return mac
            if mac.replace(":", "") == id_:
                self._hosts[mac] = replace(one, is_seen=False)
                return mac
        return None

    def shown(self) -> Iterator[PublishedHost]:
        """Yield the devices that are chosen, at most so many, the first that were seen."""
        left = self.most
        for one in self._hosts.values():
            if left and self._is_chosen(one):
                left -= 1
                yield one

    def _is_chosen(self, one: PublishedHost) -> bool:
        if one.target is None and not one.is_seen:
            return False
        if isinstance(self.choice, list):
            return one.mac in self.choice
        return self.choice == "all" or (one.target is not None and one.name is not None)
