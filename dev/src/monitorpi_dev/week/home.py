"""The simulated home: forty devices, who holds which address, and how pings to them fare.

Everything made up comes from the seed: MAC addresses, habits, the moments of all events. A part of
the home (:class:`Thing`) is on or off, awake or asleep; processes in :mod:`.life` change that.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id, slug
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from monitorpi_dev.week.wire import SimulatedWire

SUBNET: Final = "192.168.1.0/24"
PREFIX: Final = "2001:db8:1::/64"
INTERNET: Final = "9.9.9.9"
"""What the owner has configured beside the LAN, to see whether the uplink works."""
ROUTER, PI = "router", "pi"
_MORNING, _BEDTIME, _WORKDAYS = 7, 23, 5
PROBES: Final = 10
"""Echo requests per target and round; a round takes ten seconds (the prober's defaults)."""


def chance(dice: random.Random, share: float) -> bool:
    """Tell, at random, whether something of this share happens."""
    return dice.random() < share


@dataclass(slots=True)
class Thing:
    """One device."""

    name: str
    mac: str
    ip: str | None = None
    wifi: bool = False
    rtt_ms: float = 0.6
    spread_ms: float = 0.1
    loss: float = 0.0
    speaks6: bool = False
    temporary: list[str] = field(default_factory=list)
    """Temporary IPv6 addresses (RFC 8981), the oldest first."""
    on: bool = True
    awake: bool = True
    """It answers pings at once; asleep, it answers none."""
    dozes: bool = False
    """Awake, but its Wi-Fi saves power: answers come late or never."""
    behind: Thing | None = None
    """The repeater whose MAC address stands for it on the wire."""
    pings: bool = True
    """It answers pings at all."""
    sibling: str | None = None
    """A second MAC address that shares its address (bonding)."""

    @property
    def wire_mac(self) -> str:
        """The MAC address its frames have on the wire."""
        return self.mac if self.behind is None else self.behind.mac

    @property
    def addresses6(self) -> list[str]:
        """All IPv6 addresses."""
        if not self.speaks6:
            return []
        return [*_made_of(self.mac), *self.temporary]

    @property
    def names(self) -> frozenset[str]:
        """What an alert about it may have as subject."""
        macs = [self.mac, *([self.sibling] if self.sibling else [])]
        ips = [*([self.ip] if self.ip else []), *self.addresses6]
        return frozenset([*map(mac_id, macs), *map(slug, ips)])


def next_mac(mac: str) -> str:
    """Return the MAC address of the next card that left the same maker."""
    number = int.from_bytes(frames.mac_bytes(mac), "big") + 1
    return number.to_bytes(6, "big").hex(":")


@lru_cache(maxsize=1024)
def _made_of(mac: str) -> tuple[str, str]:
    """Return the link-local and the stable address that a MAC makes for itself."""
    own = discovery.link_local(mac)
    network = int(ipaddress.IPv6Network(PREFIX).network_address)
    return own, str(ipaddress.IPv6Address(network | int(ipaddress.IPv6Address(own)) % 2**64))


@dataclass(slots=True)
class Home:
    """Everything and everybody in it."""

    wire: SimulatedWire
    seed: int
    begins: float
    """Midnight before the first day."""
    things: dict[str, Thing] = field(default_factory=dict)
    router_up: bool = True
    """The router routes and its access point is on the air."""
    uplink: bool = True
    interference: float = 0.0
    """Loss on the air at the moment, for everything on Wi-Fi."""
    leases: int = 100
    _dice: dict[str, random.Random] = field(default_factory=dict)
    _ouis: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        maker = self.dice("makers")
        self._ouis = [
            f"04:{maker.randrange(256):02x}:{maker.randrange(256):02x}" for _ in range(12)
        ]

    # --- dice and clocks ----------------------------------------------------------------------

    def dice(self, name: str) -> random.Random:
        """Return the dice of one process: what others do changes nothing about them."""
        if name not in self._dice:
            self._dice[name] = random.Random(f"{self.seed} {name}")  # noqa: S311 - no secret
        return self._dice[name]

    def hour(self) -> float:
        """Return the hour of the day."""
        return (self.wire.now - self.begins) % 86400 / 3600

    def day(self) -> int:
        """Return the number of the day, from 0 (a Monday)."""
        return int((self.wire.now - self.begins) // 86400)

    def is_night(self) -> bool:
        """Return whether people sleep."""
        return not _MORNING <= self.hour() < _BEDTIME

    def is_workday(self) -> bool:
        """Return whether people go to work: Monday to Friday."""
        return self.day() % 7 < _WORKDAYS

    def until(self, hour: float, day: int | None = None) -> float:
        """Return the seconds to an hour, of the next day if it has passed; or of a given day."""
        if day is not None:
            return max(0.0, self.begins + day * 86400 + hour * 3600 - self.wire.now)
        return (hour - self.hour()) % 24 * 3600

    # --- devices ------------------------------------------------------------------------------

    def fixed_mac(self) -> str:
        """Make up a MAC address that a maker gave."""
        dice = self.dice("macs")
        return f"{dice.choice(self._ouis)}:{dice.randrange(2**24).to_bytes(3, 'big').hex(':')}"

    def private_mac(self) -> str:
        """Make up a MAC address that a device made up itself."""
        dice = self.dice("private")
        first = dice.randrange(256) & 0xFC | 0x02
        return f"{first:02x}:{dice.randrange(2**40).to_bytes(5, 'big').hex(':')}"

    def temporary_address(self) -> str:
        """Make up a temporary IPv6 address."""
        low = self.dice("temporary").randrange(2**62)
        return str(ipaddress.IPv6Network(PREFIX)[low])

    def lease(self) -> str:
        """Take the next free address of the router's range."""
        self.leases = self.leases + 1 if self.leases < 250 else 100  # noqa: PLR2004 - its end
        taken = {thing.ip for thing in self.things.values()}
        ip = f"192.168.1.{self.leases}"
        return self.lease() if ip in taken else ip

    def add(self, thing: Thing) -> Thing:
        """Bring a device into the home."""
        self.things[thing.name] = thing
        return thing

    @property
    def router(self) -> Thing:
        """The router: access point, DHCP server and way to the Internet."""
        return self.things[ROUTER]

    def is_reachable(self, thing: Thing) -> bool:
        """Return whether frames pass between the switch and a device now."""
        return (
            self.wire.powered
            and thing.on
            and (self.router_up or not (thing.wifi or thing.name == ROUTER))
        )

    def holder(self, address: str) -> Thing | None:
        """Return who really has an address."""
        return self._holders().get(address)

    def _holders(self) -> dict[str, Thing]:
        held: dict[str, Thing] = {}
        for thing in self.things.values():
            if thing.ip:
                held[thing.ip] = thing
            for address in thing.addresses6:
                held[address] = thing
        return held

    # --- frames -------------------------------------------------------------------------------

    def send(self, thing: Thing, *sent: bytes, times: int = 1, size: int = 0) -> None:
        """Put a device's frames on the wire if they get there."""
        if self.is_reachable(thing):
            self.wire.send(*sent, times=times, size=size)

    def claim(self, thing: Thing) -> None:
        """Let a device answer the Pi's ARP and neighbour solicitations, as it does each minute."""
        pi = self.things[PI]
        if thing.ip and pi.ip:
            mac = thing.wire_mac
            self.send(thing, discovery.arp_reply((mac, pi.mac), (thing.ip, pi.ip)))
        for address in thing.addresses6:
            there = discovery.link_local(pi.mac)
            macs = (thing.wire_mac, pi.mac)
            self.send(thing, discovery.neighbour_advertisement(macs, address, there))

    def join(self, thing: Thing, *, anew: bool = False) -> None:
        """Let a device come onto the LAN: DHCP, duplicate detection, groups, its name."""
        router = self.router
        if anew or thing.ip is None:
            thing.ip = self.lease()
        ip, mac = thing.ip, thing.wire_mac
        if not self.is_reachable(thing):
            return
        name = thing.name
        self.wire.send(discovery.dhcp_ask(discovery.DISCOVER, thing.mac, hostname=name))
        server = (router.mac, router.ip or "")
        self.wire.send(discovery.dhcp_answer(discovery.OFFER, server, thing.mac, ip))
        self.wire.send(discovery.dhcp_ask(discovery.REQUEST, thing.mac, hostname=name, wanted=ip))
        self.wire.send(discovery.dhcp_answer(discovery.DHCP_ACK, server, thing.mac, ip))
        self.wire.send(frames.arp_request(mac, ip, ip), times=2)
        self.wire.send(frames.arp_request(mac, ip, server[1]))
        self.wire.send(frames.igmp_report(mac, ip, "224.0.0.251"))
        self.wire.send(discovery.mdns_announcement(mac, ip, name), times=2)
        for address in thing.addresses6:
            self.wire.send(discovery.neighbour_solicitation(mac, "::", address))
            self.wire.send(discovery.neighbour_advertisement((mac, mac), address))
        if thing.speaks6:
            self.wire.send(discovery.mld_report(mac, thing.addresses6[0], "ff02::fb"))

    # --- pings --------------------------------------------------------------------------------

    def round_trips(self, address: str, held: dict[str, Thing]) -> tuple[float | None, ...]:
        """Return the round-trip times of one round to an address; None: no reply."""
        nothing = (None,) * PROBES
        dice = self.dice("pings")
        if address == INTERNET:
            there = self.router_up and self.uplink
            return tuple(11 + dice.expovariate(0.7) for _ in range(PROBES)) if there else nothing
        thing = held.get(address)
        if thing is None or not (thing.pings and thing.awake and self.is_reachable(thing)):
            return nothing
        loss = thing.loss + (self.interference if thing.wifi else 0.0)
        base, spread = thing.rtt_ms, thing.spread_ms
        if thing.dozes:
            loss, base, spread = loss + 0.25, base + 60, 150.0
        if not loss and spread <= 1:
            return tuple(base + spread * dice.random() for _ in range(PROBES))
        return tuple(
            None if dice.random() < loss else base + dice.expovariate(1 / spread)
            for _ in range(PROBES)
        )

    def holders(self) -> dict[str, Thing]:
        """Return who has which address now."""
        return self._holders()
