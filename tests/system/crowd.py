"""A busy LAN, somebody who fills every table with forged addresses, and four attacks after it."""

from __future__ import annotations

import heapq
import itertools
import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_lab import frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROUTER: Final = "04:00:00:00:00:01"
KNOWN: Final = [f"04:00:00:00:00:{number:02x}" for number in range(1, 21)]
OUT: Final = KNOWN[10:]
"""Known devices that are away while the tables are filled."""
FLOODER, PINGER, SPOOFER, ROGUE = (f"06:00:00:00:00:0{number}" for number in (1, 2, 3, 4))
EXPECTED: Final = {
    "syn-flood": (FLOODER, 3.0), "icmp-flood": (PINGER, 3.0), "arp-spoof": (SPOOFER, 3.0),
    "rogue-dhcp": (ROGUE, 5.0),
}  # fmt: skip
"""Who is to be named by each rule, and within how many seconds of the first frame."""
WARM_UP_S: Final = 40.0
EACH_S: Final = 7.0
"""Between the beginnings of two attacks."""
_ATTACK_S: Final = 5.0
_ACK: Final = 0x10
_COOKIE: Final = b"\x63\x82\x53\x63"

Timed = tuple[float, bytes]


@dataclass(frozen=True)
class Filling:
    """How the tables are filled."""

    macs: int
    per_second: float
    seconds: float


FILLINGS: Final = {
    "4,400 at 60/s": Filling(4400, 60, 150),
    "4,400 at 180/s": Filling(4400, 180, 60),
    "4,400 at 500/s": Filling(4400, 500, 40),
    "14/s for five minutes": Filling(4400, 14, 300),
    "1,000,000 random ones": Filling(1_000_000, 1_488_000, 1),
}


def ip(mac: str) -> str:
    """Return the address of a device of the LAN."""
    return f"192.168.7.{int(mac[-2:], 16)}"


def forged(number: int) -> str:
    """Return a made-up address."""
    return "02:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(5, "big"))


def every(rate: float, start_s: float, seconds: float, made: Iterable[bytes]) -> Iterator[Timed]:
    """Spread frames evenly."""
    for number, frame in zip(range(int(rate * seconds)), made, strict=False):
        yield start_s + number / rate, frame


def ack(source: str, target: str) -> bytes:
    """Return a TCP segment of an open connection."""
    segment = struct.pack("!HHIIBBHHH", 40000, 443, 1, 1, 0x50, _ACK, 64240, 0, 0)
    return frames.ipv4_frame((source, target), (ip(source), ip(target)), 6, segment + bytes(40))


def arp_reply(source: str, claimed: str, target: str) -> bytes:
    """Return "claimed is at source", to one host."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    body += frames.mac_bytes(source) + frames.ip_bytes(claimed)
    body += frames.mac_bytes(target) + frames.ip_bytes(ip(target))
    return frames.ethernet(source, target, 0x0806, body)


def dhcp_answer(server: str, server_ip: str, client: str, given: str, kind: int) -> bytes:
    """Return an OFFER (2) or ACK (5) that names its sender as router (RFC 2131)."""
    bootp = struct.pack("!BBBBIHH", 2, 1, 6, 0, 7, 0, 0) + bytes(4) + frames.ip_bytes(given)
    bootp += bytes(8) + frames.mac_bytes(client).ljust(16, b"\0") + bytes(192)
    own = frames.ip_bytes(server_ip)
    options = _COOKIE + bytes((53, 1, kind)) + b"\x36\x04" + own + b"\x33\x04\0\0\x0e\x10"
    options += b"\x01\x04\xff\xff\xff\0" + b"\x03\x04" + own + b"\xff"
    return frames.udp((server, client), (server_ip, given), (67, 68), bootp + options)


def household(present: list[str], start_s: float, seconds: float) -> Iterator[Timed]:
    """Let each device talk with the router, ten frames a second both ways, and say who it is."""
    for second in range(int(seconds)):
        for number, mac in enumerate(present):
            at_s = start_s + second + number / 100
            if second % 15 == 0:
                yield at_s, frames.arp_request(mac, ip(mac), ip(ROUTER))
            peer = ROUTER if mac != ROUTER else present[-1]
            for one in range(10):
                yield at_s + one / 20, ack(mac, peer)
                yield at_s + one / 20 + 0.01, ack(peer, mac)


def leases(start_s: float) -> Iterator[Timed]:
    """Let the LAN's own server give everybody an address."""
    for number, mac in enumerate(KNOWN[1:]):
        yield start_s + number / 50, dhcp_answer(ROUTER, ip(ROUTER), mac, ip(mac), 5)


def filling(how: Filling, start_s: float) -> Iterator[Timed]:
    """Send an ARP question from each of so many addresses, in turns."""
    spread = random.Random(7)  # noqa: S311 - addresses for a test

    def made() -> Iterator[bytes]:
        for number in itertools.count():
            mac = forged(number % how.macs)
            asks = f"10.{spread.randrange(99)}.{spread.randrange(250)}.{spread.randrange(1, 250)}"
            yield frames.arp_request(mac, asks, ip(ROUTER))

    return every(how.per_second, start_s, how.seconds, made())


def attacks(start_s: float) -> Iterator[tuple[str, float, Iterator[Timed]]]:
    """Yield each attack: its rule, when it begins, its frames."""
    victim = KNOWN[2]
    syns = (
        frames.tcp_syn((FLOODER, victim), ("192.168.7.66", ip(victim)), (port, 80), 1)
        for port in itertools.cycle(range(20_000, 30_000))
    )
    pings = (
        frames.icmp_echo((PINGER, victim), ("192.168.7.67", ip(victim)), 9, number % 65536)
        for number in itertools.count()
    )
    claims = itertools.repeat(arp_reply(SPOOFER, ip(ROUTER), victim))
    offer = dhcp_answer(ROGUE, "192.168.7.69", victim, "192.168.7.99", 2)
    made = (
        ("syn-flood", 300.0, syns), ("icmp-flood", 200.0, pings), ("arp-spoof", 2.0, claims),
        ("rogue-dhcp", 0.5, itertools.repeat(offer)),
    )  # fmt: skip
    for number, (rule, rate, of_it) in enumerate(made):
        at_s = start_s + number * EACH_S + 0.35
        yield rule, at_s, every(rate, at_s, _ATTACK_S, of_it)


def warm_up(start_s: float = 0.0) -> Iterator[Timed]:
    """Let all twenty devices be there, with their leases."""
    return heapq.merge(household(KNOWN, start_s, WARM_UP_S), leases(start_s + 1))
