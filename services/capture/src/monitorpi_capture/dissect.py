"""One ARP, NDP, DHCP or mDNS frame -> what it says about a device. Dissection by scapy.

scapy is imported when the first such frame comes, and only the layers that are needed. A table of
vendors that nothing here uses is kept from it (15 MB, 25 while it is read).
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from monitorpi_capture.classify import classify
from monitorpi_capture.sighting import Sighting
from monitorpi_capture.window import CLASS_BIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.classify import Classified

MAX_FRAME: Final = 1600
"""Longer ones are not dissected: none of these protocols needs more than an Ethernet frame."""
_MDNS: Final = CLASS_BIT["mdns"]
_TELLING: Final = CLASS_BIT["arp"] | CLASS_BIT["dhcp"] | _MDNS
_NDP: Final = CLASS_BIT["ipv6"] | CLASS_BIT["icmp"]
_NDP_TYPES: Final = range(133, 137)
"""Router and neighbour solicitations and advertisements (RFC 4861)."""
_UDP_HEADER: Final = 8
_DNS_HEADER: Final = 12
_MAX_RECORDS: Final = 32
"""Records of an mDNS frame that is dissected: a hundred crafted ones cost scapy 12 ms."""
_HOSTNAME: Final = "hostname"
_BOOT_REPLY: Final = 2
_DHCP_OFFER: Final = 2
_DHCP_ACK: Final = 5
_VENDORS: Final = "scapy.libs.manuf"
_CACHE: Final = "XDG_CACHE_HOME"


def is_telling(data: bytes, classified: Classified) -> bool:
    """Tell whether a frame is worth dissecting."""
    mask, _, transport = classified
    if mask & _MDNS:
        return _is_plain_answer(data[transport + _UDP_HEADER :]) if transport else False
    if mask & _TELLING:
        return True
    return mask & _NDP == _NDP and 0 < transport < len(data) and data[transport] in _NDP_TYPES


def _is_plain_answer(dns: bytes) -> bool:
    """Tell whether an mDNS message answers, with no more records than a host's own take."""
    if len(dns) < _DNS_HEADER or not dns[2] & 0x80:
        return False
    records = sum(dns[at] << 8 | dns[at + 1] for at in range(4, _DNS_HEADER, 2))
    return records <= _MAX_RECORDS


class Dissector:
    """Dissects telling frames; foreign bytes never raise."""

    def __init__(self) -> None:
        self.failed = 0
        """Frames that could not be dissected."""
        self._scapy: Any = None

    def dissect(self, data: bytes, at_s: float, interface: str) -> list[Sighting]:
        """Return what the frame says; nothing is a common answer."""
        if not is_telling(data, classify(data, len(data))):
            return []
        if len(data) > MAX_FRAME:
            self.failed += 1
            return []
        if self._scapy is None:
            self._scapy = _load_scapy()
        try:
            return list(self._read(self._scapy.Ether(data), at_s, interface))
        except Exception:  # noqa: BLE001 - foreign bytes may break a dissector in any way
            self.failed += 1
            return []

    def _read(self, frame: Any, at_s: float, interface: str) -> Iterator[Sighting]:
        layers = self._scapy
        source = _mac(frame.src)
        if frame.haslayer(layers.ARP):
            yield from _arp(frame[layers.ARP], source, at_s, interface)
        elif frame.haslayer(layers.DHCP):
            yield from _dhcp(frame[layers.BOOTP], frame[layers.DHCP], source, at_s, interface)
        elif frame.haslayer(layers.DNS):
            yield from _mdns(layers, frame, source, at_s, interface)
        elif frame.haslayer(layers.IPv6):
            yield from _ndp(layers, frame, source, at_s, interface)


class _Layers:
    """The scapy classes in use."""

    def __init__(self) -> None:
        from scapy.config import conf  # noqa: PLC0415 - scapy only where there is something to dissect
        from scapy.layers.dhcp import BOOTP, DHCP  # noqa: PLC0415
        from scapy.layers.dns import DNS  # noqa: PLC0415
        from scapy.layers.inet import IP  # noqa: PLC0415
        from scapy.layers.inet6 import (  # noqa: PLC0415
            ICMPv6ND_NA,
            ICMPv6ND_NS,
            ICMPv6ND_RA,
            ICMPv6NDOptDstLLAddr,
            ICMPv6NDOptSrcLLAddr,
            IPv6,
        )
        from scapy.layers.l2 import ARP, Ether  # noqa: PLC0415

        with contextlib.suppress(AttributeError):
            conf.manufdb.d.clear()  # where Wireshark is installed scapy reads its table
        self.Ether, self.ARP, self.BOOTP, self.DHCP, self.DNS = Ether, ARP, BOOTP, DHCP, DNS
        self.IP, self.IPv6 = IP, IPv6
        self.NA, self.NS, self.RA = ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA
        self.Source, self.Target = ICMPv6NDOptSrcLLAddr, ICMPv6NDOptDstLLAddr


def _load_scapy() -> _Layers:
    """Import what is needed of scapy, silently: it warns of missing routes and strange frames."""
    for name in ("scapy", "scapy.loading", "scapy.runtime"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _without_vendors():
        return _Layers()


@contextlib.contextmanager
def _without_vendors() -> Iterator[None]:
    """Have scapy find no vendors, neither in its own module nor in its cache.

    Nor may it put its empty table into the cache, where other programs would find it.
    """
    table = ModuleType(_VENDORS)
    table.DATA = ""  # type: ignore[attr-defined]  # what scapy looks for
    sys.modules[_VENDORS] = table
    cache = os.environ.get(_CACHE)
    os.environ[_CACHE] = os.devnull
    try:
        yield
    finally:
        del sys.modules[_VENDORS]
        if cache is None:
            del os.environ[_CACHE]
        else:
            os.environ[_CACHE] = cache


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _usable(text: str) -> str | None:
    """Return an address in its short form if a device can own it."""
    ip = ipaddress.ip_address(text)
    if ip.is_unspecified or ip.is_multicast or ip.is_loopback or text == "255.255.255.255":
        return None
    return str(ip)


def _arp(arp: Any, source: bytes, at_s: float, interface: str) -> Iterator[Sighting]:
    """Read who claims an address; a claim for another MAC than the sender's is not believed."""
    ip = _usable(arp.psrc)
    if ip is not None and _mac(arp.hwsrc) == source:
        yield Sighting(source, at_s, interface, ips=(ip,))


def _dhcp(bootp: Any, dhcp: Any, source: bytes, at_s: float, interface: str) -> Iterator[Sighting]:
    """Read a client's name from its request; who serves, and address and router, from answers."""
    options: dict[str, Any] = {
        option[0]: option[1] for option in dhcp.options if isinstance(option, tuple)
    }
    client = bytes(bootp.chaddr[:6])
    kind = options.get("message-type")
    if bootp.op == 1 and client == source:
        name = options.get(_HOSTNAME)
        if isinstance(name, bytes):
            yield Sighting(client, at_s, interface, hostname=name.decode("utf-8", "replace"))
    elif bootp.op == _BOOT_REPLY and kind in (_DHCP_OFFER, _DHCP_ACK):
        yield Sighting(source, at_s, interface, serves_dhcp=True)
        if kind == _DHCP_OFFER:
            return
        ip = _usable(bootp.yiaddr)
        routers = options.get("router", ())
        listed = (routers,) if isinstance(routers, str) else tuple(routers)
        told = tuple(address for text in listed if (address := _usable(text)) is not None)
        yield Sighting(
            client, at_s, interface, ips=() if ip is None else (ip,), router_ips=told[:4]
        )


def _mdns(
    layers: Any, frame: Any, source: bytes, at_s: float, interface: str
) -> Iterator[Sighting]:
    """Read a host's own name: an address record for the address the frame came from.

    Others' records are not believed: reflectors repeat what they hear elsewhere.
    """
    network = frame[layers.IP] if frame.haslayer(layers.IP) else frame[layers.IPv6]
    own = ipaddress.ip_address(network.src)
    dns = frame[layers.DNS]
    if not dns.qr:
        return
    for record in [*(dns.an or ()), *(dns.ar or ())]:
        if getattr(record, "type", None) not in (1, 28):
            continue
        if ipaddress.ip_address(str(record.rdata)) == own:
            name = bytes(record.rrname).decode("utf-8", "replace").rstrip(".")
            if name.endswith(".local"):
                yield Sighting(source, at_s, interface, hostname=name.removesuffix(".local"))
                return


def _ndp(layers: Any, frame: Any, source: bytes, at_s: float, interface: str) -> Iterator[Sighting]:
    """Read neighbour discovery; the link-layer address in it must be the sender's."""
    origin = _usable(frame[layers.IPv6].src)
    if frame.haslayer(layers.RA):
        lifetime = int(frame[layers.RA].routerlifetime)
        ips = () if origin is None else (origin,)
        yield Sighting(source, at_s, interface, ips=ips, is_router=lifetime > 0)
    elif frame.haslayer(layers.NS) and frame.haslayer(layers.Source):
        if origin is not None and _mac(frame[layers.Source].lladdr) == source:
            yield Sighting(source, at_s, interface, ips=(origin,))
    elif frame.haslayer(layers.NA) and frame.haslayer(layers.Target):
        target = _usable(frame[layers.NA].tgt)
        if target is not None and _mac(frame[layers.Target].lladdr) == source:
            yield Sighting(source, at_s, interface, ips=(target,))
