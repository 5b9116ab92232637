"""What the operating system knows of network interfaces: names, state, speed, losses. I/O.

Existence and state are asked by ioctl, which speaks of the network namespace of this process;
sysfs may be another namespace's, so it is believed only where the index agrees.
"""

from __future__ import annotations

import fcntl
import json
import re
import socket
import struct
from pathlib import Path
from typing import Final

from monitorpi_common.service import ResourceError

_SYS: Final = Path("/sys/class/net")
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFHWADDR: Final = 0x8927
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
_ARPHRD_ETHERNET: Final = 1
_ARPHRD_LOOPBACK: Final = 772
_MEGABIT: Final = 1_000_000


def names() -> list[str]:
    """Return the interfaces there are, in natural order: eth2 before eth10."""
    return sorted((name for _, name in socket.if_nameindex()), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


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
            return fcntl.ioctl(sock, request, struct.pack("16s24x", name.encode()))[16:32]
        except OSError:
            return None


def is_up(name: str) -> bool:
    """Return whether the interface is switched on (a cable need not be in it)."""
    answer = _ask(name, _SIOCGIFFLAGS)
    return answer is not None and bool(struct.unpack_from("H", answer)[0] & _IFF_UP)


def has_link(name: str) -> bool | None:
    """Tell whether the interface is on and has a carrier, as by a cable (RFC 2863); None: gone."""
    answer = _ask(name, _SIOCGIFFLAGS)
    return None if answer is None else bool(struct.unpack_from("H", answer)[0] & _IFF_RUNNING)


def has_ethernet_header(name: str) -> bool:
    """Return whether its frames begin with MAC addresses (tunnels and PPP do not)."""
    answer = _ask(name, _SIOCGIFHWADDR)
    kinds = (_ARPHRD_ETHERNET, _ARPHRD_LOOPBACK)
    return answer is not None and struct.unpack_from("H", answer)[0] in kinds


def mac_of(name: str) -> str | None:
    """Return the interface's own MAC address as 12 hex digits, None where it has none."""
    answer = _ask(name, _SIOCGIFHWADDR)
    return None if answer is None or not _is_ethernet(name) else answer[2:8].hex()


def _is_ethernet(name: str) -> bool:
    answer = _ask(name, _SIOCGIFHWADDR)
    return answer is not None and struct.unpack_from("H", answer)[0] == _ARPHRD_ETHERNET


def _folder(name: str) -> Path | None:
    """Return the interface's folder in sysfs if that is of our namespace."""
    folder = _SYS / name
    return folder if _number(folder / "ifindex") == index_of(name) else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def link_bps(name: str) -> int | None:
    """Return the speed of the link, None where it is not known."""
    folder = _folder(name)
    speed = None if folder is None else _number(folder / "speed")
    return speed * _MEGABIT if speed is not None and speed > 0 else None


def choose() -> str:
    """Return the interface to count on when none is configured.

    The first wired one that is up: a real port if there is one, else what a container or a virtual
    machine calls its Ethernet (``eth*``, ``en*``).

    Raises:
        ResourceError: there is none.

    """
    wired = [name for name in names() if _is_wired(name) and has_link(name)]
    real = [name for name in wired if _is_real(name)]
    named = [name for name in wired if re.match(r"(eth|en)[a-z0-9]*\d", name)]
    if real or named:
        return (real or named)[0]
    there = [name for name in names() if _is_ethernet(name)]
    example = json.dumps(there[:1] or ["eth0"])
    raise ResourceError(
        f"no wired interface is up (there are: {', '.join(there) or 'none'}): plug the mirror port "
        f"in, or name the interface to count on, as capture.interfaces = {example}; with "
        f"containers, as MONITORPI_INTERFACES={example} in .env"
    )


def _is_wired(name: str) -> bool:
    folder = _SYS / name
    wireless = (folder / "wireless").exists() or (folder / "phy80211").exists()
    return _is_ethernet(name) and not wireless and not name.startswith("wl")


def _is_real(name: str) -> bool:
    """Return whether there is hardware behind it: bridges, veths and the like have no device."""
    folder = _folder(name)
    return folder is not None and (folder / "device").exists()


def require(wanted: tuple[str, ...]) -> None:
    """Check that interfaces can be counted on.

    Raises:
        ResourceError: one is missing or has no Ethernet header.

    """
    for name in wanted:
        if index_of(name) is None:
            there = ", ".join(names()) or "none"
            raise ResourceError(
                f"there is no interface {name!r}: plug it in, or set capture.interfaces to one of "
                f"those there are: {there}"
            )
        if not has_ethernet_header(name):
            raise ResourceError(
                f"interface {name!r} carries no Ethernet frames: set capture.interfaces to one "
                "that does"
            )


class Losses:
    """Frames lost below the tap, as differences since it was last asked."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}
        self._softnet = _softnet_dropped()

    def of(self, name: str) -> dict[str, int]:
        """Return what an interface lost since the last call, by place.

        A counter that went back (the interface was made anew) counts from zero.
        """
        now = _interface_losses(name)
        before = self._seen.get(name)
        self._seen[name] = now
        if before is None:
            return {}
        return {
            place: lost - before.get(place, 0) if lost >= before.get(place, 0) else lost
            for place, lost in now.items()
        }

    def softnet(self) -> int:
        """Return what the whole machine's receive queues dropped since the last call."""
        before, self._softnet = self._softnet, _softnet_dropped()
        return max(self._softnet - before, 0)


def _interface_losses(name: str) -> dict[str, int]:
    folder = _folder(name)
    if folder is not None:
        statistics = folder / "statistics"
        return {
            "rx_missed": _number(statistics / "rx_missed_errors") or 0,
            "rx_dropped": _number(statistics / "rx_dropped") or 0,
        }
    try:
        table = Path("/proc/self/net/dev").read_text(encoding="ascii")
    except OSError:
        return {}
    for line in table.splitlines():
        head, _, counters = line.partition(":")
        if head.strip() == name:
            return {"rx_dropped": int(counters.split()[3])}
    return {}


def _softnet_dropped() -> int:
    """Return the second column of softnet_stat (hexadecimal), over all CPUs."""
    try:
        table = Path("/proc/self/net/softnet_stat").read_text(encoding="ascii")
        return sum(int(line.split()[1], 16) for line in table.splitlines())
    except (OSError, ValueError, IndexError):
        return 0
