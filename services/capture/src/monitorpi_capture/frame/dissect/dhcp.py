"""DHCP for IPv4 (RFC 2131, 2132): names, leases, who hands them out, routers and masks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.dissect.dhcpoptions import directions
from monitorpi_capture.frame.dissect.discovery import IPV4_SIZE, MAC_SIZE, MalformedFrameError, ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.frame.dissect.discovery import DiscoveryFrame
    from monitorpi_capture.items import Sighting

_SERVER: Final = 67
_CLIENT: Final = 68
_FIXED: Final = 236
_COOKIE: Final = b"\x63\x82\x53\x63"
_REQUEST: Final = 1
_ANSWER: Final = 2
_ETHERNET: Final = b"\x01\x06"
"""Hardware type and the size of its address."""
_CIADDR: Final = 12
_YIADDR: Final = 16
_SIADDR: Final = 20
_GIADDR: Final = 24
_CHADDR: Final = 28
_FILE: Final = (108, 236)
_FILE_HOLDS_OPTIONS: Final = 1
_OVERLOADED: Final = ((_FILE_HOLDS_OPTIONS, _FILE), (2, (44, 108)))
"""Bits of option 52, and where the field that then holds options is: file, sname (9.3)."""

_PAD: Final = 0
_MASK: Final = 1
_ROUTER: Final = 3
_HOSTNAME: Final = 12
_REQUESTED: Final = 50
_OVERLOAD: Final = 52
_KIND: Final = 53
_BOOT_FILE: Final = 67
_END: Final = 255

_OFFER: Final = b"\x02"
_DECLINE: Final = b"\x04"
_ACK: Final = b"\x05"
_RELEASE: Final = b"\x07"

_MAX_OPTIONS: Final = 128
"""Options that are looked at, runs of padding counted as one; messages have 10 to 40."""
_MAX_ROUTERS: Final = 4


def read(frame: DiscoveryFrame) -> Iterator[Sighting]:
    """Read one message: a client's as what it says of itself, a server's as what it hands out.

    Answers without an address (yiaddr 0: to an INFORM, of a boot server beside the real one) hand
    out nothing and name nobody, as refusals do. What travels to a relay is for clients elsewhere,
    and comes again where they are.

    Raises:
        MalformedFrameError: it is no DHCP message, or its options are broken.

    """
    if frame.port not in (_SERVER, _CLIENT):
        return
    start, stop, in_part = frame.udp_payload()
    body = frame.data[start:stop]
    if len(body) < _FIXED + len(_COOKIE) or body[_FIXED : _FIXED + len(_COOKIE)] != _COOKIE:
        raise MalformedFrameError
    options, whole = _options(body)
    client = body[_CHADDR : _CHADDR + MAC_SIZE] if body[1:3] == _ETHERNET else None
    if body[0] == _REQUEST and client is not None:
        yield from _asked(frame, body, options, client)
    elif body[0] == _ANSWER and frame.port == _CLIENT:
        yield from _answered(frame, body, options, client)
    if not whole and not in_part:
        raise MalformedFrameError


def _options(body: bytes) -> tuple[dict[int, bytes], bool]:
    """Return the options by their codes, and whether they were whole.

    One that is split over several has its parts joined (RFC 3396); the fields for names hold more
    where option 52 says so.
    """
    options: dict[int, bytes] = {}
    left, whole = _add(options, body[_FIXED + len(_COOKIE) :], _MAX_OPTIONS)
    more = int.from_bytes(options.get(_OVERLOAD, b""), "big")
    for bit, (begin, end) in _OVERLOADED:
        if more & bit:
            left, sound = _add(options, body[begin:end], left)
            whole = whole and sound
    return options, whole


def _add(options: dict[int, bytes], field: bytes, left: int) -> tuple[int, bool]:
    """Add the options of one field; returns how many more may be read, and whether all is well."""
    at, stop = 0, len(field)
    while at < stop and left > 0:
        left -= 1
        code = field[at]
        if code == _END:
            return left, True
        if code == _PAD:
            at = stop - len(field[at:].lstrip(b"\0"))
            continue
        if at + 2 > stop or at + 2 + field[at + 1] > stop:
            return left, False
        end = at + 2 + field[at + 1]
        options[code] = options.get(code, b"") + field[at + 2 : end]
        at = end
    return left, left > 0


def _asked(
    frame: DiscoveryFrame, body: bytes, options: dict[int, bytes], client: bytes
) -> Iterator[Sighting]:
    """Read a client's message: its own name, the address it gives up or refuses."""
    kind = options.get(_KIND)
    ended = None
    if kind == _RELEASE:
        ended = _address(body[_CIADDR : _CIADDR + IPV4_SIZE])
    elif kind == _DECLINE:
        ended = _address(options.get(_REQUESTED, b""))
    name = options.get(_HOSTNAME) if client == frame.source else None
    if ended is None and not name:
        return
    yield frame.sighting(
        "dhcp",
        client,
        ended=() if ended is None else (ended,),
        hostname=name.decode("utf-8", "replace") if name else None,
    )


def _answered(
    frame: DiscoveryFrame, body: bytes, options: dict[int, bytes], client: bytes | None
) -> Iterator[Sighting]:
    """Read a server's message: it serves; an acknowledgement names an address of the client."""
    kind = options.get(_KIND)
    ip = _address(body[_YIADDR : _YIADDR + IPV4_SIZE])
    if ip is None or kind not in (_OFFER, _ACK):
        return
    routers = _routers(options.get(_ROUTER, b""))
    said = (*directions(options), *_fields(body, options))
    yield frame.sighting("dhcp", serves_dhcp=True, router_ips=routers, directions=said)
    if kind == _ACK and client is not None:
        yield frame.sighting(
            "dhcp",
            client,
            named=(ip,),
            router_ips=routers,
            subnets=_subnet(body[_YIADDR : _YIADDR + IPV4_SIZE], options.get(_MASK, b"")),
        )


def _fields(body: bytes, options: dict[int, bytes]) -> Iterator[tuple[str, str]]:
    """Return what the fixed fields say: by which relay it came, where what is to be booted is."""
    relay = _address(body[_GIADDR : _GIADDR + IPV4_SIZE])
    if relay is not None:
        yield "relay", relay
    begin, end = _FILE
    holds_options = int.from_bytes(options.get(_OVERLOAD, b""), "big") & _FILE_HOLDS_OPTIONS
    boots = _BOOT_FILE in options or (any(body[begin:end]) and not holds_options)
    server = _address(body[_SIADDR : _SIADDR + IPV4_SIZE])
    if boots and server is not None:
        yield "boot-next", server


def _address(raw: bytes) -> str | None:
    return ipv4(raw) if len(raw) == IPV4_SIZE else None


def _routers(listed: bytes) -> tuple[str, ...]:
    """Return the first few of option 3 (section 3.5: one or more addresses)."""
    whole = range(0, len(listed) - IPV4_SIZE + 1, IPV4_SIZE)
    found = (ipv4(listed[at : at + IPV4_SIZE]) for at in whole)
    return tuple(dict.fromkeys(ip for ip in found if ip is not None))[:_MAX_ROUTERS]


def _subnet(address: bytes, mask: bytes) -> tuple[str, ...]:
    """Return the network of address and mask; a mask with holes makes none."""
    if len(mask) != IPV4_SIZE:
        return ()
    number = int.from_bytes(mask, "big")
    hosts = ~number & 0xFFFFFFFF
    if not number or hosts & (hosts + 1):
        return ()
    network = int.from_bytes(address, "big") & number
    text = "{}.{}.{}.{}".format(*network.to_bytes(IPV4_SIZE, "big"))
    return (f"{text}/{32 - hosts.bit_length()}",)
