"""ARP (RFC 826, RFC 5227): whose address the sender says it has, and which it asks for. Pure."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.dissect.discovery import MalformedFrameError, ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.frame.dissect.discovery import DiscoveryFrame
    from monitorpi_capture.items import Sighting

_MESSAGE: Final = Struct(">HHBBH6s4s6x4s")
"""Hardware type, protocol, the sizes of both addresses, operation, the sender's two addresses, the
target's IP address."""
SIZE: Final = 28
_ETHERNET: Final = (1, 6)
"""Hardware types that hosts take on Ethernet: its own and IEEE 802's."""
_IPV4_OVER_ETHERNET: Final = (0x0800, 6, 4)
_REQUEST: Final = 1
_REPLY: Final = 2
"""Other operations no host listens to (Linux, net/ipv4/arp.c, arp_process)."""


def read(frame: DiscoveryFrame) -> Iterator[Sighting]:
    """Read who claims an address, and which one he asks for.

    A probe (sender 0.0.0.0) claims nothing; an announcement, a request and a reply say the same of
    their sender. Hosts take the MAC address in the message, whoever the frame came from: where that
    is another one, the sighting is about it and names the frame's own sender.

    Raises:
        MalformedFrameError: it is too short.

    """
    if len(frame.data) < frame.network + SIZE:
        raise MalformedFrameError
    kind, protocol, hardware_size, size, operation, hardware, address, target = (
        _MESSAGE.unpack_from(frame.data, frame.network)
    )
    if (protocol, hardware_size, size) != _IPV4_OVER_ETHERNET or kind not in _ETHERNET:
        return
    if operation not in (_REQUEST, _REPLY):
        return
    ip = ipv4(address)
    asked = ipv4(target) if operation == _REQUEST and target != address else None
    if ip is not None:
        yield frame.sighting("arp", hardware, ips=(ip,), asks=asked)
    elif asked is not None and not any(address):
        yield frame.sighting("arp", asks=asked, tries=asked)
