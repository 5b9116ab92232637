"""What two MAC addresses are to each other: of one group of routers, of one machine, or nothing.

Virtual router MACs, each with the protocol that gives them out:

- VRRP and CARP ``00:00:5e:00:01:{id}``, for IPv6 ``00:00:5e:00:02:{id}`` (RFC 5798, 7.3);
- HSRP version 1 ``00:00:0c:07:ac:{group}``, version 2 ``00:00:0c:9f:f{group, 12 bits}``, for IPv6
  ``00:05:73:a0:0{group, 12 bits}`` (Cisco, First Hop Redundancy Protocols Configuration Guide);
- GLBP ``00:07:b4:{group, 16 bits}:{forwarder}``: one gateway address is answered with the MACs of
  several forwarders by design (same guide).

A machine with several ports often has MACs that follow each other: Linux bonding in mode 6
(balance-alb) answers for one address with either port's (kernel, ``networking/bonding``).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

SIBLINGS: Final = 8
"""MACs of one maker at most so far apart are taken for ports of one machine."""
_LOCAL: Final = 0x02
_VRRP: Final = (bytes.fromhex("00005e0001"), bytes.fromhex("00005e0002"))
_HSRP_1: Final = bytes.fromhex("00000c07ac")
_HSRP_2: Final = bytes.fromhex("00000c9f")
_HSRP_6: Final = bytes.fromhex("000573a0")
_GLBP: Final = bytes.fromhex("0007b4")


class Relation(Enum):
    """What a claimant is to a holder; the values are those of the contract."""

    UNRELATED = "strangers"
    SIBLINGS = "siblings"
    """Their MACs follow each other."""
    GROUP = "group"
    """They answer for one group of routers."""
    PROXY = "proxy"
    """The claimant but answers for others (:mod:`.answering`)."""
    INTRUDER = "virtual"
    """The holder is a virtual router, the claimant is not of its group."""


def group_of(mac: bytes) -> bytes | None:
    """Return the group a virtual router's MAC belongs to; None: it is none."""
    if mac[:5] in _VRRP or mac[:5] == _HSRP_1:
        return mac
    if (mac[:4] == _HSRP_2 and mac[4] >= 0xF0) or (mac[:4] == _HSRP_6 and mac[4] < 0x10):  # noqa: PLR2004 - the upper four bits are fixed
        return mac
    return mac[:5] if mac[:3] == _GLBP else None


def related(holder: bytes, claimant: bytes) -> Relation:
    """Return what a claimant is to a holder."""
    group = group_of(holder)
    if group is not None:
        return Relation.GROUP if group_of(claimant) == group else Relation.INTRUDER
    apart = abs(int.from_bytes(holder, "big") - int.from_bytes(claimant, "big"))
    assigned = not (holder[0] | claimant[0]) & _LOCAL
    if assigned and holder[:3] == claimant[:3] and apart <= SIBLINGS:
        return Relation.SIBLINGS
    return Relation.UNRELATED
