"""What happens once in the simulated week, and an owner wants to hear of at most once.

A reboot of the router, a power failure, an outage of the uplink are one story each; a download, a
speed test, an address that changes are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id, slug
from monitorpi_dev.week.home import PI, Thing, chance
from monitorpi_dev.week.life import claims
from monitorpi_dev.week.streams import FAR, MIN, browse, stream
from monitorpi_dev.week.truth import ANY, Fact, Kind
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from monitorpi_dev.week.home import Home
    from monitorpi_dev.week.stack import SimulatedStack
    from monitorpi_dev.week.truth import Truth
    from monitorpi_dev.week.wire import Process

_SSDP: Final = "239.255.255.250"
_TORRENT_BUSY_S: Final = 12
"""Seconds of each minute in which it looks for peers."""
_SETTLES_S: Final = 600.0
"""After power or the router came back: everybody joins, tries again, boots slowly."""


def _fact(home: Home, truth: Truth, name: str, kind: Kind, seconds: float, tail_s: float) -> Fact:
    now = home.wire.now
    return truth.tell(Fact(name, kind, now, now + seconds, frozenset({ANY}), tail_s=tail_s))


def router_reboots(home: Home, truth: Truth) -> Process:
    """Renew the router's firmware at night: two minutes without it and without Wi-Fi."""
    dice = home.dice("reboot")
    seconds = dice.uniform(100, 220)
    _fact(home, truth, "the router reboots", "once", seconds, _SETTLES_S)
    home.router_up = False
    yield from _in_vain(home, seconds)
    home.router_up = True
    yield from _rejoin(home, 60, [one for one in home.things.values() if one.wifi])


def _in_vain(home: Home, seconds: float) -> Process:
    """Let everybody who is still connected try again and again."""
    dice = home.dice("vain")
    for _ in range(int(seconds)):
        for thing in list(home.things.values()):
            if thing.ip and thing.awake and chance(dice, 0.15) and home.is_reachable(thing):
                home.send(thing, frames.arp_request(thing.mac, thing.ip, home.router.ip or ""))
                syn = discovery.tcp((thing.mac, home.router.mac), (thing.ip, dice.choice(FAR)),
                                  (41000, 443), discovery.SYN)  # fmt: skip
                home.send(thing, syn, times=dice.randint(1, 3))
        yield 1.0


def _rejoin(home: Home, seconds: float, things: list[Thing]) -> Process:
    dice = home.dice("rejoin")
    for _ in things:
        yield seconds / len(things)
        thing = dice.choice(things)
        if home.is_reachable(thing) and thing.awake:
            home.join(thing)


def power_fails(home: Home, truth: Truth, stack: SimulatedStack) -> Process:
    """Take everybody's power, the Pi's and the switch's too; each boots in its own time."""
    dice = home.dice("power")
    seconds = dice.uniform(8, 25) * MIN
    fact = _fact(home, truth, "the power fails", "once", seconds, _SETTLES_S)
    before = {name: one.on for name, one in home.things.items()}
    stack.halt()
    home.wire.powered = False
    home.wire.streams.clear()
    for one in home.things.values():
        one.on = False
    home.router_up = False
    yield seconds
    home.wire.powered = True
    things = home.things
    things["switch"].on = things[PI].on = True
    yield 40.0
    stack.boot(home.wire.now)
    for name, one in list(things.items()):
        if before.get(name, False) and name not in ("switch", PI):
            slow = {"nas": 280.0, "router": 110.0}.get(name, dice.uniform(5, 150))
            home.wire.start(_boots(home, one), slow)
    fact.until = home.wire.now


def _boots(home: Home, thing: Thing) -> Process:
    thing.on = True
    if thing is home.router:
        home.router_up = True
    for _ in range(2):
        if not home.router_up:
            yield 30.0
    home.join(thing)
    yield 1.0
    home.join(thing)


def uplink_fails(home: Home, truth: Truth) -> Process:
    """Lose the way to the Internet for a while; the LAN is well."""
    dice = home.dice("uplink")
    seconds = dice.uniform(20, 70) * MIN
    _fact(home, truth, "the uplink is away", "once", seconds, 300.0)
    home.uplink = False
    resolver = home.things["resolver"]
    for _ in range(int(seconds / 10)):
        for _ in range(3):
            ask = frames.udp((resolver.mac, home.router.mac), (resolver.ip or "", dice.choice(FAR)),
                             (40054, 53), bytes(40))  # fmt: skip
            home.send(resolver, ask, times=dice.randint(3, 25))
            for thing in list(home.things.values()):
                if thing.ip and thing.awake and chance(dice, 0.1):
                    macs, ips = (thing.wire_mac, home.router.mac), (thing.ip, dice.choice(FAR))
                    home.send(thing, discovery.tcp(macs, ips, (42000, 443), discovery.SYN))
            yield 1.0
        yield 7.0
    home.uplink = True


def torrent(home: Home, truth: Truth) -> Process:
    """Share files: many peers, half of which are gone."""
    thing = home.things["desktop"]
    dice = home.dice("torrent")
    seconds = 900
    truth.tell(
        Fact("desktop: a torrent", "nothing", home.wire.now, home.wire.now + seconds, thing.names)
    )
    for second in range(seconds):
        if second % 60 < _TORRENT_BUSY_S and thing.ip and home.is_reachable(thing):
            for _ in range(dice.randint(8, 38)):
                net = dice.choice((31, 77, 91, 185))
                far = f"{net}.{dice.randrange(255)}.{dice.randrange(255)}.7"
                ports = (
                    dice.randrange(40000, 60000),
                    dice.choice((6881, 51413, dice.randrange(1024, 65535))),
                )
                macs, ips = (thing.mac, home.router.mac), (thing.ip, far)
                home.send(thing, discovery.tcp(macs, ips, ports, discovery.SYN))
                if chance(dice, 0.5):
                    home.send(thing, discovery.tcp(macs[::-1], ips[::-1], ports[::-1], 0x12))
                    home.send(thing, discovery.tcp(macs, ips, ports), times=20)
                home.send(thing, frames.udp(macs, ips, ports, bytes(60)))
        yield 1.0


def speed_test(home: Home, truth: Truth) -> Process:
    """Fill the line for half a minute; who shares it waits."""
    thing = home.things["laptop"]
    truth.tell(Fact("a speed test", "nothing", home.wire.now, home.wire.now + 45, frozenset({ANY})))
    wifi = [one for one in home.things.values() if one.wifi and one.awake]
    for one in wifi:
        one.rtt_ms += 40
    thing.on = thing.awake = True
    yield from stream(home, thing, home.router, FAR[4], 20000, 20, 40000)
    for one in wifi:
        one.rtt_ms -= 40


def leases_change(home: Home, truth: Truth) -> Process:
    """Give some devices other addresses, each at its time."""
    for name in ("vacuum", "thermostat", "plug-2"):
        thing = home.things[name]
        old = thing.names
        truth.tell(
            Fact(f"{name}: another address by DHCP", "nothing", home.wire.now,
                 home.wire.now + 86400.0, old)
        )  # fmt: skip
        home.join(thing, anew=True)
        yield 6 * 3600.0


def guest(home: Home, truth: Truth) -> Process:
    """Have a guest with a phone for an evening."""
    thing = home.add(Thing("guest", home.private_mac(), None, wifi=True, rtt_ms=6, spread_ms=12,
                           speaks6=True))  # fmt: skip
    home.join(thing)
    truth.tell(
        Fact("a guest's phone", "once", home.wire.now, home.wire.now + 4 * 3600.0, thing.names)
    )
    home.wire.start(claims(home, thing))
    home.wire.start(browse(home, thing, 60))
    yield 3.5 * 3600.0
    thing.on = False
    yield 7 * 86400.0


def microwave(home: Home, truth: Truth) -> Process:
    """Disturb the radio for some minutes at dinner."""
    dice = home.dice("microwave")
    while True:
        yield home.until(18.0) + dice.uniform(0, 5400)
        _fact(home, truth, "a microwave oven", "nothing", 200, 120.0)
        home.interference = 0.12
        yield dice.uniform(90, 200)
        home.interference = 0.0


def admin_scans(home: Home, truth: Truth) -> Process:
    """Let the owner try the NAS's ports with nmap: to be told of once."""
    thing, nas = home.things["laptop"], home.things["nas"]
    thing.on = thing.awake = True
    home.join(thing)
    names = frozenset({mac_id(thing.mac), *(slug(one) for one in nas.names)})
    truth.tell(
        Fact("the owner tries the NAS's ports", "once", home.wire.now, home.wire.now + 10, names)
    )
    for first in range(1, 1001, 200):
        for port in range(first, first + 200):
            macs, ips, ports = (thing.mac, nas.mac), (thing.ip or "", nas.ip or ""), (50000, port)
            home.send(thing, discovery.tcp(macs, ips, ports, discovery.SYN))
            home.send(
                nas,
                discovery.tcp(macs[::-1], ips[::-1], ports[::-1], discovery.RST | discovery.ACK),
            )
        yield 1.0


def television_updates(home: Home) -> Process:
    """Announce itself to the LAN in bursts, as televisions and speakers do."""
    dice = home.dice("announces")
    while True:
        yield dice.uniform(1200, 5400)
        for name in ("tv", "speaker-1", "speaker-2", "hub"):
            thing = home.things[name]
            if thing.ip and thing.awake:
                macs = (thing.mac, frames.multicast_mac(_SSDP))
                ssdp = frames.udp(macs, (thing.ip, _SSDP), (1900, 1900), bytes(280))
                home.send(thing, ssdp, times=dice.randint(3, 24))
                mdns = discovery.mdns_announcement(thing.mac, thing.ip, thing.name)
                home.send(thing, mdns, times=dice.randint(1, 6))
        yield 1.0
