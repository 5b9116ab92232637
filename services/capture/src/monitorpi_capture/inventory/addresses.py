"""Who holds an address: one table of claims and their ends, by VLAN and address. Pure.

Theory of operation. An address of one VLAN has at most one *holder*, the MAC address that says the
address is its own. What frames say arrives as four facts: a *claim* (ARP, neighbour discovery,
mDNS: the sender speaks of itself), a *name* (a DHCP server's ACK or REPLY: the server speaks of a
client that need not be on this wire), an *end* (RELEASE, DECLINE, another lease for the same
client) and the passing of time. Each fact becomes one event, seen from the address, and the table
of :mod:`monitorpi_capture.inventory.holding` says what follows:

- *A name does not prove, frames do.* A named address is its client's until somebody claims it.
- *Who speaks for another MAC proves nothing*, but hosts believe it: it can take an address, not
  hold a free one.
- *A move is believed at once.* The former holder loses the address with the first claim of the
  next one; it is remembered for :data:`REMEMBER_S`, for if it insists the address is *contested*:
  then who held it before goes on holding it, and every turn of the other is counted.
- *Some moves are no news*: the holder has left, its lease went to the other, or both are of one
  group (virtual router MACs, :mod:`monitorpi_capture.inventory.groups`).
- *A virtual router's MAC holds* its address against everybody outside its group, until neither its
  frames nor its claims came for :data:`REMEMBER_S`: it was replaced.
- *A router may answer for others* (proxy ARP, :mod:`.proxies`): what it answers for is not its own
  and never another holder's loss.
- *An address ends by itself* when its holder is here and did not claim it for :data:`AGE_S`, or
  claimed others of its family for :data:`UNCLAIMED_S` but not this one (temporary addresses of
  IPv6, RFC 8981; a new fixed address), :data:`YIELD_S` after it went to another VLAN. Who is absent
  keeps what it had.

A claim from before an address's end changes nothing (:mod:`.ends`).

IPv4 and IPv6 are bounded apart (:data:`MAX_FAMILY` a device), the table as a whole by
:data:`MAX_HOLDINGS`; what finds no room is counted. Whether a dispute is an alert, and how severe,
is the detector's to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.inventory.disputes import Disputes, Witness
from monitorpi_capture.inventory.ends import Ends
from monitorpi_capture.inventory.groups import Relation, group_of
from monitorpi_capture.inventory.holding import (
    REMEMBER_S,
    TRANSITIONS,
    Act,
    Dispute,
    Event,
    Holding,
    State,
    version_of,
)
from monitorpi_capture.inventory.proxies import Proxies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitorpi_capture.inventory.holding import Key, Space

MAX_FAMILY: Final = 16
"""Addresses of one family a device is believed to hold; as many as a message lists of both."""
MAX_HOLDINGS: Final = 16_384
"""Addresses in the table: four for each of 4,096 devices."""
YIELD_S: Final = 120.0
"""A holder that did not claim a contested address for so long has yielded. Hosts renew an entry of
their ARP table each half minute to each few minutes (Linux: 15-45 s, Windows: up to 45 s)."""
PRESENT_S: Final = 120.0
"""Who sent nothing for so long has left."""
UNCLAIMED_S: Final = 3600.0
"""A holder that claims others of the family but not this one for so long has given it up."""
AGE_S: Final = 86400.0
"""Longest life of an address that its present holder does not claim: a day, as leases are."""
_STRAY_S: Final = 60.0
"""In a full table an address of no device leaves when it was not claimed for so long."""


class Addresses:
    """See the module. ``touched`` collects whose addresses changed, ``urgent`` new disputes."""

    def __init__(self, witness: Witness | None = None) -> None:
        self._witness = witness or Witness()
        self._table: dict[Key, Holding] = {}
        self._of: dict[bytes, dict[Key, None]] = {}
        self._disputes = Disputes(self._witness, PRESENT_S)
        self._leases: dict[tuple[bytes, Space, int], tuple[str, ...]] = {}
        self._ends = Ends()
        self._proxies = Proxies(self._witness, self.of)
        self._swept_s = 0.0
        self.refused = 0
        """Claims for which the table had no room."""
        self.touched = self._disputes.touched
        self.urgent = self._disputes.urgent

    def __len__(self) -> int:
        return len(self._table)

    # --- what is known ------------------------------------------------------------------------

    def of(self, mac: bytes) -> list[Holding]:
        """Return what a MAC holds, the longest held first."""
        held = [self._table[key] for key in self._of.get(mac, ())]
        return sorted(held, key=lambda one: one.since_s)

    def holder(self, space: Space, ip: str) -> bytes | None:
        """Return who holds an address, None: nobody."""
        held = self._table.get((space, ip))
        return held.mac if held is not None and held.mac else None

    def state(self, space: Space, ip: str) -> State:
        """Return what is known of an address."""
        held = self._table.get((space, ip))
        return State.FREE if held is None else held.state

    def disputes(self, mac: bytes, at_s: float) -> list[Dispute]:
        """Return the disputes of late that a MAC is part of, the latest first."""
        found = []
        for key in list(self._disputes.by_mac.get(mac, ())):
            held = self._table[key]
            self._end_dispute(held, at_s)
            found += self._disputes.sure_of(held, mac)
        return sorted(found, key=lambda one: (-one.last_s, one.ip, one.challenger))

    def challenges(self, mac: bytes, at_s: float) -> bool:
        """Return whether a MAC claims, of late, what another one holds."""
        return any(one.challenger == mac for one in self.disputes(mac, at_s))

    # --- what happens -------------------------------------------------------------------------

    def claim(self, mac: bytes, space: Space, ip: str, at_s: float, how: str = "arp") -> None:
        """Take that a MAC says an address is its own."""
        held = self._table.get((space, ip))
        if held is not None and held.mac == mac and held.state is State.HELD:
            held.claimed_s, held.how, held.spoke = max(held.claimed_s, at_s), how, mac
            return
        if self._witness.is_nobodys(space, ip) or self._ends.came_after(mac, (space, ip), at_s):
            return
        if held is not None:
            self._end_dispute(held, at_s)
        others = self._proxies.answered_for(mac, space, ip, held, at_s)
        if others is not None:
            for one in others:
                self._remove(one)
            return
        if held is None and (held := self._enter(space, ip, at_s)) is None:
            return
        self._apply(held, self._event(held, mac, at_s), mac, at_s)
        if held.disputes and held.spoke != mac == held.defender:
            self._disputes.insist(held, at_s)
        if held.mac == mac:
            held.claimed_s, held.how = max(held.claimed_s, at_s), how
        held.spoke = mac

    def allege(
        self, mac: bytes, space: Space, ip: str, at_s: float, sender: bytes, how: str = "arp"
    ) -> None:
        """Take that one MAC says an address is at another one.

        Hosts believe it, so it takes an address from its holder as a claim of the other's own
        would; it gives nobody an address that is free, but for a virtual router's MAC, which some
        members send from their own cards (FreeBSD's CARP). A holder that speaks so of an address
        that is no router's has several ports, or carries others (Linux bonding, extenders).
        """
        if group_of(mac) is not None:
            self.claim(mac, space, ip, at_s, how)
            return
        held = self._table.get((space, ip))
        if held is None or held.state in (State.FREE, State.NAMED):
            return
        may = held.mac == sender and not self._witness.is_router_address(sender, space, ip)
        if held.mac != mac and not may:
            self.claim(mac, space, ip, at_s, how)

    def name(
        self, mac: bytes, space: Space, ips: Iterable[str], at_s: float, how: str = "dhcp"
    ) -> None:
        """Take that a server gave a client these addresses: they replace those it gave before."""
        named = tuple(ip for ip in ips if not self._witness.is_nobodys(space, ip))[:MAX_FAMILY]
        if not named:
            return
        lease = (mac, space, version_of(named[0]))
        for ip in set(self._leases.pop(lease, ())) - set(named):
            self.end(mac, space, ip, at_s)
        self._leases[lease] = named
        if len(self._leases) > MAX_HOLDINGS:
            del self._leases[next(iter(self._leases))]
        for ip in named:
            held = self._table.get((space, ip)) or self._enter(space, ip, at_s)
            if held is None:
                continue
            held.named = mac
            if held.state in (State.FREE, State.NAMED):
                self._apply(held, Event.NAMES, mac, at_s)
                held.behalf = mac
                held.claimed_s, held.how = max(held.claimed_s, at_s), how

    def end(
        self, mac: bytes, space: Space, ip: str, at_s: float, sender: bytes | None = None
    ) -> None:
        """Take that a client gave an address up, or was given another one.

        Args:
            mac: the client.
            space: the VLAN.
            ip: the address.
            at_s: when.
            sender: the MAC that says so for the client; None: its server. Only who holds the
                address can give it up; a router's address is not given up at all.

        """
        held = self._table.get((space, ip))
        if held is None or mac not in (held.mac, held.behalf):
            return
        if sender not in (None, held.mac) and held.state is not State.NAMED:
            return
        if not self._witness.is_router_address(held.mac, space, ip):
            self._apply(held, Event.ENDS, mac, at_s)

    def end_overdue(self, mac: bytes, at_s: float) -> None:
        """Let the addresses of a MAC that is here end whose time has come."""
        held = self.of(mac)
        newest = {
            version: max((one.claimed_s for one in held if one.version == version), default=at_s)
            for version in (4, 6)
        }
        for one in held:
            one.claimed_s = min(one.claimed_s, at_s + 1.0)
            self._end_dispute(one, at_s)
            unclaimed_s = newest[one.version] - one.claimed_s
            longest_s = YIELD_S if self._has_moved(one, held) else UNCLAIMED_S
            if unclaimed_s > longest_s or at_s - one.claimed_s > AGE_S:
                self._apply(one, Event.ENDS, mac, at_s)

    def _has_moved(self, left: Holding, held: list[Holding]) -> bool:
        """Tell whether a client got another lease after it claimed an address last.

        In another VLAN, or in place of one from before our start (IPv6 keeps what it made up).
        """
        for one in held:
            lease = self._leases.get((one.mac, one.space, left.version), ())
            replaced = left.version == 4 and one.ip in lease and left.ip not in lease  # noqa: PLR2004
            if lease and one.since_s > left.claimed_s and (one.space != left.space or replaced):
                return True
        return False

    def forget(self, mac: bytes) -> None:
        """Take all addresses from a device that left the inventory."""
        for one in self.of(mac):
            self._remove(one)

    def forget_nobodys(self) -> None:
        """Take away what turned out to be an address of no device."""
        nobodys = self._witness.is_nobodys
        for one in [one for one in self._table.values() if nobodys(one.space, one.ip)]:
            self._remove(one)

    def restore(
        self, mac: bytes, space: Space, ip: str, since_s: float, claimed_s: float, how: str
    ) -> None:
        """Take back what was known before a restart; where two had it, the later claim holds."""
        held = self._table.get((space, ip))
        if self._witness.is_nobodys(space, ip) or (
            held is not None and held.mac and held.claimed_s >= claimed_s
        ):
            return
        if held is None and (held := self._enter(space, ip, claimed_s)) is None:
            return
        held.state = State.HELD
        self._give(held, mac, since_s)
        held.claimed_s, held.how = claimed_s, how

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock that stamped them."""
        self._swept_s += step_s
        self._proxies.shift(step_s)
        self._ends.shift(step_s)
        for held in self._table.values():
            held.since_s += step_s
            held.claimed_s += step_s
            held.disputed_s += step_s
            for one in held.disputes.values():
                one.since_s += step_s
                one.last_s += step_s
                one.turns = [at_s + step_s for at_s in one.turns]

    # --- events -------------------------------------------------------------------------------

    def _event(self, held: Holding, mac: bytes, at_s: float) -> Event:
        """Return what a claim is, seen from the address."""
        if held.mac == mac:
            return Event.HOLDER
        if held.state in (State.FREE, State.NAMED):
            return Event.HEIR
        relation = self._witness.relation(held.mac, mac)
        quiet_s = at_s - held.claimed_s
        if relation is Relation.GROUP:
            virtual_takes = group_of(mac) is not None and group_of(held.mac) is None
            return Event.HEIR if quiet_s > YIELD_S or virtual_takes else Event.MEMBER
        is_here = self._witness.is_present(held.mac, at_s)
        if relation is Relation.INTRUDER and (is_here or quiet_s <= REMEMBER_S):
            return Event.INTRUDER
        if self._proxies.only_answers_for(held, at_s):
            return Event.HEIR
        if self._witness.answers_for(mac, held.space, held.ip):
            return Event.INTRUDER if is_here else Event.MEMBER
        if held.state is State.MOVED and mac == held.defender:
            return Event.DEFENDER
        if held.state is State.CONTESTED and mac in held.disputes:
            return Event.YIELDED if quiet_s > YIELD_S else Event.CHALLENGER
        router = self._witness.is_router_address(held.mac, held.space, held.ip)
        leased = held.ip in self._leases.get((held.mac, held.space, held.version), ())
        given = held.named == mac and not leased
        return Event.HEIR if (given or not is_here) and not router else Event.CLAIMANT

    def _apply(self, held: Holding, event: Event, mac: bytes, at_s: float) -> None:
        """Take the transition of an event, and do what it asks for."""
        was, before = held.state, held.mac
        held.state, act = TRANSITIONS[was][event]
        if act in (Act.TAKE, Act.MOVE, Act.RETURN) and was is not State.NAMED:
            held.behalf = b""
        match act:
            case Act.TAKE | Act.NAME:
                self._disputes.clear(held)
                self._give(held, mac, at_s)
            case Act.MOVE:
                held.defender = held.defender or before
                self._disputes.count(held, mac, at_s)
                self._give(held, mac, at_s)
            case Act.RETURN:
                held.disputed_s = at_s
                self._give(held, mac, at_s)
            case Act.DISPUTE:
                held.defender = before
                self._disputes.count(held, mac, at_s)
            case Act.DROP:
                self._ends.take(held, mac, at_s)
                self._remove(held)
            case Act.SETTLE:
                self._disputes.clear(held)
            case Act.KEEP:
                pass

    def _end_dispute(self, held: Holding, at_s: float) -> None:
        """End a dispute that nobody goes on with."""
        disputed = held.state in (State.MOVED, State.CONTESTED)
        if disputed and at_s - held.disputed_s > REMEMBER_S:
            self._apply(held, Event.SETTLES, held.mac, at_s)

    # --- the table ----------------------------------------------------------------------------

    def _enter(self, space: Space, ip: str, at_s: float) -> Holding | None:
        """Make room for an address that is not in the table."""
        if len(self._table) >= MAX_HOLDINGS and not self._sweep(at_s):
            self.refused += 1
            return None
        held = self._table[space, ip] = Holding(space, ip, version_of(ip), claimed_s=at_s)
        return held

    def _sweep(self, at_s: float) -> bool:
        """Let addresses of nobody known leave, at most once in a while: a flood is no reason."""
        if 0 <= at_s - self._swept_s < 1.0:
            return False
        self._swept_s = at_s
        is_known, table = self._witness.is_known, self._table.values()
        stray = [
            one for one in table if not (is_known(one.mac) or at_s - one.claimed_s <= _STRAY_S)
        ]
        for one in stray:
            self._remove(one)
        return bool(stray)

    def _give(self, held: Holding, mac: bytes, since_s: float) -> None:
        """Make a MAC the holder (nobody: an empty one)."""
        key = (held.space, held.ip)
        if held.mac == mac:
            return
        if held.mac:
            keys = self._of[held.mac]
            del keys[key]
            if not keys:
                del self._of[held.mac]
            self.touched.add(held.mac)
        held.mac, held.since_s = mac, since_s
        if mac:
            self._of.setdefault(mac, {})[key] = None
            self.touched.add(mac)
            self._bound(mac, held)

    def _bound(self, mac: bytes, newest: Holding) -> None:
        """Keep so many of a family; the longest held is the device's own and stays."""
        held = [one for one in self.of(mac) if one.version == newest.version]
        if len(held) > MAX_FAMILY:
            leaving = [one for one in held[1:] if one is not newest]
            self._remove(min(leaving, key=lambda one: one.claimed_s))

    def _remove(self, held: Holding) -> None:
        self._disputes.clear(held)
        self._give(held, b"", held.since_s)
        del self._table[held.space, held.ip]

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._table.values())
