"""One ARP, NDP, DHCP or mDNS frame -> what it says about devices. Pure.

Theory of operation. :func:`~monitorpi_capture.frame.classify.classify` has walked the frame's
headers already: its mask chooses one reader from a table, and its offsets say where that begins. A
reader takes a :class:`~.discovery.DiscoveryFrame`, reads fields where their RFC puts them, and
yields :class:`~monitorpi_capture.items.Sighting` s; where the bytes break the protocol it raises
:class:`~.discovery.MalformedFrameError`, and what it yielded before stands. That alone is caught
and counted: anything else is a bug of ours.

Work is bounded whatever the bytes are: options, records and labels of a frame have their limits,
and every loop moves forward. A frame that was captured in part (2,048 bytes live, the snap length
of a file) is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import arp, dhcp, dhcpv6, mdns, nd
from monitorpi_capture.frame.dissect.discovery import (
    TYPE_ARP,
    TYPE_IPV4,
    TYPE_IPV6,
    DiscoveryFrame,
    MalformedFrameError,
    tags_of,
)
from monitorpi_capture.items import CLASS_BIT, Sighting

if TYPE_CHECKING:
    from monitorpi_capture.frame.classify import Classified

    _Message = tuple[bytes, str, int | None, Classified]

__all__ = ["MAX_KNOWN", "Dissector", "is_discovery"]

Reader = Callable[[DiscoveryFrame], Iterator[Sighting]]

_ARP_TYPE: Final = b"\x08\x06"
_ARP_END: Final = 14 + arp.SIZE
"""What fills such a frame up says nothing."""
MAX_KNOWN: Final = 512
"""ARP messages whose sightings are kept, 0.7 kB each, until there are more."""
_ARP: Final = CLASS_BIT["arp"]
_DHCP: Final = CLASS_BIT["dhcp"]
_ICMP: Final = CLASS_BIT["icmp"]
_IPV4: Final = CLASS_BIT["ipv4"]
_IPV6: Final = CLASS_BIT["ipv6"]
_MDNS: Final = CLASS_BIT["mdns"]
_UDP: Final = CLASS_BIT["udp"]
_FRAGMENT: Final = CLASS_BIT["fragment"]
_MALFORMED: Final = CLASS_BIT["malformed"]
_READERS: Final[tuple[tuple[int, int, Reader], ...]] = (
    (_ARP, TYPE_ARP, arp.read),
    (_DHCP | _UDP | _IPV4, TYPE_IPV4, dhcp.read),
    (_DHCP | _UDP | _IPV6, TYPE_IPV6, dhcpv6.read),
    (_MDNS | _UDP | _IPV4, TYPE_IPV4, mdns.read),
    (_MDNS | _UDP | _IPV6, TYPE_IPV6, mdns.read),
    (_ICMP | _IPV6, TYPE_IPV6, nd.read),
)
"""The classes a frame must count for, the EtherType they come under, and who reads it."""


def is_discovery(data: bytes, classified: Classified) -> bool:
    """Return whether a frame may say something about a device: a cheap first look."""
    mask, _, transport = classified
    if mask & (_ARP | _DHCP):
        return True
    if not 0 < transport < len(data):
        return False
    if mask & _MDNS:
        return mdns.is_answer(data, transport)
    return mask & _IPV6 != 0 and mask & _ICMP != 0 and data[transport] in nd.TYPES


def is_rare(data: bytes, classified: Classified) -> bool:
    """Return whether a frame is of DHCP or a router's advertisement: no flood of ARP drowns it."""
    mask, _, transport = classified
    if mask & _DHCP:
        return True
    is_icmpv6 = mask & _IPV6 != 0 and mask & _ICMP != 0
    return is_icmpv6 and 0 < transport < len(data) and data[transport] == nd.ROUTER_ADVERTISEMENT


class Dissector:
    """Dissects telling frames; foreign bytes never raise."""

    def __init__(self) -> None:
        self.failed = 0
        """Frames that break their protocol."""
        self._known: dict[_Message, tuple[Sighting, ...]] = {}
        """What ARP messages said: hosts repeat theirs byte by byte."""

    def dissect(
        self,
        data: bytes,
        at_s: float,
        interface: str,
        *,
        wire_length: int | None = None,
        tag: int | None = None,
        classified: Classified | None = None,
    ) -> list[Sighting]:
        """Return what a frame says; nothing is a common answer.

        Args:
            data: the frame from the destination MAC on, as much of it as was captured.
            at_s: when it came, seconds since 1970.
            interface: where it came in.
            wire_length: its length in bytes on the wire; None: all of it is in ``data``.
            tag: the control information (16 bits) of a VLAN tag that was taken out before.
            classified: its classes and headers, where they are known already.

        """
        if classified is None:
            classified = classify(data, len(data) if wire_length is None else wire_length)
        if data[12:14] != _ARP_TYPE:
            return self._dissect(data, at_s, interface, tag, classified)
        message = data[:_ARP_END], interface, tag, classified
        known = self._known.get(message)
        if known is not None:
            return [one._replace(at_s=at_s) for one in known]
        failed = self.failed
        found = self._dissect(data, at_s, interface, tag, classified)
        if self.failed == failed:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[message] = tuple(found)
        return found

    def _dissect(
        self, data: bytes, at_s: float, interface: str, tag: int | None, classified: Classified
    ) -> list[Sighting]:
        if not is_discovery(data, classified):
            return []
        mask, network, transport = classified
        too_long = mask & _UDP and mask & _MALFORMED
        if too_long or (network and _is_empty(data, network)):  # hosts drop it
            self.failed += 1
            return []
        vlan, ether_type, behind = tags_of(data, tag)
        read = _reader(mask, ether_type)
        if read is None or not (transport or ether_type == TYPE_ARP):
            return []
        frame = DiscoveryFrame(
            data, at_s, interface, vlan, network or behind, transport or behind,
            fragment=mask & _FRAGMENT != 0,
        )  # fmt: skip
        found: list[Sighting] = []
        try:
            found.extend(read(frame))
        except MalformedFrameError:
            self.failed += 1
        return found


def _is_empty(data: bytes, network: int) -> bool:
    """Return whether an IP header says that it has no length, which merged segments of TCP may."""
    at = network + (4 if data[network] >> 4 == 6 else 2)  # noqa: PLR2004 - the IP version
    return data[at] == data[at + 1] == 0


def _reader(mask: int, ether_type: int) -> Reader | None:
    """Return who reads a frame of these classes; nobody what comes inside PPPoE or MPLS."""
    for classes, under, read in _READERS:
        if mask & classes == classes and ether_type == under:
            return read
    return None
