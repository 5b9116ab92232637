"""What a DHCP server sends its clients to, by VLAN. Pure.

One server has another router for each of its networks, and often other name servers: what it says
in one VLAN is compared with what it said there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DhcpNetwork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitorpi_capture.inventory.holding import Space
    from monitorpi_capture.items import Sighting
    from monitorpi_common.messages import Device

MAX_ROUTERS: Final = 4
MAX_NETWORKS: Final = 8
"""VLANs of one server that are remembered: as many as a message lists. The detector knows more."""
_MAX_VALUES: Final = 8
"""Values of one DHCP option in a message; the names of options are a fixed few."""


@dataclass(frozen=True, slots=True)
class Directions:
    """Where clients of one network are sent, the latest first."""

    routers: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def after(self, routers: Iterable[str], given: Iterable[tuple[str, str]]) -> Directions:
        """Return what is said now, and what was said before."""
        options = dict(self.options)
        given = tuple(given)
        for name in dict(given):
            values = [value for one, value in given if one == name]
            options[name] = _latest(values, options.get(name, ()), _MAX_VALUES)
        return Directions(_latest(routers, self.routers, MAX_ROUTERS), options)


class Serving:
    """What one server says in each VLAN, the latest first."""

    def __init__(self) -> None:
        self._networks: dict[Space, Directions] = {}

    def take(self, sighting: Sighting) -> bool:
        """Take an answer to a client; returns whether it says anything new."""
        space = sighting.vlan
        before = self._networks.pop(space, None)
        now = (before or Directions()).after(sighting.router_ips, sighting.directions)
        self._networks = {space: now, **self._networks}
        if len(self._networks) > MAX_NETWORKS:
            del self._networks[next(reversed(self._networks))]
        return now != before

    def restore(self, device: Device) -> None:
        """Take back what was said before a restart, but for what has been said since."""
        for network in device.dhcp_networks or _unsorted(device):
            options = {name: tuple(values) for name, values in network.options.items()}
            space = tuple(network.vlan)
            if len(self._networks) < MAX_NETWORKS:
                self._networks.setdefault(space, Directions(tuple(network.routers), options))

    def networks(self) -> list[DhcpNetwork]:
        """Return what a message says of each VLAN."""
        return [
            DhcpNetwork(
                vlan=list(space),
                routers=list(one.routers),
                options={name: list(values) for name, values in one.options.items()},
            )
            for space, one in self._networks.items()
        ]

    def all(self) -> Directions:
        """Return what is said in any VLAN."""
        found = Directions()
        for one in reversed(self._networks.values()):
            given = [(name, value) for name, values in one.options.items() for value in values]
            found = found.after(one.routers, given)
        return found


def _latest(now: Iterable[str], before: Sequence[str], most: int) -> tuple[str, ...]:
    """Return what is named now and before; in its order before where nothing is new."""
    both = tuple(dict.fromkeys((*now, *before)))[:most]
    return tuple(before) if set(both) == set(before) else both


def _unsorted(device: Device) -> list[DhcpNetwork]:
    """Return what an earlier version published: which was said in which VLAN is not known."""
    return [
        DhcpNetwork(vlan=vlan, routers=device.dhcp_routers, options=device.dhcp_options)
        for vlan in device.dhcp_vlans or [[]]
    ]
