"""What scapy says of a frame that tells about devices: the oracle our own readers are held to.

scapy shows what bytes may mean; what a host believes of them is written here once more, from the
RFCs and in scapy's terms. Where scapy itself is wrong the fields are taken from its raw bytes, and
the comment says why.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DHCP6,
    DUID_LL,
    DUID_LLT,
    DHCP6_Advertise,
    DHCP6_Decline,
    DHCP6_Release,
    DHCP6_Reply,
    DHCP6OptBootFileUrl,
    DHCP6OptClientId,
    DHCP6OptDNSDomains,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIA_PD,
    DHCP6OptIA_TA,
    DHCP6OptIAAddress,
    DHCP6OptIAPrefix,
    DHCP6OptServerId,
    DHCP6OptUnknown,
)
from scapy.layers.dns import DNS
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from tests.capture.options_oracle import UnsureError, directions, fields, usable

from monitorpi_capture.items import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator

for name in ("scapy", "scapy.loading", "scapy.runtime"):
    logging.getLogger(name).setLevel(logging.CRITICAL)


def oracle(data: bytes) -> list[Sighting]:
    """Return what a whole frame says; it came at 1.0 s on eth0."""
    frame = Ether(data)
    facts: list[tuple[str, bytes, dict[str, Any]]] = []
    if frame.haslayer(ARP):
        facts = _arp(frame)
    elif frame.haslayer(BOOTP):
        facts = _dhcp(frame)
    elif frame.haslayer(DNS):
        facts = _mdns(frame)
    elif (message := _dhcpv6_message(frame)) is not None:
        facts = _dhcpv6(frame, message)
    elif frame.haslayer(UDP):
        raise UnsureError  # it takes a protocol from both ports, hosts from the one they listen on
    elif frame.haslayer(IPv6):
        facts = _nd(frame)
    source = _mac(frame.src)
    ids = [layer.vlan for layer in _tags(frame)]
    vlan = tuple(one for one in ids if one not in (0, 4095))
    return [
        Sighting(mac, 1.0, "eth0", how, vlan, None if mac == source else source, **what)  # type: ignore[arg-type]
        for how, mac, what in facts
    ]


def _tags(frame: Any) -> list[Any]:
    found = []
    layer = frame.payload
    while isinstance(layer, (Dot1Q, Dot1AD)):
        found.append(layer)
        layer = layer.payload
    return found


def _mac(text: str | bytes) -> bytes:
    """Return an address as bytes; scapy leaves one of another hardware type so."""
    if isinstance(text, bytes):
        return text
    return bytes.fromhex(text.replace(":", ""))


def _arp(frame: Any) -> list[Any]:
    arp = frame[ARP]
    if (
        arp.hwtype not in (1, 6)
        or (arp.ptype, arp.hwlen, arp.plen) != (0x0800, 6, 4)
        or arp.op not in (1, 2)
    ):
        return []
    ip = usable(arp.psrc)
    asked = usable(arp.pdst) if arp.op == 1 and arp.pdst != arp.psrc else None
    if ip is not None:
        return [("arp", _mac(arp.hwsrc), {"ips": (ip,), "asks": asked})]
    if asked is None or arp.psrc != "0.0.0.0":
        return []
    return [("arp", _mac(frame.src), {"asks": asked, "tries": asked})]


def _dhcp(frame: Any) -> list[Any]:
    bootp, source = frame[BOOTP], _mac(frame.src)
    if not frame.haslayer(DHCP):
        return []
    raw = _raw_options(bytes(bootp)[240:])
    kind = raw.get(53)
    client = bytes(bootp.chaddr[:6])
    known = (bootp.htype, bootp.hlen) == (1, 6)
    if bootp.op == 1 and known:
        ended = None
        if kind == b"\x07":
            ended = usable(bootp.ciaddr)
        elif kind == b"\x04" and len(raw.get(50, b"")) == 4:
            ended = usable(str(ipaddress.ip_address(raw[50])))
        name = raw.get(12) if client == source else None
        if not name and ended is None:
            return []
        what: dict[str, Any] = {"ended": () if ended is None else (ended,)}
        what["hostname"] = name.decode("utf-8", "replace") if name else None
        return [("dhcp", client, what)]
    ip = usable(bootp.yiaddr)
    if bootp.op != 2 or kind not in (b"\x02", b"\x05") or ip is None:
        return []
    listed = raw.get(3, b"")
    texts = [
        usable(str(ipaddress.ip_address(listed[at : at + 4])))
        for at in range(0, len(listed) // 4 * 4, 4)
    ]
    routers = tuple(dict.fromkeys(text for text in texts if text))[:4]
    said = (*directions(raw), *fields(bootp, raw))
    serves = {"serves_dhcp": True, "router_ips": routers, "directions": said}
    found: list[Any] = [("dhcp", source, serves)]
    if kind == b"\x05" and known:
        subnets: tuple[str, ...] = ()
        if len(raw.get(1, b"")) == 4 and any(raw[1]):
            mask = f"{int.from_bytes(raw[1], 'big'):032b}".rstrip("0")
            if "0" not in mask:
                network = ipaddress.ip_network((bootp.yiaddr, len(mask)), strict=False)
                subnets = (str(network),)
        found.append(("dhcp", client, {"named": (ip,), "router_ips": routers, "subnets": subnets}))
    return found


def _raw_options(field: bytes) -> dict[int, bytes]:
    """Return the options' bytes by code.

    Not scapy's: it shows a list of two routers as one flat tuple of three, does not join the parts
    of a long option (RFC 3396), and reads neither file nor sname (option 52).
    """
    found: dict[int, bytes] = {}
    while field and field[0] != 255:
        if field[0] == 0:
            field = field[1:]
            continue
        if len(field) < 2 or len(field) < 2 + field[1]:
            break
        found[field[0]] = found.get(field[0], b"") + field[2 : 2 + field[1]]
        field = field[2 + field[1] :]
    return found


def _mdns(frame: Any) -> list[Any]:
    dns = frame[DNS]
    if not dns.qr:
        return []
    network = frame[IP] if frame.haslayer(IP) else frame[IPv6]
    own = ipaddress.ip_address(network.src)
    kind = 1 if own.version == 4 else 28
    for record in [*(dns.an or ()), *(dns.ns or ()), *(dns.ar or ())]:
        if getattr(record, "type", None) != kind or record.rclass != 1 or not record.ttl:
            continue
        if ipaddress.ip_address(str(record.rdata)) == own:
            labels = bytes(record.rrname).rstrip(b".").split(b".")
            text = [label.decode("utf-8", "replace") for label in labels]
            if len(text) >= 2 and text[-1].lower() == "local":
                return [("mdns", _mac(frame.src), {"hostname": ".".join(text[:-1])})]
    return []


def _dhcpv6_message(frame: Any) -> Any:
    layer = frame
    while layer:
        if isinstance(layer, (DHCP6_Advertise, DHCP6_Reply, DHCP6_Release, DHCP6_Decline)):
            return layer
        if isinstance(layer, DHCP6):
            return layer
        layer = layer.payload
    return None


def _dhcpv6(frame: Any, message: Any) -> list[Any]:
    source = _mac(frame.src)
    client: bytes | None = None
    leased: list[tuple[str, int]] = []
    prefixes = False
    for layer in _layers(message.payload):
        if type(layer) is DHCP6OptClientId:  # the server's id is made a kind of it
            duid = layer.duid
            linked = isinstance(duid, (DUID_LL, DUID_LLT)) and duid.hwtype == 1
            client = _mac(duid.lladdr) if linked else None
        elif isinstance(layer, (DHCP6OptIA_NA, DHCP6OptIA_TA, DHCP6OptIA_PD)):
            for one in _inside(layer):
                if isinstance(one, DHCP6OptIAAddress) and usable(one.addr):
                    leased.append((str(usable(one.addr)), one.validlft))
                prefixes = prefixes or (isinstance(one, DHCP6OptIAPrefix) and one.validlft > 0)
    every = tuple(dict.fromkeys(ip for ip, _ in leased))
    living = tuple(dict.fromkeys(ip for ip, valid_s in leased if valid_s))
    if isinstance(message, (DHCP6_Release, DHCP6_Decline)):
        return [("dhcpv6", source, {"ended": every})] if every else []
    if not isinstance(message, (DHCP6_Advertise, DHCP6_Reply)):
        return []
    found: list[Any] = []
    directions = _directions_v6(message)
    tells = any(name == "dns-v6" for name, _ in directions) and isinstance(message, DHCP6_Reply)
    if living or prefixes or tells:
        found.append(("dhcpv6", source, {"serves_dhcp": True, "directions": directions}))
    if isinstance(message, DHCP6_Reply) and client is not None and living:
        found.append(("dhcpv6", client, {"named": living}))
    return found


def _directions_v6(message: Any) -> tuple[tuple[str, str], ...]:
    """Return the name servers of the last such option; other names have tests of their own."""
    servers: list[str] = []
    itself = ""
    for layer in _layers(message.payload):
        if isinstance(layer, DHCP6OptServerId):
            itself = bytes(layer)[4 : 4 + layer.optlen].hex()[:63]
        elif isinstance(layer, DHCP6OptDNSServers):
            servers = [text for one in layer.dnsservers if (text := usable(one))]
        elif isinstance(layer, (DHCP6OptDNSDomains, DHCP6OptBootFileUrl)):
            raise UnsureError
    names = [("server-v6", itself)] if itself else []
    return tuple(dict.fromkeys([*names, *(("dns-v6", one) for one in servers[:8])]))


def _layers(layer: Any) -> Iterator[Any]:
    while layer:
        yield layer
        layer = layer.payload


def _inside(association: Any) -> Iterator[Any]:
    """Return the options in an identity association.

    Those behind a status code scapy makes that one's payload, instead of the next in the list.
    """
    for name in ("ianaopts", "iataopts", "iapdopt"):
        for one in association.fields.get(name, ()):
            for layer in _layers(one):
                if isinstance(layer, (DHCP6OptUnknown, Raw)):
                    raise UnsureError
                yield layer


def _nd(frame: Any) -> list[Any]:
    source = _mac(frame.src)
    network = frame[IPv6]
    for kind in (ICMPv6ND_RA, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS):
        if frame.haslayer(kind):
            message = frame[kind]
            break
    else:
        return []
    options = _nd_options(message)
    if network.hlim != 255 or message.code != 0 or options is None:
        return []
    which = ICMPv6NDOptDstLLAddr if kind is ICMPv6ND_NA else ICMPv6NDOptSrcLLAddr
    links = [
        one.lladdr for one in options if type(one) is which
    ]  # the one is made a kind of the other
    own = bool(links) and _mac(links[-1]) == source
    if kind is ICMPv6ND_RA:
        if ipaddress.ip_address(network.src) not in ipaddress.ip_network("fe80::/10"):
            return []
        lives = message.routerlifetime > 0 or any(
            isinstance(one, ICMPv6NDOptRDNSS) and one.lifetime > 0 for one in options
        )
        what = {
            "ips": (str(ipaddress.ip_address(network.src)),) if own or not links else (),
            "is_router": lives,
            "ends_router": not lives,
            "subnets": _prefixes(options),
        }
        return [("ra", source, what)]
    if kind is ICMPv6ND_NS and network.src == "::":
        tried = usable(message.tgt)
        return [] if tried is None else [("nd", source, {"tries": tried})]
    ip = usable(message.tgt if kind is ICMPv6ND_NA else network.src)
    if not links or ip is None:
        return []
    asked = {"asks": usable(message.tgt)} if kind is ICMPv6ND_NS else {}
    return [("nd", _mac(links[-1]), {"ips": (ip,), **asked})]


def _nd_options(message: Any) -> list[Any] | None:
    """Return the options, None where a host throws the message away.

    By the length fields, not by scapy's layers: of an option with length 0 it shows the link-layer
    address all the same (RFC 4861, 4.6: such a packet is discarded).
    """
    found = []
    layer = message.payload
    while layer:
        if not hasattr(layer, "len") or layer.len == 0:
            return None
        found.append(layer)
        layer = layer.payload
    return found


def _prefixes(options: list[Any]) -> tuple[str, ...]:
    found = {}
    for one in options:
        if not isinstance(one, ICMPv6NDOptPrefixInfo) or not (one.L and one.validlifetime):
            continue
        prefix = ipaddress.ip_address(one.prefix)
        if usable(one.prefix) and not prefix.is_link_local and 0 < one.prefixlen <= 128:
            found[str(ipaddress.ip_network((one.prefix, one.prefixlen), strict=False))] = None
    return tuple(found)[:8]
