"""The networks of this wire: which addresses are nobody's, and which lie beyond a router. Pure.

Theory of operation. DHCP servers name a mask (option 1) and routers the prefixes that are on this
link. An IPv4 network's first and last address and an IPv6 prefix's first (the anycast address of
its routers, RFC 4291, 2.6.1) are no device's, whoever answers for them. Where nobody named a
network, the last number 0 or 255 means the same: few networks are larger than 256 addresses and
have not named it. What is named may be forged: of networks that hold an address the largest counts,
small ones count for nothing (:data:`LONGEST`), and nothing that is learned here excuses anybody.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_capture.inventory.holding import Space

MAX_NETWORKS: Final = 64
LONGEST: Final = 29
"""A router at .1 or .254 is never first or last of a network of eight addresses or more."""
MAX_ANSWERS: Final = 8192
_V6_LINK: Final = 64
_BROADCAST_OCTETS: Final = frozenset({0, 255})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Subnets:
    """Networks by VLAN, the last named stay."""

    def __init__(self) -> None:
        self._known: dict[tuple[Space, Network], None] = {}
        self._beyond: dict[bytes, bool] = {}

    def learn(self, space: Space, named: Iterable[str]) -> bool:
        """Take networks of this link, as ``192.168.1.0/24``; returns whether one is new."""
        new = False
        for text in named:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                continue
            if not network.prefixlen or (network.version == 4 and network.prefixlen > LONGEST):  # noqa: PLR2004 - the version of IP
                continue
            new = new or (space, network) not in self._known
            self._known.pop((space, network), None)
            self._known[space, network] = None
            self._beyond.clear()
            if len(self._known) > MAX_NETWORKS:
                del self._known[next(iter(self._known))]
        return new

    def learn_link(self, space: Space, address: str) -> None:
        """Take that a device has an IPv6 address: its /64 is on this link (RFC 4291, 2.5.1)."""
        ip = ipaddress.ip_address(address)
        if ip.version == 6 and not ip.is_link_local and not self._holding(space, ip):  # noqa: PLR2004 - the version of IP
            self.learn(space, [f"{address}/{_V6_LINK}"])

    def is_nobodys(self, space: Space, address: str) -> bool:
        """Return whether an address is no device's."""
        ip = ipaddress.ip_address(address)
        if ip.version == 6:  # noqa: PLR2004 - the version of IP
            return any(ip == one.network_address for one in self._holding(space, ip))
        holding = self._holding(space, ip)
        if not holding:
            return ip.packed[-1] in _BROADCAST_OCTETS
        largest = min(holding, key=lambda one: one.prefixlen)
        return ip in (largest.network_address, largest.broadcast_address)

    def is_beyond(self, address: bytes) -> bool:
        """Return whether an address is none of this wire's: frames to it are for a router."""
        beyond = self._beyond.get(address)
        if beyond is None:
            if len(self._beyond) >= MAX_ANSWERS:
                self._beyond.clear()
            beyond = self._beyond[address] = self._lies_beyond(ipaddress.ip_address(address))
        return beyond

    def _lies_beyond(self, ip: Address) -> bool:
        if ip.is_multicast or ip.is_link_local or ip.is_loopback or ip.is_unspecified:
            return False
        known = [one for _, one in self._known if one.version == ip.version]
        return not any(ip in one for one in known) and (ip.is_global or bool(known))

    def _holding(self, space: Space, ip: Address) -> list[Network]:
        """Return the networks of a VLAN that hold an address."""
        return [one for where, one in self._known if where == space and ip in one]
