"""Routers that answer for others (proxy ARP, RFC 1027). Pure.

What a router answers for is not its own. Who answers for more than :data:`PROXY_FROM` addresses of
a family keeps its own only. Only who is *established* as a router may do so: nobody is for what it
says of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from monitorpi_capture.inventory.holding import REMEMBER_S, State, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_capture.inventory.disputes import Witness
    from monitorpi_capture.inventory.holding import Holding, Space

PROXY_FROM: Final = 8
"""More addresses of one family than this behind an established router: it answers for others."""
NEW_FROM: Final = 4
"""So many, and what is new among them may be what it answers for."""
MAX_PROXIES: Final = 256
_Family: TypeAlias = "tuple[bytes, Space, int]"
"""A router, a VLAN, 4 or 6."""


class Proxies:
    """Who answers for others, by family of addresses; bounded."""

    def __init__(self, witness: Witness, held_by: Callable[[bytes], list[Holding]]) -> None:
        """Ask a witness who routes, and the table what a MAC holds, the longest held first."""
        self._witness = witness
        self._held_by = held_by
        self._last_s: dict[_Family, float] = {}

    def answered_for(
        self, mac: bytes, space: Space, ip: str, held: Holding | None, at_s: float
    ) -> list[Holding] | None:
        """Judge whether a claim is but a router's answer for somebody else.

        Returns:
            None: it is no such answer. Else what turns out never to have been the router's own.

        """
        if held is not None and held.mac == mac:
            return None
        if not self._witness.is_established(mac, space):
            return None
        router_address = self._witness.is_router_address
        if router_address(mac, space, ip):
            return None
        if held is not None and held.state in (State.HELD, State.MOVED, State.CONTESTED):
            here = self._witness.is_present(held.mac, at_s)
            return [] if here and not router_address(held.mac, space, ip) else None
        family = (mac, space, version_of(ip))
        others: list[Holding] = []
        if family not in self._last_s:
            own = self._own(family)
            if len(own) < PROXY_FROM:
                return None
            kept = [one for one in own if router_address(mac, space, one.ip)] or own[:1]
            others = [one for one in own if one not in kept]
            self._make_room()
        self._last_s[family] = at_s
        return others

    def _make_room(self) -> None:
        if len(self._last_s) >= MAX_PROXIES:
            del self._last_s[min(self._last_s, key=lambda one: self._last_s[one])]

    def only_answers_for(self, held: Holding, at_s: float) -> bool:
        """Return whether a holder answers for others, and this is not its own.

        Before it did so for :data:`PROXY_FROM` that holds of what is new, where it has some; so it
        does of what is new to whoever but answers for it.
        """
        if self._witness.is_router_address(held.mac, held.space, held.ip):
            return False
        family = (held.mac, held.space, held.version)
        if family in self._last_s:
            return True
        some = len(self._own(family)) >= NEW_FROM
        return at_s - held.since_s <= REMEMBER_S and (
            (some and self._witness.is_established(held.mac, held.space))
            or self._witness.answers_for(held.mac, held.space, held.ip)
        )

    def _own(self, family: _Family) -> list[Holding]:
        """Return what a router holds of a family in a VLAN, the longest held first."""
        mac, *_ = family
        return [one for one in self._held_by(mac) if (mac, one.space, one.version) == family]

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock that stamped them."""
        self._last_s = {family: at_s + step_s for family, at_s in self._last_s.items()}
