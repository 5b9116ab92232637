"""Who disputes which address with whom: counted by claims, found by MAC. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_capture.inventory.groups import Relation, group_of, related
from monitorpi_capture.inventory.holding import Dispute

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_capture.inventory.holding import Holding, Key, Space

LASTS_FROM: Final = 6
"""Turns from which it does not matter that somebody may yet turn out to answer for many."""
MAX_DISPUTES: Final = 4
"""Challengers of one address that are remembered."""


def _never(*_: object) -> bool:
    return False


@dataclass(slots=True, frozen=True)
class Witness:
    """What the inventory knows of MACs beside their claims."""

    is_present: Callable[[bytes, float], bool] = _never
    """A MAC sent something within the last seconds before a moment."""
    was_away: Callable[[bytes, float, float], bool] = _never
    """A MAC was silent from one moment until about another one."""
    is_known: Callable[[bytes], bool] = _never
    """A MAC is a device."""
    is_established: Callable[[bytes, Space], bool] = _never
    """Others, not its own words, make a MAC a router."""
    is_router_address: Callable[[bytes, Space, str], bool] = _never
    """A MAC's address is one that hosts send to as to a router."""
    only_answers: Callable[[bytes, Space, str], bool] = _never
    """A MAC claimed an address only when somebody asked for it."""
    answers_for: Callable[[bytes, Space, str], bool] = _never
    """The same, and so it does with others."""
    is_nobodys: Callable[[Space, str], bool] = _never
    """An address that is no device's: of a network, or a broadcast."""
    is_member: Callable[[bytes, bytes], bool] = _never
    """One MAC is a virtual router's, and others show that the other one is a router."""

    def relation(self, holder: bytes, claimant: bytes) -> Relation:
        """Return what a claimant is to a holder."""
        found = related(holder, claimant)
        if found is not Relation.GROUP and self.is_member(holder, claimant):
            return Relation.GROUP
        return found


class Disputes:
    """The disputes of all addresses, bounded for each."""

    def __init__(self, witness: Witness, present_s: float) -> None:
        """Start empty; who was not heard of for ``present_s`` has left."""
        self._witness = witness
        self._present_s = present_s
        self.by_mac: dict[bytes, dict[Key, None]] = {}
        """The addresses a MAC disputes, as holder or challenger."""
        self.touched: set[bytes] = set()
        """Whose disputes changed."""
        self.urgent: set[bytes] = set()
        """Who is party to a new one."""

    def count(self, held: Holding, challenger: bytes, at_s: float) -> None:
        """Count a claim of a challenger, and a turn if somebody else claimed it before."""
        holder = held.defender
        held.disputed_s = at_s
        dispute = held.disputes.get(challenger)
        if dispute is None or dispute.holder != holder:
            dispute = self._begin(held, holder, challenger, at_s)
        dispute.last_s = at_s
        if self._witness.answers_for(challenger, held.space, held.ip):
            dispute.relation = Relation.PROXY
        elif dispute.relation is Relation.PROXY:
            dispute.relation = self._witness.relation(holder, challenger)
        dispute.router |= self._witness.is_router_address(holder, held.space, held.ip)
        if held.spoke != challenger or not dispute.turns:
            dispute.take_turn(at_s)
        self.touched |= {holder, challenger}

    def sure_of(self, held: Holding, mac: bytes) -> list[Dispute]:
        """Return the disputes of an address that a MAC is part of, as far as they are sure."""
        return [
            one
            for one in held.disputes.values()
            if mac in (one.holder, one.challenger) and self._is_sure(one)
        ]

    def _is_sure(self, dispute: Dispute) -> bool:
        """Tell whether a dispute is one: who but answered may do so for many."""
        only_answers, space, ip = self._witness.only_answers, dispute.space, dispute.ip
        return (
            dispute.router
            or len(dispute.turns) >= LASTS_FROM
            or not any(only_answers(mac, space, ip) for mac in (dispute.holder, dispute.challenger))
        )

    def insist(self, held: Holding, at_s: float) -> None:
        """Take that the holder claims its address after a challenger did."""
        for one in held.disputes.values():
            if one.in_turns and not self._witness.was_away(one.holder, one.turns[-1], at_s):
                one.in_turns = False
                self.touched |= {one.holder, one.challenger}

    def _begin(self, held: Holding, holder: bytes, challenger: bytes, at_s: float) -> Dispute:
        """Note a challenger, in the place of the one that was silent longest."""
        self._drop(held, challenger)
        if len(held.disputes) >= MAX_DISPUTES:
            self._drop(held, min(held.disputes, key=lambda one: held.disputes[one].last_s))
        dispute = held.disputes[challenger] = Dispute(
            held.space, held.ip, holder, challenger, at_s, at_s, [],
            present=self._is_here(held, holder, at_s),
            router=self._witness.is_router_address(holder, held.space, held.ip),
            relation=self._witness.relation(holder, challenger),
        )  # fmt: skip
        for mac in (holder, challenger):
            self.by_mac.setdefault(mac, {})[held.space, held.ip] = None
            self.urgent.add(mac)
        return dispute

    def _is_here(self, held: Holding, holder: bytes, at_s: float) -> bool:
        """Tell whether a holder is here: it sends, or a member of its group answers for it."""
        answers = group_of(holder) is not None and at_s - held.claimed_s <= self._present_s
        return answers or self._witness.is_present(holder, at_s)

    def _drop(self, held: Holding, challenger: bytes) -> None:
        gone = held.disputes.pop(challenger, None)
        if gone is None:
            return
        involved = {mac for one in held.disputes.values() for mac in (one.holder, one.challenger)}
        for mac in {gone.holder, gone.challenger} - involved:
            keys = self.by_mac[mac]
            del keys[held.space, held.ip]
            if not keys:
                del self.by_mac[mac]
            self.touched.add(mac)

    def clear(self, held: Holding) -> None:
        """End all disputes of an address."""
        held.defender = b""
        for challenger in list(held.disputes):
            self._drop(held, challenger)
