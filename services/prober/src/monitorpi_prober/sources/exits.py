"""Where the requests to each target leave this machine: from which address and interface. I/O."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_common.service import ResourceError
from monitorpi_host.interfaces import attached, names
from monitorpi_host.routes import v6_interfaces
from monitorpi_prober.items import Exit

if TYPE_CHECKING:
    from monitorpi_host.interfaces import Interface
    from monitorpi_prober.schedule import ProbePlan

_DISCARD: Final = 9  # a port; connecting a datagram socket sends nothing


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests shall leave from."""

    address: str | None = None
    interface: str | None = None

    def ip(self, version: int) -> str | None:
        """Return the address to send from, where it is of this version."""
        if self.address is None or ipaddress.ip_address(self.address).version != version:
            return None
        return self.address


def place(source: str | None) -> Place:
    """Read the setting ``source``: an address (then its interface too), or an interface's name.

    Raises:
        ResourceError: this machine has no such interface.

    """
    if source is None:
        return Place()
    try:
        ipaddress.ip_address(source)
    except ValueError:
        there = names()
        if source in there:
            return Place(interface=source)
        raise ResourceError(
            f"there is no interface {source!r}: prober.source must be an address of this machine "
            f"or one of {', '.join(there)}"
        ) from None
    # by the routing table alone packets with this address may leave through another interface
    own = (one for one in attached() if one.ip == source and not one.loopback)
    return Place(source, next((one.name for one in own), None))


def exits_of(
    plan: ProbePlan, source: str | None, known: dict[str, Exit] | None = None
) -> dict[str, Exit]:
    """Return where the requests to each target of a plan leave, by the target's key.

    ``known`` are exits by IP address that need not be looked up again; what is found is added.
    """
    pinned, near = place(source), list(attached())
    by_target = {} if known is None else known
    by_own: dict[str, Exit] = {one.ip: one for one in by_target.values()}
    found: dict[str, Exit] = {}
    for target in plan.targets:
        ip = target.ip
        if ip is None:
            continue
        if ip not in by_target:
            own = leaves_from(ip, pinned)
            if own is None:
                continue
            if own not in by_own:
                by_own[own] = Exit(own, _mac_of(own, near))
            by_target[ip] = by_own[own]
        found[target.key] = by_target[ip]
    return found


def destination(ip: str, port: int = 0) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return an address as sockets take it: Python drops the zone of ``fe80::1%eth0`` else.

    Raises:
        OSError: this machine has no such interface.

    """
    address, _, zone = ip.partition("%")
    if not zone:
        return ip, port
    index = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    return address, port, 0, index


def leaves_from(ip: str, pinned: Place) -> str | None:
    """Ask the routing table for the own address that a packet to ``ip`` would carry.

    A socket for each question: one that was connected before keeps its first address.
    """
    version = 6 if ":" in ip else 4
    try:
        with socket.socket(
            socket.AF_INET6 if version == 6 else socket.AF_INET,  # noqa: PLR2004 - IP versions
            socket.SOCK_DGRAM,
        ) as sock:
            address = pinned.ip(version)
            if address is not None:
                sock.bind((address, 0))
            if pinned.interface is not None:
                name = pinned.interface.encode() + b"\0"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            sock.connect(destination(ip, _DISCARD))
            return str(sock.getsockname()[0]).partition("%")[0]
    except OSError:
        return None


def _mac_of(ip: str, near: list[Interface]) -> str | None:
    """Return the MAC of the interface that has an address."""
    if ":" not in ip:
        return next((one.mac for one in near if one.ip == ip), None)
    name = v6_interfaces().get(ip)
    return next((one.mac for one in near if one.name == name), None)
