"""This machine's own interfaces: which MAC and address requests leave from, which nets are near."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_common.service import ResourceError
from monitorpi_prober.items import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_prober.schedule import ProbePlan

_SIOCGIFADDR: Final = 0x8915  # linux/sockios.h
_SIOCGIFNETMASK: Final = 0x891B
_SIOCGIFHWADDR: Final = 0x8927
_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING, _IFF_NOARP = 0x1, 0x8, 0x40, 0x80  # linux/if.h
_RTF_REJECT: Final = 0x200  # linux/route.h
_WIDEST_V4, _WIDEST_V6 = 8, 64
"""Prefixes of the largest subnets: a VPN takes all traffic by 0.0.0.0/1 and the like, and anybody's
router advertisement may call a prefix of any length attached."""
_DISCARD: Final = 9  # a port; connecting a datagram socket sends nothing


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface with its first IPv4 address."""

    name: str
    mac: str | None
    ip: str | None
    prefix: int | None
    up: bool
    """It is switched on, and has a carrier."""
    loopback: bool
    has_arp: bool

    @property
    def network(self) -> ipaddress.IPv4Network | None:
        """The attached subnet; None without an address."""
        if self.ip is None or self.prefix is None:
            return None
        return ipaddress.IPv4Network(f"{self.ip}/{self.prefix}", strict=False)


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
        names = [name for _, name in socket.if_nameindex()]
        if source in names:
            return Place(interface=source)
        raise ResourceError(
            f"there is no interface {source!r}: prober.source must be an address of this machine "
            f"or one of {', '.join(names)}"
        ) from None
    # by the routing table alone packets with this address may leave through another interface
    own = (one for one in attached() if one.ip == source and not one.loopback)
    return Place(source, next((one.name for one in own), None))


def attached() -> Iterator[Interface]:
    """Go through the interfaces of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            flags_raw = _ask(sock, name, _SIOCGIFFLAGS)
            if flags_raw is None:
                continue
            (flags,) = struct.unpack_from("=H", flags_raw, 16)
            hardware = _ask(sock, name, _SIOCGIFHWADDR)
            address = _ask(sock, name, _SIOCGIFADDR)
            mask = _ask(sock, name, _SIOCGIFNETMASK)
            mac = hardware[18:24] if hardware else b""
            yield Interface(
                name=name,
                mac=mac.hex(":") if any(mac) else None,
                ip=socket.inet_ntoa(address[20:24]) if address else None,
                prefix=int.from_bytes(mask[20:24], "big").bit_count() if mask else None,
                up=bool(flags & _IFF_UP and flags & _IFF_RUNNING),
                loopback=bool(flags & _IFF_LOOPBACK),
                has_arp=not flags & _IFF_NOARP,
            )


def attached_networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the subnets that are reached without a router, as the kernel has them now."""
    return [*_v4_networks(), *_v6_networks()]


def _v4_networks() -> Iterator[ipaddress.IPv4Network]:
    """Read the routes without a gateway (proc(5): /proc/net/route, words of the host's order)."""
    for word in _table("/proc/net/route"):
        try:
            to, gateway, flags, mask = (int(word[at], 16) for at in (1, 2, 3, 7))
        except (IndexError, ValueError):
            continue  # the head
        prefix = mask.bit_count()
        if gateway == 0 and prefix >= _WIDEST_V4 and not flags & _RTF_REJECT:
            number = int.from_bytes(to.to_bytes(4, sys.byteorder), "big")
            yield ipaddress.IPv4Network((number, prefix))


def _v6_networks() -> Iterator[ipaddress.IPv6Network]:
    """Read the routes without a gateway that lead somewhere (/proc/net/ipv6_route).

    An address from DHCPv6 comes without its subnet, which only a route tells of.
    """
    for word in _table("/proc/net/ipv6_route"):
        to, prefix, gateway, flags = (int(word[at], 16) for at in (0, 1, 4, 8))
        if gateway == 0 and prefix >= _WIDEST_V6 and not flags & _RTF_REJECT:
            yield ipaddress.IPv6Network((to, prefix))


def _table(file: str) -> list[list[str]]:
    try:
        lines = Path(file).read_text(encoding="ascii").splitlines()
    except OSError:
        return []  # a machine without this version of IP
    return [line.split() for line in lines]


def _ask(sock: socket.socket, name: str, request: int) -> bytes | None:
    try:
        return fcntl.ioctl(sock, request, struct.pack("256s", name.encode()[:15]))
    except OSError:
        return None


def has_no_arp(index: int) -> bool:
    """Tell whether packets leave an interface without anybody being asked for an address."""
    try:
        name = socket.if_indextoname(index)
    except OSError:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        found = _ask(sock, name, _SIOCGIFFLAGS)
    if found is None:
        return False
    (flags,) = struct.unpack_from("=H", found, 16)
    return bool(flags & (_IFF_NOARP | _IFF_LOOPBACK))


def exits(
    plan: ProbePlan, source: str | None, known: dict[str, Exit] | None = None
) -> dict[str, Exit]:
    """Tell where the requests to each target of a plan leave, by the target's key.

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
            return str(sock.getsockname()[0]).split("%", maxsplit=1)[0]
    except OSError:
        return None


def _mac_of(ip: str, near: list[Interface]) -> str | None:
    """Return the MAC of the interface that has an address."""
    if ":" not in ip:
        return next((one.mac for one in near if one.ip == ip), None)
    name = _v6_interfaces().get(ip)
    return next((one.mac for one in near if one.name == name), None)


def _v6_interfaces() -> dict[str, str]:
    """Read the machine's IPv6 addresses (proc(5): /proc/net/if_inet6)."""
    return {
        str(ipaddress.IPv6Address(int(word[0], 16))): word[5]
        for word in _table("/proc/net/if_inet6")
        if len(word) > 5  # noqa: PLR2004 - its six columns
    }
