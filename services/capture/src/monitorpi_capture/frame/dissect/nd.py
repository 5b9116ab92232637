"""Neighbour discovery (RFC 4861): who has an IPv6 address, who is a router, what is on-link. Pure.

Every message must have hop limit 255 and code 0, and come whole (RFC 6980: none in fragments); an
option of length 0 or one that runs over the message's end makes it void (sections 6.1 and 7.1).
The link-layer address in it must be the sender's.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.dissect.discovery import (
    IPV6_SIZE,
    MAC_SIZE,
    MalformedFrameError,
    ipv6,
    is_link_local,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.frame.dissect.discovery import DiscoveryFrame
    from monitorpi_capture.items import Sighting

_ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
_NEIGHBOUR_SOLICITATION: Final = 135
_NEIGHBOUR_ADVERTISEMENT: Final = 136
_OPTIONS_AT: Final = {
    _ROUTER_SOLICITATION: 8,
    ROUTER_ADVERTISEMENT: 16,
    _NEIGHBOUR_SOLICITATION: 24,
    _NEIGHBOUR_ADVERTISEMENT: 24,
}
"""Where a message's options begin (sections 4.1 to 4.4)."""
TYPES: Final = frozenset(_OPTIONS_AT)
_HOP_LIMIT: Final = 255
_IPV6_HEADER: Final = 40
_SOURCE: Final = 8
"""Where the source address is in an IPv6 header."""
_TARGET: Final = 8
"""Where the target is in a solicitation or advertisement of a neighbour."""
_LIFETIME: Final = 6
_SOURCE_LINK: Final = 1
_TARGET_LINK: Final = 2
_PREFIX: Final = 3
_NAME_SERVERS: Final = 25
"""Hosts take them from any advertisement, also of one that is no router (RFC 8106, 5.1)."""
_PREFIX_SIZE: Final = 32
_ON_LINK: Final = 0x80
_MAX_OPTIONS: Final = 64
"""Options that are looked at; a router's own take ten or so."""
_MAX_SUBNETS: Final = 8

_Options = list[tuple[int, bytes]]


def read(frame: DiscoveryFrame) -> Iterator[Sighting]:
    """Read one message.

    Raises:
        MalformedFrameError: a host would throw it away.

    """
    data, start = frame.data, frame.transport
    if data[frame.network + 7] != _HOP_LIMIT or frame.fragment:
        raise MalformedFrameError
    kind = data[start]
    options_at = start + _OPTIONS_AT[kind]
    stop, in_part = frame.ends(frame.network + _IPV6_HEADER + frame.u16(frame.network + 4))
    if options_at > stop or data[start + 1] != 0:
        raise MalformedFrameError
    options = _options(data, options_at, stop, in_part=in_part)
    origin = data[frame.network + _SOURCE : frame.network + _SOURCE + IPV6_SIZE]
    if kind == ROUTER_ADVERTISEMENT:
        yield _advertised(frame, options, origin)
    elif kind == _NEIGHBOUR_ADVERTISEMENT:
        target = data[start + _TARGET : start + _TARGET + IPV6_SIZE]
        yield from _claim(frame, target, _link(options, _TARGET_LINK))
    elif kind == _NEIGHBOUR_SOLICITATION and not any(origin):
        tried = ipv6(data[start + _TARGET : start + _TARGET + IPV6_SIZE])
        if tried is not None:
            yield frame.sighting("nd", tries=tried)
    elif kind == _NEIGHBOUR_SOLICITATION:
        wanted = ipv6(data[start + _TARGET : start + _TARGET + IPV6_SIZE])
        yield from _claim(frame, origin, _link(options, _SOURCE_LINK), wanted)
    else:
        yield from _claim(frame, origin, _link(options, _SOURCE_LINK))


def _options(data: bytes, at: int, stop: int, *, in_part: bool) -> _Options:
    """Return the options of a message, type and contents.

    Args:
        data: the frame.
        at: where they begin.
        stop: where they end.
        in_part: the message goes on where the captured bytes end.

    Raises:
        MalformedFrameError: a length is 0, one runs over the end, or there are too many.

    """
    found: _Options = []
    while at + 2 <= stop:
        size = data[at + 1] * 8
        if not size or len(found) >= _MAX_OPTIONS:
            raise MalformedFrameError
        if at + size > stop:
            break
        found.append((data[at], data[at + 2 : at + size]))
        at += size
    if at < stop and not in_part:
        raise MalformedFrameError
    return found


def _link(options: _Options, kind: int) -> bytes | None:
    """Return the link-layer address in the options, the last one as hosts take it."""
    link = None
    for one, contents in options:
        if one == kind:
            link = contents[:MAC_SIZE]
    return link


def _claim(
    frame: DiscoveryFrame, address: bytes, link: bytes | None, asks: str | None = None
) -> Iterator[Sighting]:
    """Read who has an address, and which one he asks for."""
    ip = ipv6(address)
    if ip is not None and link is not None and len(link) == MAC_SIZE:
        yield frame.sighting("nd", link, ips=(ip,), asks=asks)


def _advertised(frame: DiscoveryFrame, options: _Options, origin: bytes) -> Sighting:
    """Read a router advertisement; the address it comes from must be link-local (6.1.2).

    It need not name its link-layer address; where it names another, it proves no address.
    """
    ip = ipv6(origin)
    if ip is None or not is_link_local(origin):
        raise MalformedFrameError
    lives = frame.u16(frame.transport + _LIFETIME) > 0 or _names_servers(options)
    own = _link(options, _SOURCE_LINK) in (None, frame.source)
    return frame.sighting(
        "ra",
        ips=(ip,) if own else (),
        is_router=lives,
        ends_router=not lives,
        subnets=_on_link(options),
    )


def _names_servers(options: _Options) -> bool:
    """Tell whether hosts take a name server from an advertisement: its lifetime is not 0."""
    return any(kind == _NAME_SERVERS and any(contents[2:6]) for kind, contents in options)


def _on_link(options: _Options) -> tuple[str, ...]:
    """Return the on-link prefixes that are valid (4.6.2)."""
    found: dict[str, None] = {}
    for kind, contents in options:
        if kind != _PREFIX or len(contents) + 2 != _PREFIX_SIZE or len(found) >= _MAX_SUBNETS:
            continue
        size, flags, valid = contents[0], contents[1], contents[2:6]
        prefix = contents[14:30]
        usable = 0 < size <= IPV6_SIZE * 8 and ipv6(prefix) and not is_link_local(prefix)
        if flags & _ON_LINK and any(valid) and usable:
            found[str(IPv6Network((prefix, size), strict=False))] = None
    return tuple(found)
