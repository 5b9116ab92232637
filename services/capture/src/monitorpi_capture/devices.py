"""The inventory of the LAN's devices, by MAC address. Pure.

Theory of operation. A MAC that sends becomes a *candidate*, and a *device* (a retained topic) when
it sent in a second window at least :data:`CONFIRM_S` after the first: a flood of random addresses
leaves no device behind. Addresses and names come only from sightings
(:mod:`monitorpi_capture.sighting`), that is from ARP, NDP, DHCP and mDNS; what stands in plain
traffic may be forged or routed. A MAC is a router when

- it sent a router advertisement, or
- it owns an address that a DHCP server told as router, or
- at least :data:`ROUTER_SENDERS` other devices aimed SYNs or pings at :data:`ROUTER_TARGETS`
  different public addresses behind it. (What a MAC *sends* says nothing: a host that forges its
  source addresses would be taken for a router, and be excused for it.)

A device is published at once when something about it changes, at most once per
:data:`SETTLE_S`, and else once per :data:`REFRESH_S` while it is seen. When there are too many,
those without a known address leave first, then the absent ones, the newest of them first; pinned
ones and those that answer pings never leave.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import add
from typing import TYPE_CHECKING, Final

from monitorpi_capture.admission import NOTHING, Admission, Entry
from monitorpi_capture.listing import mac_text, tally_of
from monitorpi_capture.window import BYTES, PACKETS
from monitorpi_common.messages import Device, DeviceTotals, Load, Publication, Tombstone
from monitorpi_common.topics import mac_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monitorpi_capture.sighting import Sighting
    from monitorpi_capture.window import MacCounts, WindowCounts
    from monitorpi_common.messages import Role

SETTLE_S: Final = 5.0
REFRESH_S: Final = 60.0
FORGET_S: Final = 7 * 86400.0
"""A device absent for so long is taken back, as its retained message would expire."""
PUBLISH_AT_ONCE: Final = 100
"""Device messages per turn: a broker queues 1,000 for a slow reader and drops the newest."""
_COUNTED_CANDIDATES: Final = 512
"""With more candidates (a flood of made-up addresses) totals begin when a MAC becomes a device."""
_MAX_IPS: Final = 16
_MAX_ROUTER_IPS: Final = 16
_RELEASE_S: Final = 300.0
"""An address claimed by another MAC leaves its old owner when that has not claimed it so long."""
_LOAD_S: Final = 5.0
"""Time constant of the load: an exponential average over the last seconds."""
ROUTER_SENDERS: Final = 2
ROUTER_TARGETS: Final = 4
_GROUP: Final = 0x01
_LOCAL: Final = 0x02
_MAX_NAME: Final = 63
"""Longest label of a host name (RFC 1035, 2.3.4)."""


@dataclass(slots=True)
class _Behind:
    """Who aims at public addresses through a MAC: the evidence that it is a router."""

    senders: set[bytes] = field(default_factory=set)
    targets: set[bytes] = field(default_factory=set)


def clean_name(name: str) -> str | None:
    """Return a host name fit to be shown: printable and bounded; None if nothing is left."""
    kept = "".join(char for char in name if char.isprintable() and char not in "\"'\\<>&").strip()
    return kept.rstrip(".").removesuffix(".local")[:_MAX_NAME] or None


class Inventory:
    """All devices and candidates."""

    def __init__(
        self,
        *,
        max_devices: int,
        absent_after_s: float,
        pinned: Iterable[bytes] = (),
        vendor: Callable[[bytes], str | None] = lambda _: None,
    ) -> None:
        self._absent_after_s = absent_after_s
        self._vendor = vendor
        self._table = Admission(
            max_devices=max_devices, pinned=pinned, entered=self._entered, left=self._left
        )
        self._devices, self._candidates = self._table.devices, self._table.candidates
        self._router_ips: dict[str, None] = {}
        self._behind: dict[bytes, _Behind] = {}
        self._gone: list[bytes] = []

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
        entry.ips = dict.fromkeys(device.ips, last_s) | entry.ips
        entry.hostname = entry.hostname or device.hostname
        entry.vendor = self._vendor(mac) or device.vendor
        entry.serves_dhcp = entry.serves_dhcp or device.dhcp_server
        entry.present = device.present
        entry.changed = False
        entry.restored = True
        entry.published_s = last_s
        known_s = last_s - device.first_seen.timestamp()
        talking = bool(device.totals.tx.get("ipv4") or device.totals.tx.get("ipv6")) and bool(
            device.totals.rx.get("ipv4") or device.totals.rx.get("ipv6")
        )
        self._table.restore(entry, lasting=known_s >= LASTING_S, talking=talking)

    # --- what is learned ----------------------------------------------------------------------

    def count(self, window: WindowCounts) -> None:
        """Learn from one window who was there and how much it sent."""
        at_s = window.end.wall_s
        averaging = _Averaging(at_s, window.length_s)
        devices, learn_router = self._devices, self._learn_router
        counts_all = len(self._candidates) < _COUNTED_CANDIDATES
        for row in window.rows:
            mac = row.mac
            entry = devices.get(mac)
            if entry is None:
                if not row.tx or mac[0] & _GROUP or not any(mac):
                    continue
                entry = self._table.meet(mac, window.interface, at_s)
            if row.tx:
                self._table.observe(entry, row, at_s)
                if not counts_all and not entry.confirmed:
                    entry.last_s = at_s
                    continue
            averaging.add(entry, row)
            if row.tx:
                entry.last_s = max(entry.last_s, at_s)
                entry.interface = window.interface
                entry.link_bps = window.link_bps
                if not entry.present:
                    entry.present = entry.changed = True
                if row.syn_peer is not None or row.echo_peer is not None:
                    learn_router(row)

    def _entered(self, entry: Entry) -> None:
        """Complete what is known of a MAC that became a device."""
        entry.vendor = self._vendor(entry.mac)
        self._set_role(entry)

    def _left(self, entry: Entry) -> None:
        """Take back the topic of a device that left."""
        self._behind.pop(entry.mac, None)
        self._gone.append(entry.mac)

    def learn(self, sighting: Sighting) -> None:
        """Learn addresses, names and roles from one frame."""
        learned = False
        for ip in sighting.router_ips:
            if ip not in self._router_ips and len(self._router_ips) < _MAX_ROUTER_IPS:
                self._router_ips[ip] = None
                learned = True
        entry = self._sighted(sighting)
        if entry is None:
            return
        entry.last_s = max(entry.last_s, sighting.at_s)
        for ip in (*sighting.ips, *sighting.named):
            self._claim(entry, ip, sighting.at_s)
        name = None if sighting.hostname is None else clean_name(sighting.hostname)
        if name is not None and name != entry.hostname:
            entry.hostname = name
            entry.changed = True
        if sighting.is_router and entry.role != "router":
            entry.role = "router"
            entry.changed = True
        if sighting.serves_dhcp and not entry.serves_dhcp:
            entry.serves_dhcp = True
            entry.changed = True
        for one in self._devices.values() if learned else (entry,):
            self._set_role(one)

    def _sighted(self, sighting: Sighting) -> Entry | None:
        """Return the entry a sighting is about; None for an address no device can have."""
        mac = sighting.mac
        if mac[0] & _GROUP or not any(mac):
            return None
        return self._devices.get(mac) or self._table.meet(mac, sighting.interface, sighting.at_s)

    def _claim(self, entry: Entry, ip: str, at_s: float) -> None:
        """Give an address to a device; its old owner loses it after a while of silence."""
        if ip not in entry.ips:
            for other in self._devices.values():
                if at_s - other.ips.get(ip, at_s) > _RELEASE_S:
                    del other.ips[ip]
                    other.changed = True
            if len(entry.ips) >= _MAX_IPS:
                del entry.ips[min(entry.ips, key=lambda one: entry.ips[one])]
            entry.changed = True
        entry.ips[ip] = at_s

    def _set_role(self, entry: Entry) -> None:
        role: Role = entry.role
        if any(ip in self._router_ips for ip in entry.ips):
            role = "router"
        elif role == "unknown" and entry.ips:
            role = "host"
        if role != entry.role:
            entry.role = role
            entry.changed = True

    def _learn_router(self, row: MacCounts) -> None:
        """Notice that devices reach public addresses through a MAC."""
        for peer in (row.syn_peer, row.echo_peer):
            if peer is None or peer.ip is None or row.mac not in self._devices:
                continue
            router = self._devices.get(peer.mac)
            if router is None or router.role == "router" or router.mac == row.mac:
                continue
            if not ipaddress.ip_address(peer.ip).is_global:
                continue
            behind = self._behind.setdefault(peer.mac, _Behind())
            if len(behind.senders) < ROUTER_SENDERS:
                behind.senders.add(row.mac)
            if len(behind.targets) < ROUTER_TARGETS:
                behind.targets.add(peer.ip)
            if len(behind.senders) >= ROUTER_SENDERS and len(behind.targets) >= ROUTER_TARGETS:
                router.role = "router"
                router.changed = True
                del self._behind[peer.mac]

    def forget_totals(self) -> None:
        """Begin the totals anew, with the epoch."""
        for entry in [*self._devices.values(), *self._candidates.values()]:
            entry.tx = entry.rx = NOTHING

    def shift(self, step_s: float) -> None:
        """Move the times of this process by a step of the clock that had stamped them."""
        for entry in [*self._devices.values(), *self._candidates.values()]:
            if entry.restored and entry.load_s == 0.0:
                continue  # not seen by this process yet: its times are the last one's
            entry.last_s += step_s
            entry.load_s += step_s
            entry.published_s += step_s
            if not entry.restored:
                entry.first_s += step_s
            entry.ips = {ip: at_s + step_s for ip, at_s in entry.ips.items()}

    # --- what is told -------------------------------------------------------------------------

    def tell(self, at_s: float, *, everything: bool = False) -> Iterator[Publication | Tombstone]:
        """Return the messages that are due at this time.

        Args:
            at_s: now, seconds since 1970.
            everything: leave nothing that changed for later (the stream ends).

        """
        while self._gone:
            yield Tombstone(mac_id(mac_text(self._gone.pop())), Device)
        room = len(self._devices) if everything else PUBLISH_AT_ONCE
        self._table.expire(at_s)
        for mac in list(self._devices):
            entry = self._devices[mac]
            self._age(entry, at_s)
            if mac not in self._devices or room <= 0 or not self._is_due(entry, at_s, everything):
                continue
            room -= 1
            entry.published_s = at_s
            entry.changed = False
            yield Publication(mac_id(mac_text(mac)), self._message(entry, at_s))
        while self._gone:
            yield Tombstone(mac_id(mac_text(self._gone.pop())), Device)

    def _age(self, entry: Entry, at_s: float) -> None:
        """Notice that a device is absent, or gone for good."""
        silent_s = at_s - entry.last_s
        if entry.present and silent_s > self._absent_after_s:
            entry.present = False
            entry.changed = True
        if silent_s > FORGET_S and not self._table.is_configured(entry.mac):
            self._table.evict(entry)

    @staticmethod
    def _is_due(entry: Entry, at_s: float, everything: bool) -> bool:
        since = at_s - entry.published_s
        if since < 0 or everything:  # the clock stepped back
            return entry.changed or entry.last_s > entry.published_s
        if entry.changed:
            return since >= SETTLE_S
        return since >= REFRESH_S and entry.last_s > entry.published_s

    def _message(self, entry: Entry, at_s: float) -> Device:
        averages = (entry.tx_bps, entry.rx_bps, entry.tx_fps, entry.rx_fps)
        tx_bps, rx_bps, tx_fps, rx_fps = (
            round(_decayed(average, at_s - entry.load_s), 1) for average in averages
        )
        link = entry.link_bps
        return Device(
            mac=mac_text(entry.mac),
            role=entry.role,
            ips=sorted(entry.ips, key=_address_order)[:_MAX_IPS],
            hostname=entry.hostname,
            vendor=entry.vendor,
            randomised=bool(entry.mac[0] & _LOCAL),
            dhcp_server=entry.serves_dhcp,
            interface=entry.interface or None,
            first_seen=datetime.fromtimestamp(entry.first_s, UTC),
            last_seen=datetime.fromtimestamp(entry.last_s, UTC),
            present=entry.present,
            totals=DeviceTotals(tx=tally_of(entry.tx), rx=tally_of(entry.rx)),
            load=Load(
                tx_bps=tx_bps,
                rx_bps=rx_bps,
                tx_frames_per_s=tx_fps,
                rx_frames_per_s=rx_fps,
                utilisation_ratio=round(max(tx_bps, rx_bps) / link, 6) if link else None,
            ),
        )


def _address_order(address: str) -> tuple[int, int]:
    ip = ipaddress.ip_address(address)
    return ip.version, int(ip)


def _decayed(average: float, age_s: float) -> float:
    return average * math.exp(-max(age_s, 0.0) / _LOAD_S)


class _Averaging:
    """Adds one window's rows to totals and loads; a row costs three microseconds."""

    def __init__(self, at_s: float, length_s: float) -> None:
        self._at_s = at_s
        self._weight = (1.0 - math.exp(-length_s / _LOAD_S)) / length_s
        self._kept: dict[float, float] = {0.0: 0.0}
        """What is left of an older average, by its time: most devices share one."""

    def add(self, entry: Entry, row: MacCounts) -> None:
        """Add what a device sent and was sent."""
        kept = self._kept.get(entry.load_s)
        if kept is None:
            kept = math.exp(-max(self._at_s - entry.load_s, 0.0) / _LOAD_S)
            self._kept[entry.load_s] = kept
        entry.load_s = self._at_s
        tx, rx = row.tx, row.rx
        if tx:
            entry.tx = list(map(add, entry.tx, tx))
            entry.tx_bps = entry.tx_bps * kept + tx[BYTES] * 8.0 * self._weight
            entry.tx_fps = entry.tx_fps * kept + tx[PACKETS] * self._weight
        else:
            entry.tx_bps *= kept
            entry.tx_fps *= kept
        if rx:
            entry.rx = list(map(add, entry.rx, rx))
            entry.rx_bps = entry.rx_bps * kept + rx[BYTES] * 8.0 * self._weight
            entry.rx_fps = entry.rx_fps * kept + rx[PACKETS] * self._weight
        else:
            entry.rx_bps *= kept
            entry.rx_fps *= kept
