"""What all readers of a frame share: its fields, its bounds, and addresses as text. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from struct import Struct
from typing import Any, Final

from monitorpi_capture.items import How, Sighting

TYPE_ARP: Final = 0x0806
TYPE_IPV4: Final = 0x0800
TYPE_IPV6: Final = 0x86DD
_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
"""802.1Q, 802.1ad and the pre-standard service tag, as the classifier has them."""
_MAX_TAGS: Final = 2
_VLAN_ID: Final = 0x0FFF
_NO_VLAN: Final = frozenset({0, 0x0FFF})
"""A priority tag names no VLAN, and the last id is reserved (IEEE 802.1Q, table 9-2)."""
MAC_SIZE: Final = 6
IPV4_SIZE: Final = 4
IPV6_SIZE: Final = 16
UDP_HEADER: Final = 8

_U16: Final = Struct(">H").unpack_from
_TWO_U16: Final = Struct(">HH").unpack_from
_LOCAL_NETWORK: Final = 0
_LOOPBACK: Final = 127
_MULTICAST: Final = range(224, 240)
_BROADCAST: Final = b"\xff" * IPV4_SIZE
_MULTICAST_IPV6: Final = 0xFF
_LOOPBACK_IPV6: Final = b"\0" * 15 + b"\x01"


class MalformedFrameError(ValueError):
    """A frame breaks its protocol: it is counted, and what it said before stands."""


@dataclass(frozen=True, slots=True)
class DiscoveryFrame:
    """One frame that its classes say is worth reading."""

    data: bytes
    at_s: float
    interface: str
    vlan: tuple[int, ...]
    network: int
    """Where the IP header begins; of ARP: the message."""
    transport: int
    """Where the UDP or ICMPv6 header begins; of ARP: the message."""
    fragment: bool = False

    @property
    def source(self) -> bytes:
        """The MAC address it came from."""
        return self.data[6:12]

    def u16(self, at: int) -> int:
        """Return a number of two bytes.

        Raises:
            MalformedFrameError: the frame ends before.

        """
        if at + 2 > len(self.data):
            raise MalformedFrameError
        number: int = _U16(self.data, at)[0]
        return number

    def ends(self, stop: int) -> tuple[int, bool]:
        """Return where reading ends, and whether that is sooner than the packet does.

        Args:
            stop: where the headers say that the packet ends.

        """
        return min(stop, len(self.data)), stop > len(self.data)

    @property
    def port(self) -> int:
        """The UDP port it goes to."""
        return self.u16(self.transport + 2)

    def udp_payload(self) -> tuple[int, int, bool]:
        """Return where a UDP payload begins and ends, and whether it was captured in part.

        Raises:
            MalformedFrameError: the header is not all there.

        """
        start = self.transport + UDP_HEADER
        if start > len(self.data):
            raise MalformedFrameError
        length = self.u16(self.transport + 4)
        if length < UDP_HEADER:
            raise MalformedFrameError
        stop, in_part = self.ends(self.transport + length)
        return start, stop, in_part or self.fragment

    def sighting(self, how: How, mac: bytes | None = None, **facts: Any) -> Sighting:
        """Return what the frame says of its sender, or of another MAC."""
        source = self.data[6:12]
        if mac is None or mac == source:
            return Sighting(source, self.at_s, self.interface, how, self.vlan, **facts)
        return Sighting(mac, self.at_s, self.interface, how, self.vlan, source, **facts)


def tags_of(data: bytes, stripped: int | None) -> tuple[tuple[int, ...], int, int]:
    """Return the VLAN ids of a frame, outermost first, its EtherType and where that's data begins.

    Args:
        data: at least an Ethernet header.
        stripped: the control information of a tag that is no longer in the data.

    """
    ether_type = data[12] << 8 | data[13]
    if ether_type not in _TAGS and stripped is None:
        return (), ether_type, 14
    controls = [] if stripped is None else [stripped]
    at = 14
    for _ in range(_MAX_TAGS):
        if ether_type not in _TAGS or at + 4 > len(data):
            break
        control, ether_type = _TWO_U16(data, at)
        controls.append(control)
        at += 4
    ids = (control & _VLAN_ID for control in controls)
    return tuple(one for one in ids if one not in _NO_VLAN), ether_type, at


def ipv4(raw: bytes) -> str | None:
    """Return an address as text if a device can own it, else None."""
    first = raw[0]
    if first in (_LOCAL_NETWORK, _LOOPBACK) or first in _MULTICAST or raw == _BROADCAST:
        return None
    return "{}.{}.{}.{}".format(*raw)


@lru_cache(maxsize=256)
def ipv6(raw: bytes) -> str | None:
    """Return an address in its short form if a device can own it, else None."""
    if raw[0] == _MULTICAST_IPV6 or not any(raw) or raw == _LOOPBACK_IPV6:
        return None
    return str(IPv6Address(raw))


def is_link_local(raw: bytes) -> bool:
    """Return whether an IPv6 address is of fe80::/10."""
    return raw[0] == 0xFE and raw[1] & 0xC0 == 0x80  # noqa: PLR2004 - RFC 4291, 2.5.6
