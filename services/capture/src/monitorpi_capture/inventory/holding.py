"""One address: its states, the events they answer to, and who disputes it. Pure.

The rules of :mod:`.addresses` as one table: what was known of an address, what happens to it, what
is known then and what becomes of its holder.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_capture.inventory.groups import Relation

Space = tuple[int, ...]
"""VLAN ids, outermost first: the same address in two VLANs is two addresses."""
Key = tuple[Space, str]
"""VLAN and address."""
MAX_TURNS: Final = 16
REMEMBER_S: Final = 600.0
"""A former holder that claims the address again within this time insists; later it moves back."""


@lru_cache(maxsize=8192)
def version_of(address: str) -> int:
    """Return the IP version of an address, 4 or 6."""
    return ipaddress.ip_address(address).version


class State(Enum):
    """What is known of one address."""

    FREE = auto()
    """Nobody's."""
    NAMED = auto()
    """A server gave it to a client, no frame has proved it."""
    HELD = auto()
    MOVED = auto()
    """Held, and taken from somebody who may yet insist."""
    CONTESTED = auto()
    """Held, and somebody else claims it too."""


class Event(Enum):
    """What one fact is, seen from the address it is about."""

    HOLDER = auto()
    """Its holder claims it."""
    HEIR = auto()
    """Another one claims it, and may: the holder left, or the lease is the claimant's, or what it
    takes was only answered for."""
    MEMBER = auto()
    """One of the holder's own group claims it, or who answers for others while they are away."""
    CLAIMANT = auto()
    """Another one claims it while its holder is here."""
    DEFENDER = auto()
    """Who held it before it moved claims it again."""
    CHALLENGER = auto()
    """One that challenged its holder before does so again."""
    INTRUDER = auto()
    """Somebody outside the group claims a virtual router's address, or who but answers for others
    that of a device that is here."""
    YIELDED = auto()
    """The challenger claims what its holder did not claim for :data:`YIELD_S`."""
    NAMES = auto()
    """A server gives it to a client."""
    ENDS = auto()
    """Its holder, or the client it is named for, gave it up."""
    SETTLES = auto()
    """Nobody disputed it for :data:`REMEMBER_S`."""


class Act(Enum):
    """What becomes of the holder and of the dispute."""

    KEEP = auto()
    TAKE = auto()
    """The claimant holds it now."""
    MOVE = auto()
    """The claimant holds it now; who lost it may dispute that."""
    RETURN = auto()
    """Who held it before holds it again; the other is its challenger."""
    DISPUTE = auto()
    """The holder keeps it; the claimant is its challenger."""
    NAME = auto()
    DROP = auto()
    SETTLE = auto()


_S, _E, _A = State, Event, Act

TRANSITIONS: Final[dict[State, dict[Event, tuple[State, Act]]]] = {
    _S.FREE: {
        _E.HEIR: (_S.HELD, _A.TAKE),
        _E.NAMES: (_S.NAMED, _A.NAME),
    },
    _S.NAMED: {
        _E.HOLDER: (_S.HELD, _A.KEEP),
        _E.HEIR: (_S.HELD, _A.TAKE),
        _E.NAMES: (_S.NAMED, _A.NAME),
        _E.ENDS: (_S.FREE, _A.DROP),
    },
    _S.HELD: {
        _E.HOLDER: (_S.HELD, _A.KEEP),
        _E.HEIR: (_S.HELD, _A.TAKE),
        _E.MEMBER: (_S.HELD, _A.KEEP),
        _E.CLAIMANT: (_S.MOVED, _A.MOVE),
        _E.INTRUDER: (_S.CONTESTED, _A.DISPUTE),
        _E.ENDS: (_S.FREE, _A.DROP),
    },
    _S.MOVED: {
        _E.HOLDER: (_S.MOVED, _A.KEEP),
        _E.HEIR: (_S.HELD, _A.TAKE),
        _E.MEMBER: (_S.MOVED, _A.KEEP),
        _E.DEFENDER: (_S.CONTESTED, _A.RETURN),
        _E.CLAIMANT: (_S.MOVED, _A.MOVE),
        _E.INTRUDER: (_S.CONTESTED, _A.DISPUTE),
        _E.ENDS: (_S.FREE, _A.DROP),
        _E.SETTLES: (_S.HELD, _A.SETTLE),
    },
    _S.CONTESTED: {
        _E.HOLDER: (_S.CONTESTED, _A.KEEP),
        _E.HEIR: (_S.HELD, _A.TAKE),
        _E.MEMBER: (_S.CONTESTED, _A.KEEP),
        _E.CHALLENGER: (_S.CONTESTED, _A.DISPUTE),
        _E.CLAIMANT: (_S.CONTESTED, _A.DISPUTE),
        _E.INTRUDER: (_S.CONTESTED, _A.DISPUTE),
        _E.YIELDED: (_S.MOVED, _A.MOVE),
        _E.ENDS: (_S.FREE, _A.DROP),
        _E.SETTLES: (_S.HELD, _A.SETTLE),
    },
}
"""What may happen; every event that :meth:`Addresses.claim` and its like can see has an entry."""


@dataclass(slots=True)
class Dispute:
    """One address that somebody claims though another one held it."""

    space: Space
    ip: str
    holder: bytes
    """Who held it before."""
    challenger: bytes
    since_s: float
    last_s: float
    turns: list[float]
    """When the challenger took it, or claimed it again after its holder, of late."""
    present: bool
    """The holder was here when it was challenged."""
    router: bool
    """It is a router's address."""
    relation: Relation
    in_turns: bool = True
    """The holder was silent whenever the challenger had it."""

    def take_turn(self, at_s: float) -> None:
        """Count a turn of the challenger."""
        self.turns = [at for at in self.turns if at_s - at < REMEMBER_S][1 - MAX_TURNS :]
        self.turns.append(at_s)


@dataclass(slots=True)
class Holding:
    """What is known of one address in one VLAN: its state, its holder, who disputes it."""

    space: Space
    ip: str
    version: int
    state: State = State.FREE
    mac: bytes = b""
    since_s: float = 0.0
    claimed_s: float = 0.0
    how: str = "arp"
    named: bytes = b""
    """The client a server gave it to last."""
    behalf: bytes = b""
    """The client whose lease it is, where another MAC speaks for it: a repeater, a hypervisor."""
    defender: bytes = b""
    """Who held it before the dispute."""
    spoke: bytes = b""
    """Who claimed it last."""
    disputed_s: float = 0.0
    disputes: dict[bytes, Dispute] = field(default_factory=dict)
    """By challenger."""

    def is_undisputed_of(self, mac: bytes) -> bool:
        """Return whether a MAC holds it and did not take it from somebody who may insist."""
        return self.mac == mac and self.state in (State.HELD, State.CONTESTED)
