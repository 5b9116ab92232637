"""Which subnets a machine is in, as the kernel's tables have it. I/O: /proc."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_RTF_REJECT: Final = 0x200  # linux/route.h
_WIDEST_V4, _WIDEST_V6 = 8, 64
"""Prefixes of the largest subnets: a VPN takes all traffic by 0.0.0.0/1 and the like, and anybody's
router advertisement may call a prefix of any length attached."""


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


def v6_interfaces() -> dict[str, str]:
    """Return the interface of each IPv6 address of this machine (proc(5): /proc/net/if_inet6)."""
    return {
        str(ipaddress.IPv6Address(int(word[0], 16))): word[5]
        for word in _table("/proc/net/if_inet6")
        if len(word) > 5  # noqa: PLR2004 - its six columns
    }


def _table(file: str) -> list[list[str]]:
    try:
        lines = Path(file).read_text(encoding="ascii").splitlines()
    except OSError:
        return []  # a machine without this version of IP
    return [line.split() for line in lines]
