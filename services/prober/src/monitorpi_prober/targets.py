"""Who is probed: configuration, announced devices and discovery, merged by address. Pure.

Theory of operation. Each source of targets keeps its own table here; :meth:`Targets.merged` joins
them, the configuration first, then pinned ones, then those that have answered for longest, then
what was seen most recently, and cuts at the limit: whoever invents devices by the thousand
displaces none that is real. A public address counts only where this machine is attached to its
subnet: anybody may claim one by ARP, and would have us ping the Internet. Replicas of the prober
share the result by rendezvous hashing: each computes the same owner of each address from the names
of the live ones, without asking anybody.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from monitorpi_common.topics import address_id, slug
from monitorpi_prober.items import DUPLICATE, NO_ADDRESS, KnownAddress, Resolution
from monitorpi_prober.schedule import ProbeTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from monitorpi_common.messages import Device
    from monitorpi_prober.settings import ProberSettings

_LOCALLY_ADMINISTERED: Final = 0x02  # IEEE 802, second lowest bit of the first octet
FORGET_AFTER: Final = 48
"""Sweeps in a row without an answer after which a discovered address is none any more: a day."""
MOVED_AFTER: Final = 2
"""The same where its device answers at another address: a lease of DHCP ended."""
MAX_KNOWN: Final = 8192
"""Addresses kept from announcements and discovery: two for each device the bus may carry."""


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Targets:
    """The tables of targets and their merger."""

    settings: ProberSettings
    vendor_of: Callable[[str], str | None] = lambda _: None
    own_macs: frozenset[str] = frozenset()
    """This machine's: it is no target of its own unless the configuration says so, because a
    round trip that never leaves it would flatter every mean."""
    attached: Callable[[], Sequence[Network]] = tuple
    """The subnets this machine is attached to now."""
    _announced: dict[str, KnownAddress] = field(default_factory=dict)
    _discovered: dict[str, KnownAddress] = field(default_factory=dict)
    _missed: dict[str, int] = field(default_factory=dict)
    """Sweeps in a row that did not find a discovered address."""
    _by_device: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _resolved: dict[str, Resolution] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)
    """Which of its addresses is probed, by host name."""
    _names: dict[str, str] = field(default_factory=dict)
    omitted: int = 0
    """Targets beyond the limit."""
    far: int = 0
    """Public addresses that are not ours to probe."""

    # --- what is learned --------------------------------------------------------------------

    def announce(self, device: Device) -> list[str]:
        """Take the addresses of a device that capture has seen.

        An address that ended leaves at once, whoever had found it: that is no failure of the
        device. A temporary one is none to watch while its device has others.

        Returns: the ids that are gone.

        """
        keys = []
        for address in watched_addresses(device):
            if not is_probeable(address):
                continue
            key = target_id(address, device.interface)
            self._announced.pop(key, None)
            self._announced[key] = KnownAddress(
                address, device.mac, device.hostname, device.vendor, device.interface
            )
            keys.append(key)
        ended = set(self._by_device.pop(device.mac, ())) - set(keys)
        for table in (self._announced, self._discovered):
            for key in ended & table.keys():
                if table[key].mac == device.mac and not self._pinned(table[key]):
                    del table[key]
        self._by_device[device.mac] = tuple(keys)
        while len(self._announced) > MAX_KNOWN:
            del self._announced[next(iter(self._announced))]
        while len(self._by_device) > MAX_KNOWN:
            del self._by_device[next(iter(self._by_device))]
        return [key for key in ended if key not in self._announced | self._discovered]

    def announced_by(self, mac: str) -> dict[str, KnownAddress | None]:
        """Return the targets that are watched because capture has seen a device, by id."""
        return {key: self._announced.get(key) for key in self._by_device.get(mac, ())}

    def forget(self, mac: str) -> list[str]:
        """Drop a device that capture has taken back; returns the ids that go with it."""
        keys = [
            key
            for key in self._by_device.pop(mac, ())
            if (seen := self._announced.get(key)) is not None and not self._pinned(seen)
        ]
        for key in keys:
            del self._announced[key]
        return [key for key in keys if key not in self._discovered]

    def discover(self, interface: str, found: Iterable[KnownAddress]) -> list[str]:
        """Take all that a sweep of an interface has found; returns the ids that are gone."""
        seen = {target_id(one.address): one for one in found if is_probeable(one.address)}
        macs = {one.mac for one in seen.values()}
        gone = []
        for key, one in list(self._discovered.items()):
            if key in seen or one.interface != interface or self._pinned(one):
                continue
            missed = self._missed[key] = self._missed.get(key, 0) + 1
            if missed >= (MOVED_AFTER if one.mac in macs else FORGET_AFTER):
                del self._discovered[key], self._missed[key]
                gone.append(key)
        for key, one in seen.items():
            self._discovered.pop(key, None)
            self._missed.pop(key, None)
            self._discovered[key] = one
        while len(self._discovered) > MAX_KNOWN:
            oldest = next(iter(self._discovered))
            del self._discovered[oldest]
            self._missed.pop(oldest, None)
        return [key for key in gone if key not in self._announced]

    def resolve(self, result: Resolution) -> None:
        """Take the address of a host name of the configuration; a lost one keeps its last."""
        known = self._resolved.get(result.hostname)
        if result.ip is None and known is not None and known.ip is not None:
            return
        if known is None or (known.ip, known.others) != (result.ip, result.others):
            self._turns.pop(result.hostname, None)
        self._resolved[result.hostname] = result

    def turn(self, hostname: str) -> bool:
        """Try the next address of a host name that does not answer; False: there is no other."""
        found = self._resolved.get(hostname)
        if found is None or not found.others:
            return False
        self._turns[hostname] = (self._turns.get(hostname, 0) + 1) % (1 + len(found.others))
        return True

    def call(self, address: str, name: str) -> None:
        """Take the name that DNS or mDNS has for an address."""
        self._names[address] = name
        while len(self._names) > MAX_KNOWN:
            del self._names[next(iter(self._names))]

    # --- what follows -----------------------------------------------------------------------

    @property
    def hostnames(self) -> tuple[str, ...]:
        """The host names of the configuration: they have to be resolved."""
        return tuple({t.address: None for t in self.settings.targets if not is_address(t.address)})

    def nameless(self) -> list[str]:
        """Return the addresses that only DNS or mDNS could have a name for."""
        configured = {t.address for t in self.settings.targets if t.name}
        attached = self.attached()
        seen = (self._announced | self._discovered).values()
        return [
            one.address
            for one in seen
            if one.hostname is None
            and one.address not in self._names
            and one.address not in configured
            and not self._ignored(one)
            and self._is_ours(one, attached)
        ]

    def merged(self, answering: Mapping[str, float] | None = None) -> tuple[ProbeTarget, ...]:
        """Merge the tables, strongest claim first, cut at ``max_targets``.

        ``answering`` are the keys of targets that answer, each with the Unix time since when.
        """
        merged: dict[str, ProbeTarget] = {}
        for one in (*self._configured(), *self._seen(answering or {})):
            merged.setdefault(one.key, one)
        limit = self.settings.max_targets
        self.omitted = max(0, len(merged) - limit)
        return tuple(merged.values())[:limit]

    def ignores(self, address: str, mac: str | None) -> bool:
        """Return whether the configuration wants a target left alone."""
        return self._ignored(KnownAddress(address, mac))

    def _configured(self) -> Iterator[ProbeTarget]:
        """Go through the configured targets; a second one of an address only says so."""
        taken: dict[str, str] = {}
        for number, target in enumerate(self.settings.targets):
            first, ip, error = self._lookup(target.address)
            name = target.name or target.address
            key = target_id(first or target.address)
            if key in taken:
                error = f"not probed twice: it is the same target as {taken[key]}"
                yield ProbeTarget(
                    slug(f"{key}-{number}"), name, target.address, None,
                    error=error, cause=DUPLICATE, origin="configured",
                )  # fmt: skip
                continue
            taken[key] = name
            seen = self._announced.get(key) or self._discovered.get(key) or KnownAddress(ip or "")
            mac = target.mac or seen.mac
            vendor = seen.vendor or (self.vendor_of(mac) if mac else None)
            yield ProbeTarget(
                key, name, target.address, ip, mac, vendor, target.interval_s,
                error, NO_ADDRESS if ip is None else None, "configured",
            )  # fmt: skip

    def _lookup(self, address: str) -> tuple[str | None, str | None, str | None]:
        """Return the first address, by which a target is known, the one to probe, and an error."""
        if is_address(address):
            return address, address, None
        found = self._resolved.get(address)
        if found is None:
            return None, None, "the host name is being resolved"
        if found.ip is None:
            return None, None, found.error
        return found.ip, (found.ip, *found.others)[self._turns.get(address, 0)], found.error

    def _seen(self, answering: Mapping[str, float]) -> Iterator[ProbeTarget]:
        """Go through what was seen: pinned, then answering, then the newest first."""
        announced = self._announced if self.settings.announced else {}
        seen = self._discovered | announced
        attached = self.attached()
        self.far = 0

        def rank(item: tuple[str, KnownAddress]) -> tuple[int, float]:
            key, one = item
            if self._pinned(one):
                return 0, 0.0
            return (1, answering[key]) if key in answering else (2, 0.0)

        newest_first = list(reversed(seen.items()))
        for key, one in sorted(newest_first, key=rank):
            if self._ignored(one) or (one.mac in self.own_macs and not self._pinned(one)):
                continue
            if not self._is_ours(one, attached):
                self.far += 1
                continue
            yield self._target(key, one)

    def _is_ours(self, one: KnownAddress, attached: Iterable[Network]) -> bool:
        """Return whether an address may be probed though nobody configured it."""
        public = _public(one.address)
        return public is None or self._pinned(one) or any(public in net for net in attached)

    def _target(self, key: str, one: KnownAddress) -> ProbeTarget:
        vendor = one.vendor or (self.vendor_of(one.mac) if one.mac else None)
        name = one.hostname or self._names.get(one.address) or _descriptive(one, vendor)
        ip = one.address
        if one.interface and "%" not in ip and ":" in ip and ipaddress.ip_address(ip).is_link_local:
            ip = f"{ip}%{one.interface}"
        origin = "announced" if key in self._announced else "discovered"
        if self._pinned(one):
            origin = "pinned"
        return ProbeTarget(key, name[:255], one.address, ip, one.mac, vendor, origin=origin)

    def _pinned(self, one: KnownAddress) -> bool:
        return one.address in self.settings.pin or one.mac in self.settings.pin

    def _ignored(self, one: KnownAddress) -> bool:
        return one.address in self.settings.ignore or one.mac in self.settings.ignore


def _descriptive(one: KnownAddress, vendor: str | None) -> str:
    """Name a device by vendor and the last three bytes of its MAC, as routers' pages do."""
    if one.mac is None:
        return one.address
    tail = one.mac[-8:].upper()
    if is_randomised(one.mac):
        return f"private address {tail}"
    return f"{vendor} {tail}" if vendor else one.address


def is_randomised(mac: str) -> bool:
    """Return whether a MAC was made up by the device instead of assigned by a vendor."""
    return bool(int(mac[:2], 16) & _LOCALLY_ADMINISTERED)


def watched_addresses(device: Device) -> Sequence[str]:
    """Return the addresses of a device that are to be probed; temporary ones if it has no others.

    They end any day (RFC 8981), and the device answers at its other addresses all the time.
    """
    temporary = {one.ip for one in device.addresses if one.temporary}
    lasting = [ip for ip in device.ips if ip not in temporary]
    if lasting or not temporary:
        return lasting
    latest = max(device.addresses, key=lambda one: one.claimed_at)
    return [latest.ip]


def owner(key: str, replicas: Iterable[str]) -> str:
    """Return the replica that probes a target: the highest hash of both names wins.

    Rendezvous hashing (Thaler & Ravishankar, 1998): when a replica goes, only its own targets move.
    """
    return max(
        replicas, key=lambda name: hashlib.blake2b(f"{name} {key}".encode(), digest_size=8).digest()
    )


def target_id(address: str, interface: str | None = None) -> str:
    """Return the id of a target: of its IP address, or of its host name."""
    try:
        return address_id(address, interface)
    except ValueError:
        return slug(address)


@lru_cache(maxsize=MAX_KNOWN)
def _public(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address of the Internet; None: it is of a private or special range."""
    ip = ipaddress.ip_address(address)
    return ip if ip.is_global else None


@lru_cache(maxsize=MAX_KNOWN)
def is_address(text: str) -> bool:
    """Tell an IP address from a host name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=MAX_KNOWN)
def is_probeable(address: str) -> bool:
    """Return whether one host answers at an address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (
        ip.is_multicast or ip.is_unspecified or ip.is_loopback or address == "255.255.255.255"
    )
