"""A made-up LAN, and a second of its traffic as a mirror port shows it."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from monitorpi_common.messages import (
    DeviceWindow,
    Omitted,
    Peer,
    Probe,
    Role,
    Spread,
    Traffic,
)

START: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LISTED: Final = 256
REPORTING: Final = 10
"""Frames per second from which a MAC is listed before all others, as capture does."""
_FLOODY: Final = ("syn", "icmp_echo", "arp", "dhcp", "igmp", "broadcast")
SMALL, LARGE = 60, 1200
"""Bytes of a frame."""


@dataclass(frozen=True, slots=True)
class ScenarioHost:
    """One machine of the LAN."""

    mac: str
    ip: str


@dataclass
class ScenarioFrames:
    """What one MAC sent and was sent in a second."""

    tx: Counter[str] = field(default_factory=Counter)
    rx: Counter[str] = field(default_factory=Counter)
    src_ips: set[str] = field(default_factory=set)
    dst_ips: set[str] = field(default_factory=set)
    dst_ports: set[int] = field(default_factory=set)
    peers: defaultdict[str, Counter[tuple[str, str, int | None]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )


class Second:
    """One second of traffic as a mirror port shows it."""

    def __init__(self, lan: Lan, number: int, *, one_way: bool = False) -> None:
        """Begin a second; ``one_way``: the port shows only what the LAN's clients send."""
        self.lan = lan
        self.number = number
        self._shown = frozenset(one.mac for one in lan.clients) if one_way else None
        self.random = lan.random
        self._sent: dict[str, ScenarioFrames] = {}
        self.counts: Counter[str] = Counter()
        self.probes: list[Probe] = []

    def _of(self, mac: str) -> ScenarioFrames:
        sent = self._sent.get(mac)
        if sent is None:
            sent = self._sent[mac] = ScenarioFrames()
        return sent

    def _is_shown(self, mac: str) -> bool:
        return self._shown is None or mac in self._shown

    def frames(self, source: str, target: str | None, count: int, size: int, *classes: str) -> None:
        """Add frames from one MAC to another (None: broadcast)."""
        if count <= 0 or not self._is_shown(source):
            return
        tallies = [self.counts, self._of(source).tx]
        if target is None:
            classes = (*classes, "broadcast")
        else:
            tallies.append(self._of(target).rx)
        for tally in tallies:
            tally["packets"] += count
            tally["bytes"] += count * size
            for name in classes:
                tally[name] += count

    def send_to(
        self,
        name: str,
        source: ScenarioHost,
        target: ScenarioHost,
        via: str | None,
        port: int | None,
        count: int = 1,
    ) -> None:
        """Note SYNs or echo requests for spread and top peer."""
        if not self._is_shown(source.mac):
            return
        sent = self._of(source.mac)
        sent.src_ips.add(source.ip)
        sent.dst_ips.add(target.ip)
        if port is not None:
            sent.dst_ports.add(port)
        key = (via or target.mac, target.ip, port)
        sent.peers[name][key] += count

    def syn(
        self,
        source: ScenarioHost,
        target: ScenarioHost,
        *,
        via: str | None = None,
        port: int = 443,
        count: int = 1,
    ) -> None:
        """Add SYNs; ``via`` is the MAC they go to where that is not the target's."""
        self.frames(source.mac, via or target.mac, count, SMALL, "ipv4", "tcp", "syn")
        self.send_to("syn", source, target, via, port, count)

    def connection(
        self,
        source: ScenarioHost,
        target: ScenarioHost,
        *,
        via: str | None = None,
        port: int = 443,
        carries: int = 12,
        answered: bool = True,
        ends: bool = True,
    ) -> None:
        """Add a TCP connection that is used, as far as it is answered."""
        self.syn(source, target, via=via, port=port)
        if not answered:
            return
        here, there = source.mac, via or target.mac
        self.frames(there, here, 1, SMALL, "ipv4", "tcp", "syn_ack")
        self.frames(here, there, carries, 120, "ipv4", "tcp", "https")
        self.frames(there, here, carries, LARGE, "ipv4", "tcp", "https")
        if ends:
            self.frames(here, there, 1, SMALL, "ipv4", "tcp", "fin")
            self.frames(there, here, 1, SMALL, "ipv4", "tcp", "fin")

    def echo(
        self,
        source: ScenarioHost,
        target: ScenarioHost,
        *,
        via: str | None = None,
        answered: bool = True,
        count: int = 1,
    ) -> None:
        """Add echo requests and their replies."""
        self.frames(source.mac, via or target.mac, count, 98, "ipv4", "icmp", "icmp_echo")
        self.send_to("icmp_echo", source, target, via, None, count)
        if answered:
            self.frames(via or target.mac, source.mac, count, 98, "ipv4", "icmp")

    def arp(self, source: ScenarioHost, target: ScenarioHost | None) -> None:
        """Add an ARP request and, where somebody has the address, the reply."""
        self.frames(source.mac, None, 1, SMALL, "arp")
        if target is not None:
            self.frames(target.mac, source.mac, 1, SMALL, "arp")

    def traffic(self, seq: int) -> Traffic:
        """Return the window."""
        rows = {mac: self._row(mac, sent) for mac, sent in self._sent.items()}
        ordered = sorted(
            rows.values(),
            key=lambda row: (
                -max((row.tx.get(name, 0) for name in _FLOODY), default=0)
                if any(row.tx.get(name, 0) >= REPORTING for name in _FLOODY)
                else 0,
                -row.tx.get("bytes", 0) - row.rx.get("bytes", 0),
                row.mac,
            ),
        )
        end = START + timedelta(seconds=self.number + 1)
        both_ways = self._shown is None
        known = self.lan.known
        new = sum(mac not in known for mac in rows)
        known.update(rows)
        counts = {n: c for n, c in self.counts.items() if n not in ("packets", "bytes")}
        self.lan.totals.update(self.counts)
        return Traffic(
            epoch="scenario", seq=seq, start=end - timedelta(seconds=1), end=end, window_s=1.0,
            clock_synced=True, interface="eth0", engine="file", packets=self.counts["packets"],
            bytes=self.counts["bytes"], counts=counts, totals=dict(self.lan.totals),
            sees_replies=both_ways and (True if self.counts["syn_ack"] else None),
            source_macs=len(rows), new_macs=new, devices=ordered[:LISTED],
            omitted=Omitted(devices=max(0, len(ordered) - LISTED)),
        )  # fmt: skip

    def _row(self, mac: str, sent: ScenarioFrames) -> DeviceWindow:
        top = {}
        for name, peers in sent.peers.items():
            (via, ip, port), _ = peers.most_common(1)[0]
            count = sum(n for (one, _, _), n in peers.items() if one == via)
            top[name] = Peer(mac=via, ip=ip, port=port, packets=count)
        return DeviceWindow.model_construct(
            mac=mac, role=self.lan.role(mac), tx=dict(sent.tx), rx=dict(sent.rx),
            spread=Spread.model_construct(
                src_ips=len(sent.src_ips), dst_ips=len(sent.dst_ips), dst_ports=len(sent.dst_ports)
            ),
            top_peer=top,
        )  # fmt: skip


class Lan:
    """A LAN with a router, a server, a monitoring Pi and clients, all made up from a seed."""

    def __init__(self, seed: int, clients: int = 20) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible traffic, not secrets
        self._maker = self.random.randrange(256)
        self.router = self.host(1)
        self.server = self.host(2)
        self.pi = self.host(3)
        self.clients = [self.host(10 + number) for number in range(clients)]
        self.known: set[str] = set()
        self.totals: Counter[str] = Counter()
        self.knows_router = True

    def host(self, number: int) -> ScenarioHost:
        """Return a host of this LAN, always the same for a number."""
        return ScenarioHost(
            f"04:5e:{self._maker:02x}:00:{number >> 8:02x}:{number & 255:02x}",
            f"198.18.{number >> 8}.{number & 255}",
        )

    def role(self, mac: str) -> Role:
        """Return what capture would call a MAC."""
        if mac == self.router.mac:
            return "router" if self.knows_router else "unknown"
        return "host"

    def outside(self) -> ScenarioHost:
        """Make a host of the Internet; its frames have the router's MAC."""
        pick = self.random.randrange
        return ScenarioHost(self.router.mac, f"203.0.{pick(113, 120)}.{pick(1, 255)}")

    def forged(self) -> str:
        """Make a source address nobody has."""
        pick = self.random.randrange
        return f"10.{pick(256)}.{pick(256)}.{pick(1, 255)}"


Activity = Callable[[Second], None]


def during(activity: Activity, start: int, end: int) -> Activity:
    """Limit an activity to some seconds."""

    def limited(second: Second) -> None:
        if start <= second.number < end:
            activity(second)

    return limited


def per_second(second: Second, rate: float) -> int:
    """Return a whole number of events with the given mean."""
    whole = int(rate)
    return whole + (second.random.random() < rate - whole)


def chance(source: random.Random, share: float) -> bool:
    """Tell, at random, whether something of this share happens."""
    return source.random() < share
