"""What a MAC is to the others: here or away, a router by what they do, or not. Pure.

Theory of operation. Addresses, routers and networks are learned apart; here they answer for each
other. Two kinds of evidence are kept apart. What others do (frames through a MAC to addresses
beyond this wire) gives the role, which rules excuse. What a device or a server says (an
advertisement, option 3 of DHCP, a virtual router's MAC) only shows which addresses hosts send to
as to a router's: whoever claims one of those is looked at more closely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.text import ip_text
from monitorpi_capture.inventory.addresses import PRESENT_S, Addresses
from monitorpi_capture.inventory.answering import Answering
from monitorpi_capture.inventory.disputes import Witness
from monitorpi_capture.inventory.groups import group_of
from monitorpi_capture.inventory.holding import REMEMBER_S
from monitorpi_capture.inventory.routers import Routers
from monitorpi_capture.inventory.subnets import Subnets

if TYPE_CHECKING:
    from monitorpi_capture.inventory.admission import Entry
    from monitorpi_capture.inventory.holding import Holding, Space
    from monitorpi_capture.items import MacCounts
    from monitorpi_common.messages import Role

LINK_LOCAL: Final = "fe80:"
"""How IPv6 addresses begin that a router advertises itself from (RFC 4861, 4.2)."""
SILENT_S: Final = 60.0
"""Who sent nothing for so long may have slept."""
WAKES_S: Final = 5.0
"""Between a device's waking and its first claim, and between its last frame and its sleep."""


class Topology:
    """Addresses, routers and networks of one wire."""

    def __init__(self, devices: dict[bytes, Entry], candidates: dict[bytes, Entry]) -> None:
        self._devices = devices
        self._candidates = candidates
        self.subnets = Subnets()
        self.routers = Routers()
        self.answering = Answering()
        self.addresses = Addresses(
            Witness(
                is_present=self._is_present,
                was_away=self._was_away,
                is_known=devices.__contains__,
                is_established=self._is_established,
                is_router_address=self.is_router_address,
                only_answers=self.answering.only_answers,
                answers_for=self.answering.answers_for,
                is_nobodys=self.subnets.is_nobodys,
                is_member=self._is_member,
            )
        )
        self.now_s = 0.0
        """The time of the last window or turn."""

    def role_of(self, entry: Entry) -> Role:
        """Return the role that others show; who takes a router's place has none."""
        mac, now_s = entry.mac, self.now_s
        shown = self.routers.is_shown(mac, now_s)
        if shown and any(
            one.router and one.challenger == mac for one in self.addresses.disputes(mac, now_s)
        ):
            self.routers.forget(mac)
            shown = False
        return "router" if shown else "host" if entry.ips else "unknown"

    def set_role(self, entry: Entry) -> None:
        """Give a device the role that others show, and note where that is another one."""
        role = self.role_of(entry)
        if role != entry.role:
            entry.role = role
            entry.changed = True

    def refresh(self) -> None:
        """Bring what changed among the addresses to those it is about."""
        touched = self.addresses.touched
        while touched:
            mac = touched.pop()
            entry = self._entry(mac)
            if entry is not None:
                entry.ips = {one.ip: one.claimed_s for one in self.addresses.of(mac)}
                entry.changed = True
                self.set_role(entry)

    def see_through(self, row: MacCounts, at_s: float) -> list[Entry]:
        """Take where a device sent frames of a window; returns who has a router's role by that."""
        shown: list[Entry] = []
        for peer in (row.syn_peer, row.echo_peer):
            if peer is None or peer.ip is None or not self.routers.wants(peer.mac, at_s):
                continue
            router = self._devices.get(peer.mac)
            if router is None or router.mac == row.mac or row.mac not in self._devices:
                continue
            if not self.subnets.is_beyond(peer.ip) or ip_text(peer.ip) in router.ips:
                continue
            advertises = bool(self.routers.advertised(router.mac, at_s))
            named = advertises or self._has_named_address(router)
            if self.routers.see(router.mac, row.mac, peer.ip, at_s, named=named):
                shown.append(router)
        return shown

    def is_router_holding(self, held: Holding) -> bool:
        """Return whether hosts send to what a device holds as to a router's address."""
        return self.is_router_address(held.mac, held.space, held.ip)

    def is_router_address(self, mac: bytes, space: Space, ip: str) -> bool:
        """Return whether hosts send to an address as to a router's.

        Of one that is a router by what it does or says that is the first it has and does more than
        answer for; what it has beside it may be what it answers for, and so may the first one be
        while that is new and another one is named.
        """
        now_s = self.now_s
        if group_of(mac) is not None or self.routers.is_named(space, ip, now_s):
            return True
        advertises = ":" in ip and space in self.routers.advertised(mac, now_s)
        if advertises and ip.startswith(LINK_LOCAL):
            return True
        if not (advertises or self.routers.is_shown(mac, now_s)):
            return False
        answers_for = self.answering.answers_for
        alike = [
            one for one in self.addresses.of(mac)
            if one.space == space and _alike(one.ip, ip) and not answers_for(mac, space, one.ip)
        ]  # fmt: skip
        if not alike or alike[0].ip != ip:
            return False
        is_new = now_s - alike[0].since_s <= REMEMBER_S
        return not (is_new and any(self.routers.is_named(space, one.ip, now_s) for one in alike))

    # --- what addresses ask -------------------------------------------------------------------

    def _entry(self, mac: bytes) -> Entry | None:
        return self._devices.get(mac) or self._candidates.get(mac)

    def _is_present(self, mac: bytes, at_s: float) -> bool:
        entry = self._entry(mac)
        return entry is not None and at_s - entry.last_s <= PRESENT_S

    def _was_away(self, mac: bytes, since_s: float, at_s: float) -> bool:
        """Return whether a MAC was silent from one moment until about the other one."""
        entry = self._entry(mac)
        if entry is None:
            return False
        silent = at_s - entry.last_s > SILENT_S and entry.last_s <= since_s + WAKES_S
        return silent or entry.woke_s >= max(since_s, at_s - WAKES_S)

    def _is_shown(self, mac: bytes) -> bool:
        entry = self._devices.get(mac)
        return entry is not None and entry.role == "router"

    def _is_established(self, mac: bytes, space: Space) -> bool:
        """Return whether others showed a MAC to be a router, or hand it out as one undisputed."""
        return self._is_shown(mac) or any(
            one.space == space
            and one.is_undisputed_of(mac)
            and self.routers.is_named(space, one.ip, self.now_s)
            for one in self.addresses.of(mac)
        )

    def _has_named_address(self, entry: Entry) -> bool:
        """Return whether a DHCP server named an address of a device as a router's."""
        return any(
            self.routers.is_named(one.space, one.ip, self.now_s)
            for one in self.addresses.of(entry.mac)
        )

    def _is_member(self, one: bytes, other: bytes) -> bool:
        """Return whether a virtual router's MAC may share with one that others show as a router.

        What they send each other to say so (VRRP, HSRP) proves nothing: anybody can.
        """
        if (group_of(one) is None) == (group_of(other) is None):
            return False
        return self._is_shown(other if group_of(one) is not None else one)


def _alike(one: str, other: str) -> bool:
    """Return whether two addresses are of one family, and of one scope."""
    same_family = (":" in one) == (":" in other)
    return same_family and one.startswith(LINK_LOCAL) == other.startswith(LINK_LOCAL)
