"""Who answers for addresses that it never speaks from: a proxy, by how it behaves. Pure, bounded.

Theory of operation. A router with local proxy ARP (ports or Wi-Fi clients that are kept apart), an
access point or a bridge answers each question for its hosts with its own MAC address, and asks
nothing from their addresses. A host speaks from each address it has: it asks for others from it and
announces it. Who answered for :data:`ANSWERS_FROM` addresses when asked, and from none of them ever
spoke unasked, *answers for* them. Tools that poison the tables of others speak unasked: hosts ask
too seldom for them to wait.

That makes nobody a router and takes no address from its holder: it decides whose an address is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.inventory.holding import version_of

if TYPE_CHECKING:
    from monitorpi_capture.inventory.holding import Key, Space

ANSWERS_FROM: Final = 3
WITHIN_S: Final = 1.0
"""An answer comes so soon: hosts ask again after a second (RFC 4861: RetransTimer)."""
MAX_ASKED: Final = 1024
"""Questions that are remembered, the latest."""
_ASKERS: Final = 2
MAX_SPEAKERS: Final = 1024
MAX_ADDRESSES: Final = 64
"""Addresses of one MAC that are remembered, the latest."""


class Answering:
    """By MAC, each address it claims: did it ever do so unasked."""

    def __init__(self) -> None:
        self._asked: dict[Key, dict[bytes, float]] = {}
        """By address, its last two askers: of two one is another than who answers."""
        self._speaks: dict[bytes, dict[Key, bool]] = {}
        """Addresses that a MAC claims, and whether it only answered for them, in the order in which
        they came last; so are the MACs."""

    def asks(self, mac: bytes, space: Space, ip: str, at_s: float) -> None:
        """Take that a MAC asks for an address."""
        askers = self._asked.pop((space, ip), {})
        self._asked[space, ip] = askers
        askers.pop(mac, None)
        askers[mac] = at_s
        if len(askers) > _ASKERS:
            del askers[next(iter(askers))]
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]

    def claims(self, mac: bytes, space: Space, ip: str, at_s: float, *, asking: bool) -> None:
        """Take that a MAC claims an address; asking: in a question of its own."""
        key = space, ip
        answers = not asking and self._is_asked(mac, key, at_s)
        claimed = self._speaks.pop(mac, {})
        self._speaks[mac] = claimed
        claimed[key] = claimed.pop(key, True) and answers
        if len(claimed) > MAX_ADDRESSES:
            del claimed[next(iter(claimed))]
        if len(self._speaks) > MAX_SPEAKERS:
            del self._speaks[next(iter(self._speaks))]

    def _is_asked(self, mac: bytes, key: Key, at_s: float) -> bool:
        """Return whether somebody else just asked: a question of one's own excuses nobody."""
        askers = self._asked.get(key, {})
        return any(who != mac and 0 <= at_s - then_s <= WITHIN_S for who, then_s in askers.items())

    def only_answers(self, mac: bytes, space: Space, ip: str) -> bool:
        """Return whether a MAC claimed an address, and never unasked."""
        return self._speaks.get(mac, {}).get((space, ip), False)

    def answers_for(self, mac: bytes, space: Space, ip: str) -> bool:
        """Return whether a MAC but answers for an address, as for others."""
        if not self.only_answers(mac, space, ip):
            return False
        claimed, version = self._speaks[mac].items(), version_of(ip)
        alike = [one for one, only in claimed if only and version_of(one[1]) == version]
        return len(alike) >= ANSWERS_FROM

    def forget(self, mac: bytes) -> None:
        """Forget what a MAC claimed: it left the inventory."""
        self._speaks.pop(mac, None)

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock that stamped them."""
        self._asked = {
            key: {mac: at_s + step_s for mac, at_s in askers.items()}
            for key, askers in self._asked.items()
        }
