"""What DHCP's options send clients to: name servers, routes, proxies, boot servers. Pure.

Whoever sets one of them stands between a client and the world, whatever router it names: its name
server answers for every name, a route of /1 beats the default route (option 121), a proxy script
(option 252, WPAD) sees what browsers ask for, a boot server hands out an operating system, and a
search domain is tried behind every short name. Each is read into short printable text, so that
what servers direct clients to can be compared; so is by which name the server calls itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.dissect.discovery import IPV4_SIZE, IPV6_SIZE, ipv4, ipv6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Reader = Callable[[bytes], Iterable[str | None]]

Directions = tuple[tuple[str, str], ...]
"""Names of options and their values, as in ``(("dns", "192.0.2.53"),)``."""
MAX_VALUES: Final = 8
"""Values of one option that are read."""
_MAX_TEXT: Final = 63
_MAX_PREFIX: Final = 32
_MAX_LABELS: Final = 16


def directions(options: Mapping[int, bytes]) -> Directions:
    """Return what DHCP's options say of where clients are to turn to (RFC 2132, 3442, 5859)."""
    return _directions(_DHCP, options)


def directions_v6(options: Mapping[int, bytes]) -> Directions:
    """Return the same of DHCPv6's options (RFC 3646, RFC 5970)."""
    return _directions(_DHCPV6, options)


def _directions(
    table: Iterable[tuple[int, str, Reader]], options: Mapping[int, bytes]
) -> Directions:
    found: dict[tuple[str, str], None] = {}
    for code, name, read in table:
        if code in options:
            values = [one for one in read(options[code]) if one][:MAX_VALUES]
            found |= dict.fromkeys((name, one) for one in values)
    return tuple(found)


def _addresses(raw: bytes) -> Iterator[str | None]:
    for at in range(0, len(raw) - IPV4_SIZE + 1, IPV4_SIZE):
        yield ipv4(raw[at : at + IPV4_SIZE])


def _addresses_v6(raw: bytes) -> Iterator[str | None]:
    for at in range(0, len(raw) - IPV6_SIZE + 1, IPV6_SIZE):
        yield ipv6(raw[at : at + IPV6_SIZE])


def _text(raw: bytes) -> Iterator[str]:
    text = raw.decode("ascii", "replace")
    yield "".join(char for char in text if char.isprintable() and char != "\ufffd")[:_MAX_TEXT]


def _routes(raw: bytes) -> Iterator[str]:
    """Return classless routes: the network's size, as much of it as that covers, the router."""
    at = 0
    while at < len(raw) and raw[at] <= _MAX_PREFIX:
        size = raw[at]
        covered = (size + 7) // 8
        network = raw[at + 1 : at + 1 + covered].ljust(IPV4_SIZE, b"\0")
        at += 1 + covered + IPV4_SIZE
        if at > len(raw):
            return
        via = raw[at - IPV4_SIZE : at]
        yield "{}.{}.{}.{}/{} via {}.{}.{}.{}".format(*network, size, *via)


def _domains(raw: bytes) -> Iterator[str]:
    """Return domain names as DNS writes them, without its pointers (RFC 8415, section 10)."""
    labels: list[bytes] = []
    at = 0
    while at < len(raw) and len(labels) < _MAX_LABELS:
        size, at = raw[at], at + 1
        if size:
            labels.append(raw[at : at + size])
            at += size
        elif labels:
            yield from _text(b".".join(labels))
            labels = []


def _old_routes(raw: bytes) -> Iterator[str]:
    """Return static routes of the time before classes ended: a host or network, the router."""
    for at in range(0, len(raw) - 2 * IPV4_SIZE + 1, 2 * IPV4_SIZE):
        yield "{}.{}.{}.{} via {}.{}.{}.{}".format(*raw[at : at + 2 * IPV4_SIZE])


def _hex(raw: bytes) -> Iterator[str]:
    yield raw.hex()[:_MAX_TEXT]


_DHCP: Final[tuple[tuple[int, str, Reader], ...]] = (
    (54, "server", _addresses),
    (6, "dns", _addresses),
    (15, "domain", _text),
    (33, "route", _old_routes),
    (44, "wins", _addresses),
    (66, "boot", _text),
    (150, "boot", _addresses),
    (121, "route", _routes),
    (249, "route", _routes),  # Microsoft's number for 121
    (252, "proxy", _text),
    (119, "search", _domains),
)
_DHCPV6: Final[tuple[tuple[int, str, Reader], ...]] = (
    (2, "server-v6", _hex),
    (23, "dns-v6", _addresses_v6),
    (24, "domain-v6", _domains),
    (59, "boot-v6", _text),
)
