"""The seam between frames that tell about devices and the inventory: what one frame says. Pure.

A dissector reads a frame and hands over one :class:`Sighting` per device it tells of. It judges
nothing: whether a claim is believed, how long an address is held and who is a router is decided by
the inventory, for all sources of frames (live sockets, files, cooked captures) alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["arp", "nd", "ra", "dhcp", "dhcpv6", "mdns"]
"""The protocol a frame spoke."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one ARP, NDP, DHCP, DHCPv6 or mDNS frame says about one device."""

    mac: bytes
    """The device it is about; of a server's answer the client (``chaddr``), of a claim the MAC it
    names: neither need be on this wire at all."""
    at_s: float
    interface: str
    how: How = "arp"
    vlan: tuple[int, ...] = ()
    """VLAN ids of the frame's tags, outermost first; ``()``: untagged, or a priority tag alone."""
    sender: bytes | None = None
    """The MAC address the frame came from, where that is not ``mac``; None: ``mac`` sent it."""
    ips: tuple[str, ...] = ()
    """Addresses that are said to be at ``mac``: its own claim, or ``sender``'s for it."""
    asks: str | None = None
    """An address that the frame's sender looks for (an ARP request), not one of ``ips``."""
    tries: str | None = None
    """An address the frame's sender asks for before it takes it: duplicate address detection (an
    ARP probe, RFC 5227; a neighbour solicitation from ``::``, RFC 4862)."""
    named: tuple[str, ...] = ()
    """Addresses a server's answer gives to ``mac``: a name, proved by no frame of its own."""
    ended: tuple[str, ...] = ()
    """Addresses ``mac`` gives up (RELEASE) or refuses (DECLINE)."""
    hostname: str | None = None
    is_router: bool = False
    """A router advertisement with a lifetime, valid as RFC 4861 says (6.1.2: hop limit 255 ...)."""
    ends_router: bool = False
    """A valid router advertisement with lifetime 0: no default router any more."""
    serves_dhcp: bool = False
    """It handed out an address (DHCP: yiaddr is one; DHCPv6: an IA address), or, in DHCPv6, what
    clients need beside one."""
    told: tuple[tuple[str, str], ...] = ()
    """What else a server sends its clients to, by the name of the option: name servers ("dns"),
    routes, proxies (:mod:`monitorpi_capture.frame.dissect.dhcpoptions`)."""
    router_ips: tuple[str, ...] = ()
    """Addresses of routers the frame tells of (DHCP option 3), also where a server is meant."""
    subnets: tuple[str, ...] = ()
    """Networks on this link that the frame tells of, as ``192.168.1.0/24`` (DHCP option 1, on-link
    prefixes of a router advertisement)."""
