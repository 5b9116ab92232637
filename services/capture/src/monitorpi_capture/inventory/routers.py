"""Who is a router, by what others do. Pure.

Theory of operation. A MAC has the role when *others* send to addresses beyond this wire through
it: at least :data:`SENDERS` devices, to :data:`TARGETS` addresses, within :data:`EVIDENCE_S`; for
one that a DHCP server named, or that advertises itself (RFC 4861), one sender is enough. The
role ends :data:`ROLE_S` after it was last shown. What a MAC says of itself (an advertisement, a
claim of the router's address) and what it sends never make it one: rules excuse routers for what
they pass on. Nor does what is sent to addresses of its own, which are not behind it, nor what
comes through it while it challenges the holder of an address.

IPv6 addresses count by their /64: a host has several, of few networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_capture.inventory.holding import Space

SENDERS: Final = 2
TARGETS: Final = 4
EVIDENCE_S: Final = 3600.0
"""What was sent through it counts for so long."""
ROLE_S: Final = 86400.0
"""The role lasts so long without new evidence: a night, and a day on which nobody is there."""
RENEW_S: Final = 60.0
"""Evidence for one that has the role is looked at so often."""
NAMED_S: Final = 2 * 86400.0
"""A router's address that a DHCP server named counts for so long: leases last a day or less."""
MAX_NAMED: Final = 64
MAX_VLANS: Final = 64
"""VLANs in which one router is remembered to advertise itself, the latest."""
MAX_EVIDENCE: Final = 1024
_ADVERTISED_S: Final = 9000.0
"""Longest lifetime of a router advertisement (RFC 4861, 6.2.1: AdvDefaultLifetime)."""
_V6_NETWORK: Final = 8
_V6_SIZE: Final = 16


@dataclass(slots=True)
class _Evidence:
    """Who sent where through a MAC, each with the last time."""

    senders: dict[bytes, float] = field(default_factory=dict)
    targets: dict[bytes, float] = field(default_factory=dict)
    shown_s: float | None = None
    """When it had enough of both last."""


class Routers:
    """The evidence for all MACs, bounded."""

    def __init__(self) -> None:
        self._evidence: dict[bytes, _Evidence] = {}
        self._named: dict[tuple[Space, str], float] = {}
        self._advertised: dict[bytes, dict[Space, float]] = {}
        """By MAC and VLAN, the latest last."""

    def name(self, space: Space, addresses: Iterable[str], at_s: float) -> None:
        """Take that a DHCP server names these addresses as routers'."""
        for ip in addresses:
            self._named.pop((space, ip), None)
            self._named[space, ip] = at_s
            if len(self._named) > MAX_NAMED:
                del self._named[next(iter(self._named))]

    def is_named(self, space: Space, ip: str, at_s: float) -> bool:
        """Return whether a DHCP server named an address as a router's, of late."""
        named_s = self._named.get((space, ip))
        return named_s is not None and at_s - named_s < NAMED_S

    def advertise(self, mac: bytes, space: Space, at_s: float) -> None:
        """Take that a MAC advertises itself as a router in a VLAN."""
        spaces = self._advertised.pop(mac, {})
        spaces.pop(space, None)
        spaces[space] = at_s
        if len(spaces) > MAX_VLANS:
            del spaces[next(iter(spaces))]
        self._advertised[mac] = spaces
        if len(self._advertised) > MAX_NAMED:
            del self._advertised[next(iter(self._advertised))]

    def withdraw(self, mac: bytes, space: Space) -> None:
        """Take that a MAC says it is no router of a VLAN any more."""
        self._advertised.get(mac, {}).pop(space, None)

    def advertised(self, mac: bytes, at_s: float) -> dict[Space, float]:
        """Return when a MAC advertised itself last, by VLAN, the latest first.

        Where it does not, or not any more, there is none.
        """
        spaces = self._advertised.get(mac)
        if not spaces:
            return {}
        latest = reversed(spaces.items())
        return {space: when for space, when in latest if at_s - when < _ADVERTISED_S}

    # --- what others do -----------------------------------------------------------------------

    def wants(self, mac: bytes, at_s: float) -> bool:
        """Return whether evidence for a MAC is worth looking at now."""
        known = self._evidence.get(mac)
        return known is None or known.shown_s is None or at_s - known.shown_s >= RENEW_S

    def see(self, mac: bytes, sender: bytes, target: bytes, at_s: float, *, named: bool) -> bool:
        """Take that a device sent to an address beyond this wire through a MAC.

        Args:
            mac: where the frame went.
            sender: where it came from.
            target: the address, packed.
            at_s: when.
            named: somebody else named it as router, or it advertises itself.

        Returns: whether the MAC has the role by this.

        """
        evidence = self._evidence.get(mac)
        if evidence is None:
            if len(self._evidence) >= MAX_EVIDENCE:
                del self._evidence[next(iter(self._evidence))]
            evidence = self._evidence[mac] = _Evidence()
        network = target[:_V6_NETWORK] if len(target) == _V6_SIZE else target
        enough = _note(evidence.senders, sender, at_s, SENDERS) + named >= SENDERS
        if (_note(evidence.targets, network, at_s, TARGETS) >= TARGETS) and enough:
            evidence.shown_s = at_s
        return evidence.shown_s == at_s

    def is_shown(self, mac: bytes, at_s: float) -> bool:
        """Return whether others showed a MAC to be a router, within :data:`ROLE_S`."""
        known = self._evidence.get(mac)
        return known is not None and known.shown_s is not None and at_s - known.shown_s < ROLE_S

    def restore(self, mac: bytes, at_s: float) -> None:
        """Take back that a MAC had the role when it was last seen."""
        self._evidence[mac] = _Evidence(shown_s=at_s)

    def forget(self, mac: bytes) -> None:
        """Drop what others showed of a MAC as a router: it left, or takes a router's place."""
        self._evidence.pop(mac, None)

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock."""
        self._named = {name: at_s + step_s for name, at_s in self._named.items()}
        for mac, spaces in self._advertised.items():
            self._advertised[mac] = {space: at_s + step_s for space, at_s in spaces.items()}
        for one in self._evidence.values():
            one.senders = {mac: at_s + step_s for mac, at_s in one.senders.items()}
            one.targets = {ip: at_s + step_s for ip, at_s in one.targets.items()}
            if one.shown_s is not None:
                one.shown_s += step_s


def _note(table: dict[bytes, float], name: bytes, at_s: float, enough: int) -> int:
    """Note a name, the newest few stay; return how many are fresh."""
    table.pop(name, None)
    table[name] = at_s
    if len(table) > enough:
        del table[next(iter(table))]
    return sum(at_s - seen_s < EVIDENCE_S for seen_s in table.values())
