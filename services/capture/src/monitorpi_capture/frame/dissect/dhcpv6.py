"""DHCP for IPv6 (RFC 8415): who serves, which addresses it gives, and which are given up. Pure."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.frame.dissect.dhcpoptions import directions_v6
from monitorpi_capture.frame.dissect.discovery import IPV6_SIZE, MAC_SIZE, MalformedFrameError, ipv6

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitorpi_capture.frame.dissect.discovery import DiscoveryFrame
    from monitorpi_capture.items import Sighting

_PORTS: Final = (546, 547)
_ADVERTISE: Final = 2
_REPLY: Final = 7
_RELEASE: Final = 8
_DECLINE: Final = 9
_RELAYED: Final = (12, 13)
"""A relay's message to a server, and the server's to a relay."""
_TOLD: Final = frozenset({_ADVERTISE, _REPLY, _RELEASE, _DECLINE})
_HEADER: Final = 4
_RELAY_HEADER: Final = 34
_MAX_RELAYS: Final = 8
"""HOP_COUNT_LIMIT (section 7.6)."""

_CLIENT_ID: Final = 1
_SERVER_ID: Final = 2
_IA_NA: Final = 3
_IA_TA: Final = 4
_IA_ADDRESS: Final = 5
_RELAY_MESSAGE: Final = 9
_IA_PD: Final = 25
_IA_PREFIX: Final = 26
_TELLING: Final = frozenset({23, 24, 59})
"""Name servers, search domains, a file to boot: what a client takes without an address too."""
_OUTER: Final = frozenset({_CLIENT_ID, _SERVER_ID}) | _TELLING
"""Options that are of use outside an association; an address there is none (21.6)."""
_IA_HEADER: Final = {_IA_NA: 12, _IA_TA: 4, _IA_PD: 12}
"""Identity associations, and where the options in them begin (21.4, 21.5, 21.21)."""
_ADDRESS_SIZE: Final = 24
_PREFIX_SIZE: Final = 25
_DUID_LINK: Final = {b"\0\x01\0\x01": 8, b"\0\x03\0\x01": 4}
"""DUID-LLT and DUID-LL of Ethernet, and where the MAC address is (11.2, 11.4)."""

_MAX_OPTIONS: Final = 64
"""Options that are looked at in one message, those inside others counted too."""
_MAX_ADDRESSES: Final = 8
_OPTION: Final = Struct(">HH").unpack_from


class _Found(NamedTuple):
    """What the options of a message hold."""

    client: bytes | None
    """The client's MAC address, as far as its id holds it."""
    addresses: tuple[str, ...]
    """Addresses in identity associations."""
    living: tuple[str, ...]
    """Those of them with a lifetime."""
    hands_out: bool
    """An address or a prefix with a lifetime."""
    tells: bool
    """Something else that clients need."""
    directions: tuple[tuple[str, str], ...]
    """Which server it is, and where else it sends clients."""


def read(frame: DiscoveryFrame) -> Iterator[Sighting]:
    """Read one message, through relays.

    A server serves when it gives an address or a prefix a lifetime, or when its REPLY names name
    servers and their like, as those do that answer an INFORMATION-REQUEST (stateless DHCPv6); only
    its REPLY names addresses. What is on its way to a relay (RELAY-REPL) no client takes, and the
    next relay or router on its way sends it on: it makes nobody a server. The client is known where
    its id holds an Ethernet address; who gives an address up without a relay is the frame's own
    sender.

    Raises:
        MalformedFrameError: it is too short, or its options are broken.

    """
    if frame.port not in _PORTS:
        return
    start, stop, in_part = frame.udp_payload()
    body = frame.data[start:stop]
    relays = 0
    while body and body[0] in _RELAYED:
        relays += 1
        if relays > _MAX_RELAYS:
            raise MalformedFrameError
        body = _relayed(body, in_part=in_part)
    if len(body) < _HEADER:
        raise MalformedFrameError
    kind = body[0]
    if kind not in _TOLD:
        return
    found = _found(body, in_part=in_part)
    if kind in (_ADVERTISE, _REPLY):
        if not relays and (found.hands_out or (kind == _REPLY and found.tells)):
            yield frame.sighting("dhcpv6", serves_dhcp=True, directions=found.directions)
        if kind == _REPLY and found.client is not None and found.living:
            yield frame.sighting("dhcpv6", found.client, named=found.living)
        return
    client = found.client if relays else frame.source
    if client is not None and found.addresses:
        yield frame.sighting("dhcpv6", client, ended=found.addresses)


def _relayed(body: bytes, *, in_part: bool) -> bytes:
    """Return the message inside a relay's."""
    for code, contents in _options(body, _RELAY_HEADER, in_part=in_part):
        if code == _RELAY_MESSAGE:
            return contents
    raise MalformedFrameError


def _options(body: bytes, at: int, *, in_part: bool) -> Iterator[tuple[int, bytes]]:
    """Return the options from a place on; the last may be there in part.

    Raises:
        MalformedFrameError: one runs over the end of a whole message.

    """
    stop = len(body)
    while at + _HEADER <= stop:
        code, size = _OPTION(body, at)
        at += _HEADER
        if at + size > stop and not in_part:
            raise MalformedFrameError
        yield code, body[at : at + size]
        at += size


def _flat(body: bytes, *, in_part: bool) -> Iterator[tuple[int, bytes]]:
    """Return a message's options and those in its identity associations, in their order.

    Raises:
        MalformedFrameError: they are broken, or too many.

    """
    left = _MAX_OPTIONS
    for code, contents in _options(body, _HEADER, in_part=in_part):
        inside = _IA_HEADER.get(code)
        if inside is None:
            inner: Iterable[tuple[int, bytes]] = ((code, contents),) if code in _OUTER else ()
        else:
            inner = _options(contents, inside, in_part=in_part)
        left -= 1
        for one in inner:
            left -= 1
            if left < 0:
                raise MalformedFrameError
            yield one


def _found(body: bytes, *, in_part: bool) -> _Found:
    """Read the options of a message.

    Raises:
        MalformedFrameError: they are broken, or too many.

    """
    client = None
    hands_out = False
    addresses: dict[str, None] = {}
    living: dict[str, None] = {}
    options: dict[int, bytes] = {}
    for code, contents in _flat(body, in_part=in_part):
        if code == _CLIENT_ID:
            client = _mac(contents)
        elif code in _TELLING or code == _SERVER_ID:
            options[code] = contents
        elif code == _IA_PREFIX and len(contents) >= _PREFIX_SIZE:
            hands_out = hands_out or any(contents[4:8])
        elif code == _IA_ADDRESS and len(contents) >= _ADDRESS_SIZE:
            ip = ipv6(contents[:IPV6_SIZE])
            if ip is None or len(addresses) >= _MAX_ADDRESSES:
                continue
            addresses[ip] = None
            if any(contents[20:_ADDRESS_SIZE]):
                living[ip] = None
                hands_out = True
    directions = directions_v6(options)
    tells = any(name != "server-v6" for name, _ in directions)
    return _Found(client, tuple(addresses), tuple(living), hands_out, tells, directions)


def _mac(duid: bytes) -> bytes | None:
    """Return the Ethernet address in a DUID, None where it holds none."""
    at = _DUID_LINK.get(duid[:4])
    mac = b"" if at is None else duid[at : at + MAC_SIZE]
    return mac if len(mac) == MAC_SIZE else None
