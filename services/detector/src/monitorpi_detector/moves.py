"""Which MAC address holds which IP address, and how often that changed of late."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from monitorpi_common.messages import Device

MAX_ADDRESSES: Final = 8192
REMEMBER_S: Final = 600.0
INSISTS_S: Final = 60.0
"""The old holder is still here and holds on to the address so long after: it did not move."""
PRESENT_S: Final = 120.0
"""A holder heard of within this time is still here; devices are told of each minute."""
_SHARED: Final = ("00:00:5e:00:01:", "00:00:5e:00:02:")
"""Virtual router MACs (RFC 5798): routers pass an address on to each other by design."""


@dataclass(slots=True)
class Holding:
    """One address."""

    mac: str
    seen_s: float
    moves: list[float] = field(default_factory=list)
    rival: str | None = None
    """Who held it before, and was still here."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An address that two present devices claim."""

    address: str
    by: str
    """The newcomer."""
    holder: str
    moves: int
    """Times it moved, or was held on to, within ten minutes."""


class Moves:
    """Follows addresses from device to device."""

    def __init__(self) -> None:
        self._holdings: Bounded[Holding] = Bounded(MAX_ADDRESSES)
        self._last: Bounded[frozenset[str]] = Bounded(MAX_ADDRESSES)

    def see(self, device: Device) -> tuple[Taken, ...]:
        """Take what a device claims now; return the addresses that two present devices claim.

        Only an address that is new among a device's own is a claim: what merely stays in its
        list was claimed before.
        """
        now_s = device.last_seen.timestamp()
        claimed = frozenset(device.ips)
        before = self._last.get(device.mac) or frozenset()
        self._last.put(device.mac, claimed, now_s)
        taken = []
        for address in sorted(claimed):
            if device.mac.startswith(_SHARED) or not _is_own(address):
                continue
            holding = self._holdings.get(address)
            if holding is None:
                self._holdings.put(address, Holding(device.mac, now_s), now_s)
            elif holding.mac == device.mac:
                holding.seen_s = max(holding.seen_s, now_s)
                self._holdings.put(address, holding, now_s)
            elif address not in before:
                taken += self._move(address, holding, device.mac, now_s)
            elif holding.rival == device.mac and now_s - holding.moves[-1] >= INSISTS_S:
                holding.moves = _recent(holding.moves, now_s)
                taken.append(Taken(address, holding.mac, device.mac, len(holding.moves)))
        return tuple(taken)

    @staticmethod
    def _move(address: str, holding: Holding, mac: str, now_s: float) -> list[Taken]:
        held_by, present = holding.mac, now_s - holding.seen_s <= PRESENT_S
        holding.mac, holding.seen_s = mac, now_s
        if not present:
            holding.moves, holding.rival = [], None
            return []
        holding.moves = _recent(holding.moves, now_s)
        if holding.rival == mac:
            # back to whom it was taken from: the one in between is the newcomer
            holding.rival = held_by
            return [Taken(address, held_by, mac, len(holding.moves))]
        holding.rival = held_by
        return [Taken(address, mac, held_by, len(holding.moves))]


def _recent(moves: list[float], now_s: float) -> list[float]:
    return [*[at for at in moves if now_s - at < REMEMBER_S][-16:], now_s]


def _is_own(address: str) -> bool:
    """Tell whether an address belongs to one device: not "none", not a group, not this link's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not (ip.is_unspecified or ip.is_multicast or ip.is_loopback)
