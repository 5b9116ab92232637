"""A table of addresses, and who claims them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitorpi_capture.inventory.addresses import (
    Addresses,
)
from monitorpi_capture.inventory.disputes import Witness

if TYPE_CHECKING:
    from monitorpi_capture.inventory.holding import Space

A, B, C = (bytes.fromhex(f"0400000000{last}") for last in ("0a", "1b", "2c"))
VIRTUAL = bytes.fromhex("00005e00010a")
IP, OTHER = "198.18.0.50", "198.18.0.51"
V6 = "2001:db8::50"


@dataclass
class World:
    """What the model asks of the inventory, as a test sets it."""

    absent: set[bytes] = field(default_factory=set)
    away: set[bytes] = field(default_factory=set)
    established: set[bytes] = field(default_factory=set)
    router_ips: set[str] = field(default_factory=set)
    members: set[bytes] = field(default_factory=set)

    def addresses(self) -> Addresses:
        """Return an empty model in this world."""
        return Addresses(
            Witness(
                is_present=lambda mac, _: mac not in self.absent,
                was_away=lambda mac, *_: mac in self.away,
                is_known=lambda mac: mac not in self.absent,
                is_established=lambda mac, _: mac in self.established,
                is_router_address=lambda _, __, ip: ip in self.router_ips,
                is_nobodys=lambda _, ip: ip.endswith(".255"),
                is_member=lambda one, other: {one, other} <= self.members,
            )
        )


def held(one: Addresses, mac: bytes, space: Space = ()) -> list[str]:
    """Return what a MAC holds in a VLAN."""
    return [held.ip for held in one.of(mac) if held.space == space]


def turns(one: Addresses, mac: bytes, at_s: float) -> list[tuple[bytes, bytes, int]]:
    """Return the disputes of a MAC: holder, challenger, turns."""
    return [(d.holder, d.challenger, len(d.turns)) for d in one.disputes(mac, at_s)]
