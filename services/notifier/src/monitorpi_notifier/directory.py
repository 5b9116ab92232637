"""Who is who, for messages: names, vendors and addresses of devices. Pure and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_common.messages import Device, Target
from monitorpi_common.topics import address_id, mac_id

if TYPE_CHECKING:
    from monitorpi_common.messages import Alert, Message

MOST: Final = 4_096
_ADDRESSES: Final = 2


class Card(NamedTuple):
    """What is known of one device."""

    mac: str | None
    name: str | None
    vendor: str | None
    addresses: tuple[str, ...]

    @property
    def short(self) -> str:
        """The name, else the address, else the MAC address."""
        return self.name or (self.addresses[0] if self.addresses else self.mac or "?")

    @property
    def long(self) -> str:
        """Name, vendor, addresses and MAC address, as far as they are known."""
        vendor = f"({self.vendor})" if self.vendor else None
        head = " ".join(part for part in (self.name, vendor) if part)
        return ", ".join(part for part in (head, *self.addresses, self.mac) if part)


class Directory:
    """The devices and targets that the bus tells of."""

    def __init__(self) -> None:
        self._devices: dict[str, Card] = {}
        self._targets: dict[str, Card] = {}
        """By the id of the address, as the subjects of alerts are."""

    def __len__(self) -> int:
        return len(self._devices)

    def receive(self, id_: str, message: Message) -> None:
        """Take what capture and prober say of a device."""
        match message:
            case Device():
                card = Card(
                    message.mac, message.hostname, message.vendor,
                    tuple(message.ips[:_ADDRESSES]),
                )  # fmt: skip
                _keep(self._devices, message.mac, card)
            case Target():
                name = message.name if message.name != message.address else None
                card = Card(message.mac, name, message.vendor, (message.address,))
                _keep(self._targets, id_, card)
                if message.mac is not None and name is not None:
                    self._name(message.mac, name)
            case _:
                pass

    def _name(self, mac: str, name: str) -> None:
        """Take the name that people gave a target, for the device it is."""
        card = self._devices.get(mac)
        if card is None or card.name is None:
            _keep(self._devices, mac, (card or Card(mac, None, None, ()))._replace(name=name))

    def forget(self, id_: str) -> None:
        """Drop a device or target that was taken back."""
        self._targets.pop(id_, None)
        for mac in [mac for mac in self._devices if mac_id(mac) == id_]:
            del self._devices[mac]

    def device(self, mac: str) -> Card:
        """Return what is known of a MAC address."""
        return self._devices.get(mac) or Card(mac, None, None, ())

    def at(self, address: str) -> Card | None:
        """Return what is known of an address."""
        try:
            return self._targets.get(address_id(address))
        except ValueError:
            return self._targets.get(address)

    def subject(self, alert: Alert) -> Card | None:
        """Return whom an alert is about; None: no single device."""
        target = self._targets.get(alert.subject)
        if target is not None:
            known = self._devices.get(target.mac or "")
            return target if known is None else target._replace(
                name=target.name or known.name, vendor=target.vendor or known.vendor
            )  # fmt: skip
        for peer in (*alert.evidence.sources, *alert.evidence.victims):
            if peer.mac is not None and mac_id(peer.mac) == alert.subject.removeprefix("victim-"):
                known = self.device(peer.mac)
                return known if known.addresses or peer.ip is None else known._replace(
                    addresses=(peer.ip,)
                )  # fmt: skip
        return None


def macs_of(alert: Alert) -> frozenset[str]:
    """Return the MAC addresses that an alert is about, sources and victims."""
    peers = (*alert.evidence.sources, *alert.evidence.victims)
    return frozenset(peer.mac for peer in peers if peer.mac is not None)


def _keep(shelf: dict[str, Card], key: str, card: Card) -> None:
    if key not in shelf and len(shelf) >= MOST:
        del shelf[next(iter(shelf))]
    shelf[key] = card
