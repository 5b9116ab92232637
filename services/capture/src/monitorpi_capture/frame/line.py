"""One line about one frame: headers only, never payload bytes. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.classify import class_names
from monitorpi_capture.frame.text import mac_text
from monitorpi_capture.items import CLASS_BIT, PacketLine

if TYPE_CHECKING:
    from monitorpi_capture.frame.classify import Classified

_PORTS: Final = CLASS_BIT["tcp"] | CLASS_BIT["udp"]
_IPV6: Final = CLASS_BIT["ipv6"]


def line_of(
    data: bytes, length: int, classified: Classified, interface: str, at_s: float
) -> PacketLine:
    """Return the line of a frame that has an Ethernet header at hand."""
    mask, network, transport = classified
    source, target = mac_text(data[6:12]), mac_text(data[:6])
    ip_src = ip_dst = None
    if network:
        start, size = (network + 8, 16) if mask & _IPV6 else (network + 12, 4)
        ip_src = str(ipaddress.ip_address(data[start : start + size]))
        ip_dst = str(ipaddress.ip_address(data[start + size : start + 2 * size]))
    ports = ("", "")
    if transport and mask & _PORTS:
        ports = tuple(  # type: ignore[assignment] # two of them
            f" port {data[at] << 8 | data[at + 1]}" for at in (transport, transport + 2)
        )
    names = " ".join(class_names(mask)) or f"type 0x{data[12:14].hex()}"
    line = f"{ip_src or source}{ports[0]} > {ip_dst or target}{ports[1]} {names} {length} bytes"
    return PacketLine(interface, at_s, line[:255], source, target, ip_src, ip_dst, length)
