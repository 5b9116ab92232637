"""What the kernel knows of this machine's network interfaces: names, state, speed, addresses. I/O.

Existence and state are asked by ioctl, which speaks of the network namespace of this process;
sysfs may be another namespace's, so it is believed only where the index agrees.
"""

from __future__ import annotations

import fcntl
import ipaddress
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYS: Final = Path("/sys/class/net")
_SIOCGIFFLAGS: Final = 0x8913  # linux/sockios.h
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFNETMASK: Final = 0x891B
_SIOCGIFHWADDR: Final = 0x8927
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING, _IFF_NOARP = 0x1, 0x8, 0x40, 0x80  # linux/if.h
_ARPHRD_ETHERNET: Final = 1  # linux/if_arp.h
_ARPHRD_LOOPBACK: Final = 772
_MEGABIT: Final = 1_000_000


def names() -> list[str]:
    """Return the interfaces there are, in natural order: eth2 before eth10."""
    return sorted((name for _, name in socket.if_nameindex()), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def index_of(name: str) -> int | None:
    """Return the index of an interface, None where there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _ask(name: str, request: int) -> bytes | None:
    """Return the 16 bytes an interface ioctl answers with."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            return fcntl.ioctl(sock, request, struct.pack("16s24x", name.encode()[:15]))[16:32]
        except OSError:
            return None


def _flags(name: str) -> int | None:
    answer = _ask(name, _SIOCGIFFLAGS)
    return None if answer is None else int(struct.unpack_from("H", answer)[0])


def is_up(name: str) -> bool:
    """Return whether the interface is switched on (a cable need not be in it)."""
    return bool((_flags(name) or 0) & _IFF_UP)


def has_link(name: str) -> bool | None:
    """Return whether the interface is on and has a carrier (RFC 2863); None: it is gone."""
    flags = _flags(name)
    return None if flags is None else bool(flags & _IFF_RUNNING)


def has_ethernet_header(name: str) -> bool:
    """Return whether its frames begin with MAC addresses (tunnels and PPP do not)."""
    answer = _ask(name, _SIOCGIFHWADDR)
    kinds = (_ARPHRD_ETHERNET, _ARPHRD_LOOPBACK)
    return answer is not None and struct.unpack_from("H", answer)[0] in kinds


def mac_of(name: str) -> str | None:
    """Return the interface's own MAC address as 12 hex digits, None where it has none."""
    answer = _ask(name, _SIOCGIFHWADDR)
    return None if answer is None or not is_ethernet(name) else answer[2:8].hex()


def is_ethernet(name: str) -> bool:
    """Return whether it is an Ethernet, of whatever kind."""
    answer = _ask(name, _SIOCGIFHWADDR)
    return answer is not None and struct.unpack_from("H", answer)[0] == _ARPHRD_ETHERNET


def link_bps(name: str) -> int | None:
    """Return the speed of the link, None where it is not known."""
    folder = sysfs_folder(name)
    speed = None if folder is None else number_in(folder / "speed")
    return speed * _MEGABIT if speed is not None and speed > 0 else None


def is_wired(name: str) -> bool:
    """Return whether it is an Ethernet by cable, or what a virtual machine calls so."""
    folder = _SYS / name
    wireless = (folder / "wireless").exists() or (folder / "phy80211").exists()
    return is_ethernet(name) and not wireless and not name.startswith("wl")


def is_real(name: str) -> bool:
    """Return whether there is hardware behind it: bridges, veths and the like have no device."""
    folder = sysfs_folder(name)
    return folder is not None and (folder / "device").exists()


def sysfs_folder(name: str) -> Path | None:
    """Return the interface's folder in sysfs if that is of our namespace."""
    folder = _SYS / name
    index = index_of(name)
    return folder if index is not None and number_in(folder / "ifindex") == index else None


def number_in(file: Path) -> int | None:
    """Return the number a file of sysfs holds; None: it is not there, or holds none."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def has_no_arp(index: int) -> bool:
    """Return whether packets leave an interface without anybody being asked for an address."""
    try:
        name = socket.if_indextoname(index)
    except OSError:
        return False
    return bool((_flags(name) or 0) & (_IFF_NOARP | _IFF_LOOPBACK))


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface with its first IPv4 address."""

    name: str
    mac: str | None
    ip: str | None
    prefix: int | None
    up: bool
    """It is switched on, and has a carrier, which the kernel says of no other."""
    loopback: bool
    has_arp: bool

    @property
    def network(self) -> ipaddress.IPv4Network | None:
        """The attached subnet; None without an address."""
        if self.ip is None or self.prefix is None:
            return None
        return ipaddress.IPv4Network(f"{self.ip}/{self.prefix}", strict=False)


def attached() -> Iterator[Interface]:
    """Go through the interfaces of this machine."""
    for _, name in socket.if_nameindex():
        flags = _flags(name)
        if flags is None:
            continue
        hardware = _ask(name, _SIOCGIFHWADDR)
        address = _ask(name, _SIOCGIFADDR)
        mask = _ask(name, _SIOCGIFNETMASK)
        mac = hardware[2:8] if hardware else b""
        yield Interface(
            name=name,
            mac=mac.hex(":") if any(mac) else None,
            ip=socket.inet_ntoa(address[4:8]) if address else None,
            prefix=int.from_bytes(mask[4:8], "big").bit_count() if mask else None,
            up=bool(flags & _IFF_RUNNING),
            loopback=bool(flags & _IFF_LOOPBACK),
            has_arp=not flags & _IFF_NOARP,
        )
