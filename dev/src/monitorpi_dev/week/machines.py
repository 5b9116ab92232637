"""Machines that are never off in the simulated home: NAS, server, resolver, speakers.

Processes as those of :mod:`.life`; none of this is worth an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_dev.week.home import PI, Thing
from monitorpi_dev.week.life import claims, idle
from monitorpi_dev.week.streams import FAR, HOUR, MIN, stream
from monitorpi_dev.week.wire import every
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from monitorpi_dev.week.home import Home
    from monitorpi_dev.week.truth import Truth
    from monitorpi_dev.week.wire import Process


def bonded(home: Home, thing: Thing) -> Process:
    """Answer each client from one of two cards (Linux bonding, balance-alb)."""
    dice = home.dice("bonded")
    clients = [one for one in home.things.values() if one.ip and one.name not in (thing.name, PI)]
    while True:
        yield dice.uniform(20, 180)
        client = dice.choice(clients)
        mac = thing.mac if hash_of(client.name) % 2 else thing.sibling or thing.mac
        if client.ip and thing.ip:
            macs, ips = (mac, client.wire_mac), (thing.ip, client.ip)
            home.send(thing, discovery.arp_reply(macs, ips))
            home.send(client, discovery.tcp(macs[::-1], ips[::-1], (50000, 445)), times=3)
            home.send(thing, discovery.tcp(macs, ips, (445, 50000)), times=3)


def hash_of(text: str) -> int:
    """Return a number that is the same in every run."""
    return sum(text.encode())


def answers_broadcast(home: Home, thing: Thing, asks: Thing) -> Process:
    """Answer ARP for the subnet's broadcast address, as some speakers do."""
    for delay in every(600, 0.5, home.dice(f"broadcast {thing.name}")):
        yield delay
        if asks.ip and thing.ip:
            home.send(asks, frames.arp_request(asks.wire_mac, asks.ip, "192.168.1.255"))
            answer = discovery.arp_reply((thing.mac, asks.wire_mac), ("192.168.1.255", asks.ip))
            home.send(thing, answer)


def resolves(home: Home, thing: Thing) -> Process:
    """Answer names all day, in bursts when pages are opened."""
    dice = home.dice("resolves")
    router = home.router
    ask = frames.udp((thing.mac, router.mac), (thing.ip or "", FAR[3]), (40053, 53), bytes(40))
    answer = frames.udp((router.mac, thing.mac), (FAR[3], thing.ip or ""), (53, 40053), bytes(120))
    while True:
        yield dice.expovariate(1 / 900)
        for _ in range(dice.randint(1, 6)):
            home.send(thing, ask, times=dice.randint(10, 110))
            if home.uplink and home.router_up:
                home.send(thing, answer, times=dice.randint(10, 110))
            yield 1.0


def containers(home: Home, truth: Truth, host: Thing) -> Process:
    """Start a container with a MAC address and an address of its own, and end it."""
    dice = home.dice("containers")
    slots: dict[int, Thing] = {}
    while True:
        yield dice.uniform(2, 7) * HOUR
        number = dice.randrange(4)
        if number in slots or not home.is_reachable(host):
            continue
        ip = f"192.168.1.{200 + number}"
        mac = f"02:42:c0:a8:01:{200 + number:02x}"
        thing = slots[number] = home.add(Thing(f"ci-{number}", mac, ip))
        home.wire.start(claims(home, thing))
        home.send(thing, frames.arp_request(mac, ip, ip))
        yield dice.uniform(10, 60) * MIN
        idle(truth, home, thing, "a container that has ended")
        thing.on = False
        del slots[number]
        del home.things[thing.name]


def backup(home: Home, source: Thing, hour: float) -> Process:
    """Copy everything to the NAS each night."""
    dice = home.dice(f"backup {source.name}")
    nas = home.things["nas"]
    while True:
        yield home.until(hour) + dice.uniform(0, 600)
        if home.is_reachable(source) and home.is_reachable(nas):
            home.wire.start(
                stream(home, source, nas, nas.ip or "", 6000, dice.uniform(600, 2400), 9000)
            )
        yield HOUR


def watches(home: Home, host: Thing, targets: list[Thing]) -> Process:
    """Ping some devices, as home automation does."""
    while True:
        yield 30.0
        for one in targets:
            if host.ip and one.ip and home.is_reachable(host):
                home.send(host, frames.icmp_echo((host.mac, one.wire_mac), (host.ip, one.ip), 9, 1))
                if one.awake and home.is_reachable(one):
                    home.send(
                        one, discovery.echo_reply((one.wire_mac, host.mac), (one.ip, host.ip), 9)
                    )
