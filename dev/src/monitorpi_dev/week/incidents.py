"""The real incidents hidden in the simulated week: what a monitor is there for.

Each puts its frames on the wire, or takes a device away, and names the rules and subjects that
tell of it. A seed draws ten of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_dev.week.home import Thing
from monitorpi_dev.week.truth import Fact
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_dev.week.home import Home
    from monitorpi_dev.week.truth import Truth
    from monitorpi_dev.week.wire import Process

WIRE: Final = "wire-eth0"


@dataclass(frozen=True, slots=True)
class Incident:
    """One kind of trouble."""

    name: str
    rules: frozenset[str]
    within_s: float
    act: Callable[[Home, Fact], Process]
    hours: tuple[float, float] = (8.0, 23.0)
    """Between which it may begin."""


def happens(home: Home, truth: Truth, incident: Incident) -> Process:
    """Let an incident happen now, and note when it was over."""
    now = home.wire.now
    fact = Fact(incident.name, "incident", now, now, frozenset(), incident.rules, incident.within_s)
    truth.tell(fact)
    for delay in incident.act(home, fact):
        fact.until = home.wire.now + delay
        yield delay
    fact.until = max(fact.until, home.wire.now)


def _about(fact: Fact, *things: Thing | str) -> None:
    names = [one.names if isinstance(one, Thing) else frozenset({one}) for one in things]
    fact.subjects = fact.subjects.union(*names)


# --- floods ---------------------------------------------------------------------------------------


def _syn_flood(home: Home, fact: Fact) -> Process:
    """Flood a server of the Internet from an infected refrigerator."""
    thing = home.things["fridge"]
    thing.on = thing.awake = True
    _about(fact, thing)
    for _ in range(40):
        for number in range(300):
            macs, ips = (thing.mac, home.router.mac), (thing.ip or "", "203.0.113.80")
            home.send(thing, discovery.tcp(macs, ips, (1024 + number, 80), discovery.SYN))
        yield 1.0


def _ping_flood(home: Home, fact: Fact) -> Process:
    """Ping the NAS 200 times a second."""
    thing, nas = home.things["camera-2"], home.things["nas"]
    _about(fact, thing, nas)
    for _ in range(40):
        for _ in range(200):
            home.send(
                thing, frames.icmp_echo((thing.mac, nas.mac), (thing.ip or "", nas.ip or ""), 3, 1)
            )
            home.send(
                nas, discovery.echo_reply((nas.mac, thing.mac), (nas.ip or "", thing.ip or ""), 3)
            )
        yield 1.0


def _starvation(home: Home, fact: Fact) -> Process:
    """Ask for every address there is."""
    thing = home.things["plug-4"]
    _about(fact, thing)
    for _ in range(30):
        for _ in range(60):
            home.send(thing, frames.dhcp_discover(thing.mac, home.private_mac(), 7))
        yield 1.0


def _mac_flood(home: Home, fact: Fact) -> Process:
    """Overflow the switch's table with invented addresses."""
    _about(fact, WIRE)
    dice = home.dice("invented")
    for _ in range(15):
        for _ in range(800):
            raw = dice.randrange(2**40)
            source = f"02:{raw.to_bytes(5, 'big').hex(':')}"
            home.wire.send(
                frames.udp((source, home.private_mac()), ("10.1.2.3", "10.3.2.1"), (9, 9), b"")
            )
        yield 1.0


def _loop(home: Home, fact: Fact) -> Process:
    """Plug both ends of a cable into the switch: each broadcast goes round without end."""
    _about(fact, WIRE, *home.things.values())
    talkers = [
        one
        for one in home.things.values()
        if one.ip and one.awake and not one.wifi and home.is_reachable(one)
    ]
    caught = [frames.arp_request(one.mac, one.ip or "", "192.168.1.77") for one in talkers]
    caught += [discovery.mdns_announcement(one.mac, one.ip or "", one.name) for one in talkers]
    for second in range(25):
        for frame in caught[: 4 + second]:
            home.wire.send(frame, times=250, repeated=True)
        yield 1.0


# --- looking around -------------------------------------------------------------------------------


def _port_scan(home: Home, fact: Fact) -> Process:
    """Try the NAS's ports from an infected computer."""
    thing, nas = home.things["work-laptop"], home.things["nas"]
    thing.on = thing.awake = True
    home.join(thing)
    _about(fact, thing, nas)
    for second in range(30):
        for port in range(second * 100 + 1, second * 100 + 101):
            macs, ips = (thing.mac, nas.mac), (thing.ip or "", nas.ip or "")
            home.send(thing, discovery.tcp(macs, ips, (50000, port), discovery.SYN))
            home.send(
                nas, discovery.tcp(macs[::-1], ips[::-1], (port, 50000), discovery.RST | 0x10)
            )
        yield 1.0


def _slow_scan(home: Home, fact: Fact) -> Process:
    """Try ten ports a second of the container host, for three minutes."""
    thing, target = home.things["camera-1"], home.things["server"]
    _about(fact, thing, target)
    for second in range(180):
        for port in range(second * 10 + 1, second * 10 + 11):
            macs, ips = (thing.mac, target.mac), (thing.ip or "", target.ip or "")
            home.send(thing, discovery.tcp(macs, ips, (50000, port), discovery.SYN))
            home.send(
                target, discovery.tcp(macs[::-1], ips[::-1], (port, 50000), discovery.RST | 0x10)
            )
        yield 1.0


def _host_sweep(home: Home, fact: Fact) -> Process:
    """Look for other victims, in the LAN by ARP and in the Internet by telnet."""
    thing = home.things["camera-1"]
    _about(fact, thing)
    dice = home.dice("sweep")
    for second in range(40):
        for number in range(80):
            far = (
                f"{dice.randrange(1, 223)}.{dice.randrange(256)}.{dice.randrange(256)}.{number + 1}"
            )
            home.send(thing, discovery.tcp((thing.mac, home.router.mac), (thing.ip or "", far),
                                        (50000 + number, 23), discovery.SYN))  # fmt: skip
        for number in range(20):
            wanted = f"192.168.1.{(second * 20 + number) % 254 + 1}"
            home.send(thing, frames.arp_request(thing.mac, thing.ip or "", wanted))
        yield 1.0


# --- impostors ------------------------------------------------------------------------------------


def _arp_spoof(home: Home, fact: Fact) -> Process:
    """Claim the router's address towards everybody, and pass on what they send."""
    thing, router = home.things["doorbell"], home.router
    _about(fact, thing, router)
    dice = home.dice("spoof")
    for _ in range(150):
        for victim in [one for one in home.things.values() if one.ip and one.awake][:12]:
            answer = discovery.arp_reply(
                (thing.mac, victim.mac), (router.ip or "", victim.ip or "")
            )
            home.send(thing, answer)
            ip, far = victim.ip or "", f"142.250.{dice.randrange(255)}.1"
            home.send(
                victim, discovery.tcp((victim.mac, thing.mac), (ip, far), (4000, 443)), times=3
            )
            home.send(
                thing, discovery.tcp((thing.mac, router.mac), (ip, far), (4000, 443)), times=3
            )
        yield 2.0


def _rogue_dhcp(home: Home, fact: Fact) -> Process:
    """Plug an old router in by its LAN port: it hands out addresses too."""
    rogue = home.add(Thing("old-router", home.fixed_mac(), "192.168.0.1"))
    _about(fact, rogue)
    home.send(rogue, frames.arp_request(rogue.mac, "192.168.0.1", "192.168.0.1"))
    dice = home.dice("rogue")
    clients = [one for one in home.things.values() if one.wifi and one.ip]
    for _ in range(20):
        client = dice.choice(clients)
        home.send(client, discovery.dhcp_ask(discovery.DISCOVER, client.mac, hostname=client.name))
        given, server = f"192.168.0.{dice.randrange(100, 200)}", (rogue.mac, "192.168.0.1")
        home.send(rogue, discovery.dhcp_answer(discovery.OFFER, server, client.mac, given))
        home.send(rogue, frames.arp_request(rogue.mac, "192.168.0.1", given))
        yield dice.uniform(5, 30)
    rogue.on = False


def _rogue_ra(home: Home, fact: Fact) -> Process:
    """Advertise a second IPv6 router and hand out addresses, as mitm6 does."""
    thing = home.things["plug-3"]
    _about(fact, thing)
    own = discovery.link_local(thing.mac)
    clients = [one for one in home.things.values() if one.speaks6 and one.awake]
    for _ in range(60):
        home.send(thing, discovery.router_advertisement(thing.mac, own, "fd00:bad::/64"))
        for number, client in enumerate(clients, 1):
            macs, ips = (thing.mac, client.wire_mac), (own, discovery.link_local(client.mac))
            home.send(thing, discovery.dhcp6_reply(macs, ips, f"fd00:bad::{number:x}"))
        yield 10.0


# --- failures -------------------------------------------------------------------------------------


def _dies(home: Home, fact: Fact) -> Process:
    """Let the hub of the lights fail for good."""
    thing = home.things["hub"]
    _about(fact, thing)
    thing.on = False
    yield 7 * 86400.0


def _cable(home: Home, fact: Fact) -> Process:
    """Lose the server to a broken power supply, for good."""
    thing = home.things["inverter-meter"]
    _about(fact, thing)
    thing.on = False
    yield 7 * 86400.0


_ALL: Final = (
    Incident("a SYN flood", frozenset({"syn-flood"}), 5, _syn_flood),
    Incident("a ping flood", frozenset({"icmp-flood"}), 5, _ping_flood),
    Incident("a port scan", frozenset({"port-scan"}), 5, _port_scan),
    Incident("a host sweep", frozenset({"host-sweep"}), 5, _host_sweep),
    Incident("the router's address forged", frozenset({"arp-spoof"}), 10, _arp_spoof),
    Incident("a rogue DHCP server", frozenset({"rogue-dhcp"}), 15, _rogue_dhcp),
    Incident("a rogue IPv6 router", frozenset({"rogue-ra", "rogue-dhcp"}), 30, _rogue_ra),
    Incident("a device fails for good", frozenset({"device-down"}), 900, _dies),
    Incident("DHCP starvation", frozenset({"dhcp-starvation"}), 5, _starvation),
    Incident("a MAC flood", frozenset({"mac-flood"}), 5, _mac_flood),
    Incident("a cable loop", frozenset({"loop", "broadcast-storm", "network-loop"}), 10, _loop),
    Incident("a slow scan", frozenset({"port-scan", "slow-scan"}), 120, _slow_scan),
    Incident("a meter fails for good", frozenset({"device-down"}), 900, _cable),
)  # fmt: skip

COUNT: Final = 10


def drawn(home: Home) -> list[Incident]:
    """Return the ten incidents of this seed, in the order in which they happen."""
    return home.dice("incidents").sample(_ALL, COUNT)
