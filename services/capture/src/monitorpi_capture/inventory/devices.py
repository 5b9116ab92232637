"""The inventory of the LAN's devices, by MAC address. Pure.

Theory of operation. A MAC that sends becomes a *candidate*, and a *device* (a retained topic) when
it sent in a second window at least ten seconds after the first: a flood of random addresses leaves
no device behind (:mod:`.admission`). What frames say comes as sightings
(:mod:`monitorpi_capture.items`), that is from ARP, NDP, DHCP and mDNS; what stands in plain
traffic may be forged or routed. Who holds an address is decided in :mod:`.addresses`, who is a
router in :mod:`.routers`. A sighting that another machine sent (a server's answer) names an
address, but makes nobody present.

When a device is published is decided in :mod:`.feed`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitorpi_capture.inventory.admission import MAX_MARKED, NOTHING, TALKS, Admission, Entry
from monitorpi_capture.inventory.asking import Asking
from monitorpi_capture.inventory.denials import Denials
from monitorpi_capture.inventory.feed import DeviceFeed
from monitorpi_capture.inventory.load import Averaging
from monitorpi_capture.inventory.serving import MAX_ROUTERS, Serving
from monitorpi_capture.inventory.topology import SILENT_S, Topology
from monitorpi_common.topics import mac_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from monitorpi_capture.inventory.holding import Space
    from monitorpi_capture.inventory.suspects import Cause
    from monitorpi_capture.items import MacCounts, Sighting, WindowCounts
    from monitorpi_common.messages import Device, Publication, Role, Tombstone

_COUNTED_CANDIDATES: Final = 512
"""With more candidates (a flood of made-up addresses) totals begin when a MAC becomes a device."""
_LASTING_S: Final = 300.0
"""A restored device known over so long is no passing frame's."""
_GROUP: Final = 0x01
_MAX_NAME: Final = 63
"""Longest label of a host name (RFC 1035, 2.3.4)."""


def clean_name(name: str) -> str | None:
    """Return a host name fit to be shown: printable and bounded; None if nothing is left."""
    kept = "".join(char for char in name if char.isprintable() and char not in "\"'\\<>&").strip()
    return kept.rstrip(".").removesuffix(".local")[:_MAX_NAME] or None


def _lasted(device: Device) -> bool:
    return (device.last_seen - device.first_seen).total_seconds() >= _LASTING_S


def _talked(device: Device) -> bool:
    return all(
        side.get("ipv4", 0) + side.get("ipv6", 0) >= TALKS
        for side in (device.totals.tx, device.totals.rx)
    )


class Inventory:
    """All devices and candidates, and what is known of their addresses and roles."""

    def __init__(
        self,
        *,
        max_devices: int,
        absent_after_s: float,
        pinned: Iterable[bytes] = (),
        vendor: Callable[[bytes], str | None] = lambda _: None,
    ) -> None:
        self._vendor = vendor
        self._table = Admission(
            max_devices=max_devices, pinned=pinned, entered=self._entered, left=self._left
        )
        self._devices, self._candidates = self._table.devices, self._table.candidates
        self._topology = Topology(self._devices, self._candidates)
        self._addresses, self._routers = self._topology.addresses, self._topology.routers
        self._subnets = self._topology.subnets
        self._asking = Asking(lambda space, ip: self._addresses.holder(space, ip) is not None)
        self._denials = Denials()
        self._feed = DeviceFeed(
            self._table, self._topology, self._asking, self._denials, absent_after_s
        )

    def __len__(self) -> int:
        return len(self._devices)

    @property
    def changed(self) -> bool:
        """The set of devices changed since this was last set to False."""
        return self._table.changed

    @changed.setter
    def changed(self, changed: bool) -> None:
        self._table.changed = changed

    @property
    def candidates(self) -> int:
        """How many MACs may become devices."""
        return len(self._candidates)

    @property
    def unproven(self) -> int:
        """How many devices have shown nothing but that they send."""
        return self._table.unproven

    @property
    def refused_total(self) -> int:
        """MACs that would have been devices if there had been room."""
        return self._table.refused_total

    @property
    def addresses_refused(self) -> int:
        """Claims of addresses for which there was no room."""
        return self._addresses.refused

    def role(self, mac: bytes) -> Role:
        """Return what is known of a MAC's role."""
        entry = self._devices.get(mac)
        return "unknown" if entry is None else entry.role

    def by_importance(self) -> list[bytes]:
        """Return the devices that must keep counters of their own, the most important first."""
        return self._table.by_importance()

    def pin(self, mac: bytes) -> None:
        """Keep a device that answers pings."""
        self._table.pin(mac)

    def mark(self, mac: bytes, given: Mapping[str, str | bool]) -> str | None:
        """Take what people say of a device; what is not said stays. Returns why not."""
        entry = self._devices.get(mac)
        if entry is None:
            return "there is no such device"
        marks = entry.marks.model_copy(update=dict(given))
        marks = marks.model_copy(update={"name": clean_name(marks.name or "")})
        if not self._table.mark(entry, marks):
            return f"of {MAX_MARKED} devices something was said already"
        self._feed.hurry(mac)
        return None

    def restore(self, device: Device) -> None:
        """Take back what a retained message of ours says, after a restart."""
        mac = bytes.fromhex(mac_id(device.mac))
        if mac in self._devices:
            return
        last_s = device.last_seen.timestamp()
        entry = self._candidates.pop(mac, None) or Entry(mac, device.interface or "", 0, last_s)
        entry.first_s = device.first_seen.timestamp()
        entry.last_s = max(entry.last_s, last_s)
        entry.role = device.role
        entry.hostname = entry.hostname or (None if device.marks.name else device.hostname)
        entry.vendor = self._vendor(mac) or device.vendor
        entry.serves_dhcp = entry.serves_dhcp or device.dhcp_server
        if device.dhcp_server:
            entry.serving = entry.serving or Serving()
            entry.serving.restore(device)
        if entry.dhcp_s is None and device.dhcp_at is not None:
            entry.dhcp_s = device.dhcp_at.timestamp()
        entry.present = device.present
        entry.restored = True
        entry.published_s = last_s
        self._table.mark(entry, device.marks)
        if not self._table.restore(entry, lasting=_lasted(device), talking=_talked(device)):
            return
        self._restore_addresses(mac, device, last_s)
        if device.role == "router":
            self._routers.restore(mac, last_s)
        if device.advertised_at is not None:
            for vlan in reversed(device.advertised_vlans or [[]]):
                self._routers.advertise(mac, tuple(vlan), device.advertised_at.timestamp())
        self._topology.refresh()
        entry.changed = False

    def _restore_addresses(self, mac: bytes, device: Device, last_s: float) -> None:
        restore = self._addresses.restore
        for one in device.addresses:
            space = tuple(one.vlan)
            restore(mac, space, one.ip, one.since.timestamp(), one.claimed_at.timestamp(), one.how)
            if one.router and one.how != "ra":
                self._routers.name(space, [one.ip], one.claimed_at.timestamp())
        if not device.addresses:
            for ip in device.ips:
                restore(mac, (), ip, last_s, last_s, "arp")

    # --- what is learned ----------------------------------------------------------------------

    def count(self, window: WindowCounts) -> None:
        """Learn from one window who was there and how much it sent."""
        at_s = self._topology.now_s = window.end.wall_s
        averaging = Averaging(at_s, window.length_s if window.has_times else math.inf)
        devices, see_through = self._devices, self._see_through
        counts_all = len(self._candidates) < _COUNTED_CANDIDATES
        for row in window.rows:
            mac = row.mac
            entry = devices.get(mac)
            if entry is None:
                if not row.tx or mac[0] & _GROUP or not any(mac):
                    continue
                entry = self._table.candidate(mac, window.interface, at_s)
            if row.tx:
                self._table.observe(entry, row, at_s)
                if not counts_all and not entry.confirmed:
                    entry.last_s = at_s
                    continue
            averaging.add(entry, row)
            if row.tx:
                seen_s = window.last_s.get(mac, at_s)
                if seen_s - entry.last_s > SILENT_S:
                    entry.woke_s = seen_s
                entry.last_s = max(entry.last_s, seen_s)
                entry.interface = window.interface
                entry.link_bps = window.link_bps
                if not entry.present:
                    entry.present = entry.changed = True
                if row.syn_peer is not None or row.echo_peer is not None:
                    see_through(row, at_s)

    def _see_through(self, row: MacCounts, at_s: float) -> None:
        for router in self._topology.see_through(row, at_s):
            self._topology.set_role(router)

    def _entered(self, entry: Entry) -> None:
        """Complete what is known of a MAC that became a device."""
        entry.vendor = self._vendor(entry.mac) or entry.vendor
        self._topology.set_role(entry)

    def _left(self, entry: Entry) -> None:
        """Take back the topic of a device that left."""
        self._addresses.forget(entry.mac)
        self._routers.forget(entry.mac)
        self._asking.forget(entry.mac)
        self._topology.answering.forget(entry.mac)
        self._denials.forget(entry.mac)
        self._feed.gone(entry.mac)

    def learn(self, sighting: Sighting) -> None:
        """Learn addresses, names and roles from one frame."""
        mac, at_s, space = sighting.mac, sighting.at_s, sighting.vlan
        if mac[0] & _GROUP or not any(mac):
            return
        self._take_requests(sighting, space)
        server = sighting.sender if sighting.sender not in (None, mac) else None
        if self._subnets.learn(space, sighting.subnets):
            self._addresses.forget_nobodys()
        if sighting.named:
            self._routers.name(space, sighting.router_ips[:MAX_ROUTERS], at_s)
        if server is not None:
            self._learn_of_others(sighting, space, server)
        else:
            self._learn_own(sighting, space)
        self._topology.refresh()

    def _learn_own(self, sighting: Sighting, space: Space) -> None:
        """Take what a MAC says of itself: it is here."""
        mac, at_s, addresses = sighting.mac, sighting.at_s, self._addresses
        entry = self._devices.get(mac) or self._table.candidate(mac, sighting.interface, at_s)
        if at_s - entry.last_s > SILENT_S:
            entry.woke_s = at_s
        for ip in sighting.ips:
            addresses.claim(mac, space, ip, at_s, sighting.how)
            if ":" in ip and mac in addresses.touched:
                self._subnets.learn_link(space, ip)
        entry.last_s = max(entry.last_s, at_s)
        for ip in sighting.ended:
            addresses.end(mac, space, ip, at_s, mac)
        addresses.name(mac, space, sighting.named, at_s, sighting.how)
        name = None if sighting.hostname is None else clean_name(sighting.hostname)
        if name is not None and name != entry.hostname:
            entry.hostname = name
            entry.changed = True
        if sighting.is_router or sighting.ends_router:
            self._advertised(entry, sighting)
        if sighting.serves_dhcp:
            entry.serving = entry.serving or Serving()
            entry.changed |= entry.serving.take(sighting) or not entry.serves_dhcp
            entry.serves_dhcp, entry.dhcp_s = True, at_s
        self._look_at(entry, sighting)
        self._topology.set_role(entry)

    def _take_requests(self, sighting: Sighting, space: Space) -> None:
        """Take what a frame's sender asks for, and whose question it answers."""
        sender, at_s = sighting.sender or sighting.mac, sighting.at_s
        if sighting.tries is not None:
            self._denials.tries(sender, space, sighting.tries, at_s)
        if sighting.asks is not None:
            self._topology.answering.asks(sender, space, sighting.asks, at_s)
        if sighting.asks is not None and self._asking.asks(sender, space, sighting.asks, at_s):
            self._touch(sender)
        for ip in sighting.ips if sighting.how in ("arp", "nd") else ():
            asking = sighting.asks is not None
            self._topology.answering.claims(sender, space, ip, at_s, asking=asking)
            holder = self._addresses.holder(space, ip)
            self._asking.claims(sender, space, ip, at_s)
            if self._denials.claims(sender, space, ip, at_s, holder):
                entry = self._devices.get(sender) or self._table.candidate(
                    sender, sighting.interface, at_s
                )
                self._publish_at_once(entry, "claim", at_s)
                self._touch(sender)

    def _touch(self, mac: bytes) -> None:
        entry = self._devices.get(mac)
        if entry is not None:
            entry.changed = True

    def _look_at(self, entry: Entry, sighting: Sighting) -> None:
        """Publish who does what may be an attack, whatever fills the inventory."""
        cause: Cause | None = None
        if sighting.serves_dhcp:
            cause = "dhcp"
        elif sighting.is_router:
            cause = "router"
        elif sighting.ips and self._addresses.challenges(entry.mac, sighting.at_s):
            cause = "claim"
        if cause is not None:
            self._publish_at_once(entry, cause, sighting.at_s)

    def _publish_at_once(self, entry: Entry, cause: Cause, at_s: float) -> None:
        was_device = entry.confirmed
        self._table.look_at(entry, cause, at_s)
        if entry.confirmed and not was_device:
            self._feed.hurry(entry.mac)

    def _learn_of_others(self, sighting: Sighting, space: Space, sender: bytes) -> None:
        """Take what one MAC says of another one, which need not be on this wire."""
        mac, at_s = sighting.mac, sighting.at_s
        for ip in sighting.ips:
            self._addresses.allege(mac, space, ip, at_s, sender, sighting.how)
        self._addresses.name(mac, space, sighting.named, at_s, sighting.how)
        for ip in sighting.ended:
            self._addresses.end(mac, space, ip, at_s, sender)
        entry = self._devices.get(mac) or self._candidates.get(mac)
        if entry is not None:
            self._topology.set_role(entry)

    def _advertised(self, entry: Entry, sighting: Sighting) -> None:
        space, at_s = sighting.vlan, sighting.at_s
        advertises = space in self._routers.advertised(entry.mac, at_s)
        if sighting.is_router:
            self._routers.advertise(entry.mac, space, at_s)
        else:
            self._routers.withdraw(entry.mac, space)
        if advertises != sighting.is_router:
            entry.changed = True

    # --- times --------------------------------------------------------------------------------

    def forget_totals(self) -> None:
        """Begin the totals anew, with the epoch."""
        for entry in [*self._devices.values(), *self._candidates.values()]:
            entry.tx = entry.rx = NOTHING

    def shift(self, step_s: float) -> None:
        """Move the times of this process by a step of the clock that had stamped them."""
        self._addresses.shift(step_s)
        self._routers.shift(step_s)
        self._asking.shift(step_s)
        self._topology.answering.shift(step_s)
        self._denials.shift(step_s)
        for entry in [*self._devices.values(), *self._candidates.values()]:
            if entry.restored and entry.load_s == 0.0:
                continue  # not seen by this process yet: its times are the last one's
            entry.last_s += step_s
            entry.woke_s += step_s
            if entry.dhcp_s is not None:
                entry.dhcp_s += step_s
            entry.load_s += step_s
            entry.published_s += step_s
            if not entry.restored:
                entry.first_s += step_s

    # --- what is published --------------------------------------------------------------------

    def publish(
        self, at_s: float, *, everything: bool = False
    ) -> Iterator[Publication | Tombstone]:
        """Return the messages that are due at this time.

        Args:
            at_s: now, seconds since 1970.
            everything: leave nothing that changed for later (the stream ends).

        """
        return self._feed.due(at_s, everything=everything)
