"""What DHCP's options and fields say, read once more for the oracle."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scapy.layers.dhcp import BOOTP


class UnsureError(Exception):
    """scapy has not read all of it."""


def usable(text: str) -> str | None:
    """Return an address in its short form if a device can own it."""
    ip = ipaddress.ip_address(text)
    if ip.is_unspecified or ip.is_multicast or ip.is_loopback or text == "255.255.255.255":
        return None
    if ip.version == 4 and ip in ipaddress.ip_network("0.0.0.0/8"):
        return None
    return str(ip)


def directions(raw: dict[int, bytes]) -> tuple[tuple[str, str], ...]:
    """Return what clients are sent to, from the options' bytes; 119 has a test of its own."""
    if 119 in raw:
        raise UnsureError
    found: list[tuple[str, str]] = []
    texts = {15: "domain", 66: "boot", 252: "proxy"}
    addresses = {54: "server", 6: "dns", 44: "wins", 150: "boot"}
    for code in (54, 6, 15, 33, 44, 66, 150, 121, 249, 252):
        field = raw.get(code, b"")
        if code in texts:
            found += [(texts[code], text) for text in [printable(field)] if text]
        elif code in addresses:
            found += [(addresses[code], ip) for ip in _words(field) if usable(ip)][:8]
        else:
            routes = _old_routes(field) if code == 33 else _routes(field)
            found += [("route", route) for route in routes][:8]
    return tuple(dict.fromkeys(found))


def _words(field: bytes) -> list[str]:
    whole = range(0, len(field) // 4 * 4, 4)
    return [str(ipaddress.ip_address(field[at : at + 4])) for at in whole]


def _old_routes(field: bytes) -> list[str]:
    """Return static routes (RFC 2132, 5.8)."""
    words = _words(field)
    return [f"{to} via {via}" for to, via in zip(words[::2], words[1::2], strict=False)]


def fields(bootp: BOOTP, raw: dict[int, bytes]) -> Iterator[tuple[str, str]]:
    """Return the relay, and whence the file comes that is named."""
    if relay := usable(bootp.giaddr):
        yield "relay", relay
    overloaded = int.from_bytes(raw.get(52, b""), "big") & 1
    named = 67 in raw or (any(bytes(bootp)[108:236]) and not overloaded)
    if named and (server := usable(bootp.siaddr)):
        yield "boot-next", server


def printable(field: bytes) -> str:
    """Return the ASCII that can be printed."""
    return "".join(chr(byte) for byte in field if 32 <= byte < 127)[:63]


def _routes(field: bytes) -> Iterator[str]:
    """Return classless routes (RFC 3442)."""
    while field and field[0] <= 32:
        covered = -(-field[0] // 8)
        route, field = field[: 5 + covered], field[5 + covered :]
        if len(route) < 5 + covered:
            return
        network = ipaddress.ip_address(route[1 : 1 + covered] + b"\0" * (4 - covered))
        yield f"{network}/{route[0]} via {ipaddress.ip_address(route[-4:])}"
