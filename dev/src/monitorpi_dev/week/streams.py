"""What goes on for a while in the simulated home: a film, a television programme, browsing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_dev.week.wire import FrameStream
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from monitorpi_dev.week.home import Home, Thing
    from monitorpi_dev.week.wire import Process

FAR: Final = ("151.101.1.140", "142.250.74.78", "52.95.120.4", "104.16.3.9", "23.212.5.1")
"""Servers of the Internet; nothing is ever sent there."""
MIN: Final = 60.0
HOUR: Final = 3600.0


def stream(
    home: Home, thing: Thing, peer: Thing, far: str, per_s: float, seconds: float, burst: int
) -> Process:
    """Carry data to or from somewhere for a while: bursts at its begin and within, all the rest."""
    dice = home.dice(f"stream {thing.name}")
    name = f"{thing.name} {peer.name} {far}"
    ip, there = thing.ip or "", far
    down = discovery.tcp((peer.mac, thing.wire_mac), (there, ip), (443, 40002), discovery.ACK, 1400)
    up = discovery.tcp((thing.wire_mac, peer.mac), (ip, there), (40002, 443))
    syn = discovery.tcp((thing.wire_mac, peer.mac), (ip, there), (40002, 443), discovery.SYN)
    both = discovery.tcp(
        (peer.mac, thing.wire_mac), (there, ip), (443, 40002), discovery.SYN | discovery.ACK
    )
    fin = discovery.tcp((thing.wire_mac, peer.mac), (ip, there), (40002, 443), discovery.FIN | 0x10)
    left = seconds
    while left > 0 and thing.awake and home.is_reachable(thing):
        for _ in range(3):
            opens = dice.randint(1, 6)
            home.send(thing, syn, both, fin, times=opens)
            home.send(thing, down, times=burst)
            home.send(thing, up, times=burst // 2)
            yield 1.0
        home.wire.streams[name] = FrameStream((down, down, up), per_s / 3)
        pause = min(left, dice.uniform(300, 900))
        left -= pause + 3
        yield pause
        home.wire.streams.pop(name, None)
    home.wire.streams.pop(name, None)


def multicast(home: Home, thing: Thing, per_s: float, seconds: float) -> Process:
    """Send a television programme to a group: the router sends, the box listens."""
    router = home.router
    group = "239.35.1.7"
    macs = (router.mac, frames.multicast_mac(group))
    frame = frames.udp(macs, ("203.0.113.9", group), (5000, 5000), bytes(1316))
    home.send(thing, frames.igmp_report(thing.mac, thing.ip or "", group))
    left = seconds
    while left > 0 and home.router_up and home.wire.powered:
        for _ in range(5):
            home.wire.send(frame, times=int(per_s * home.dice("iptv").uniform(0.9, 1.5)))
            yield 1.0
        home.wire.streams["iptv"] = FrameStream((frame,), per_s)
        pause = min(left, 900.0)
        left -= pause + 5
        yield pause
        home.wire.streams.pop("iptv", None)


def browse(home: Home, thing: Thing, minutes: float) -> Process:
    """Look at pages: each a burst of connections and names."""
    dice = home.dice(f"browse {thing.name}")
    resolver, router = home.things["resolver"], home.router
    left = minutes * MIN
    while left > 0 and thing.awake and home.is_reachable(thing) and thing.ip:
        mac, ip = thing.wire_mac, thing.ip
        for number in range(dice.randint(3, 25)):
            far = dice.choice(FAR)
            ports = (41000 + number, 443)
            works = home.uplink and home.router_up
            home.send(
                thing,
                frames.udp((mac, resolver.mac), (ip, resolver.ip or ""), (40001, 53), bytes(30)),
            )
            home.send(thing, discovery.tcp((mac, router.mac), (ip, far), ports, discovery.SYN))
            if works:
                back = (far, ip), (ports[1], ports[0])
                home.send(
                    thing, discovery.tcp((router.mac, mac), *back, discovery.SYN | discovery.ACK)
                )
                home.send(thing, discovery.tcp((router.mac, mac), *back, size=1400), times=20)
                home.send(thing, discovery.tcp((mac, router.mac), (ip, far), ports), times=8)
        pause = dice.uniform(60, 500)
        left -= pause
        yield pause
