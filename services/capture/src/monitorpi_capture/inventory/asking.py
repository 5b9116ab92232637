"""Who asks by ARP or neighbour discovery for addresses that nobody has. Pure, bounded.

Theory of operation. An ordinary host asks for its router and for the few it talks to, and these
exist: whoever answers or asks himself holds his address (:mod:`.addresses`), and who is away keeps
it. Where another one answers and is not believed to hold it (a router that answers for others, a
machine with more addresses than are kept of one), that is remembered. Who looks for hosts asks for
every address, and most are nobody's. So each MAC's *different* addresses that nobody holds are
remembered for :data:`WITHIN_S`, however slowly they come, and whether one is held is decided when
they are counted: an answer may come later than the request.
Those of one /24, or /64 of IPv6, count: who sweeps goes through a network, a broken host's lie
anywhere.

Forged senders can fill the table; where there is no room the one that asked for fewest leaves.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_capture.inventory.holding import Key, Space

WITHIN_S: Final = 3600.0
"""One request each fourteen seconds sweeps a /24 in this time."""
MAX_ASKERS: Final = 1024
MAX_ASKED: Final = 256
"""Addresses of one asker that are remembered; the oldest leave."""
MAX_REMEMBERED: Final = 16_384
"""Addresses of all askers together."""
MAX_ANSWERED: Final = 4096
"""Addresses that were claimed, the latest."""
NEWS_EACH: Final = 25
"""An asker is published at once with each so many addresses, else with what is published anyway."""


@lru_cache(maxsize=MAX_REMEMBERED)
def _network(ip: str) -> str | int:
    """Return what is the same of all addresses of a /24, or of a /64 of IPv6."""
    if ":" in ip:
        return int(ipaddress.IPv6Address(ip)) >> 64
    return ip.rpartition(".")[0]


class Asked(NamedTuple):
    """What one MAC asked for in vain."""

    addresses: int
    last_s: float
    """When it asked for another one last."""


@dataclass(slots=True)
class _Asker:
    asked: dict[Key, float] = field(default_factory=dict)
    """Addresses, by when it asked for them last, in that order."""
    last_s: float = 0.0


class Asking:
    """Addresses that were asked for and that nobody has."""

    def __init__(self, is_held: Callable[[Space, str], bool]) -> None:
        """Make an empty memory.

        Args:
            is_held: somebody holds an address of a VLAN.

        """
        self._is_held = is_held
        self._askers: dict[bytes, _Asker] = {}
        self._remembered = 0
        self._claimed: dict[Key, tuple[bytes, float]] = {}
        """Who claimed an address last, and when, in that order."""

    def __len__(self) -> int:
        return self._remembered

    def asks(self, mac: bytes, space: Space, ip: str, at_s: float) -> bool:
        """Take a request; returns whether the count of its sender is worth a message."""
        if self._is_held(space, ip):
            return False
        asker = self._askers.get(mac)
        if asker is None:
            asker = self._askers[mac] = _Asker()
        is_new = asker.asked.pop((space, ip), None) is None
        asker.asked[space, ip] = at_s
        if not is_new:
            return False
        asker.last_s = at_s
        self._remembered += 1
        self._prune(asker, at_s)
        if len(self._askers) > MAX_ASKERS or self._remembered > MAX_REMEMBERED:
            self.forget(min(self._askers, key=lambda one: len(self._askers[one].asked)))
        return len(asker.asked) >= NEWS_EACH and self._count(mac, asker, at_s) % NEWS_EACH == 0

    def claims(self, mac: bytes, space: Space, ip: str, at_s: float) -> None:
        """Take that a MAC says an address is its own: who else asks for it gets an answer."""
        self._claimed.pop((space, ip), None)
        self._claimed[space, ip] = mac, at_s
        if len(self._claimed) > MAX_ANSWERED:
            del self._claimed[next(iter(self._claimed))]

    def of(self, mac: bytes, at_s: float) -> Asked | None:
        """Return what a MAC asked for in vain of late; None: nothing."""
        asker = self._askers.get(mac)
        if asker is None:
            return None
        self._prune(asker, at_s)
        count = self._count(mac, asker, at_s)
        return Asked(count, asker.last_s) if count else None

    def forget(self, mac: bytes) -> None:
        """Forget what a MAC asked for: it left the inventory, or makes room."""
        asker = self._askers.pop(mac, None)
        if asker is not None:
            self._remembered -= len(asker.asked)

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock that stamped them."""
        for asker in self._askers.values():
            asker.last_s += step_s
            asker.asked = {key: at_s + step_s for key, at_s in asker.asked.items()}
        self._claimed = {key: (mac, at_s + step_s) for key, (mac, at_s) in self._claimed.items()}

    def _is_answered(self, mac: bytes, key: Key, at_s: float) -> bool:
        claimant, claimed_s = self._claimed.get(key, (mac, at_s))
        return claimant != mac and at_s - claimed_s <= WITHIN_S

    def _count(self, mac: bytes, asker: _Asker, at_s: float) -> int:
        """Return how many of one network."""
        in_vain = (
            key
            for key in asker.asked
            if not self._is_held(*key) and not self._is_answered(mac, key, at_s)
        )
        return max(Counter((space, _network(ip)) for space, ip in in_vain).values(), default=0)

    def _prune(self, asker: _Asker, at_s: float) -> None:
        while asker.asked:
            oldest = next(iter(asker.asked))
            if len(asker.asked) <= MAX_ASKED and at_s - asker.asked[oldest] <= WITHIN_S:
                return
            del asker.asked[oldest]
            self._remembered -= 1
