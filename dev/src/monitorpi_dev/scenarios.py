"""Generated traffic with a known answer: floods to be found, and hard benign hours to leave alone.

Theory of operation. A scenario is a list of activities on a made-up LAN. Each second every activity
adds frames to a :class:`Second`, which becomes the window message that capture would have sent.
Everything random comes from one seed, so that a scenario is the same everywhere. Frames are
counted, never made: nothing goes on a wire.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from monitorpi_common.messages import (
    DeviceWindow,
    Omitted,
    Peer,
    Probe,
    ProbeResult,
    ProbeSource,
    Role,
    Spread,
    Traffic,
)

START: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LISTED: Final = 256
REPORTING: Final = 10
"""Frames per second from which a MAC is listed before all others, as capture does."""
_FLOODY: Final = ("syn", "icmp_echo", "arp", "dhcp", "igmp", "broadcast")
_SMALL, _LARGE = 60, 1200
SYN_FLOOR: Final = 100.0
_MOST_DRAWS: Final = 2000
ICMP_FLOOR: Final = 50.0


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

    def aimed(
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
        self.frames(source.mac, via or target.mac, count, _SMALL, "ipv4", "tcp", "syn")
        self.aimed("syn", source, target, via, port, count)

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
        self.frames(there, here, 1, _SMALL, "ipv4", "tcp", "syn_ack")
        self.frames(here, there, carries, 120, "ipv4", "tcp", "https")
        self.frames(there, here, carries, _LARGE, "ipv4", "tcp", "https")
        if ends:
            self.frames(here, there, 1, _SMALL, "ipv4", "tcp", "fin")
            self.frames(there, here, 1, _SMALL, "ipv4", "tcp", "fin")

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
        self.aimed("icmp_echo", source, target, via, None, count)
        if answered:
            self.frames(via or target.mac, source.mac, count, 98, "ipv4", "icmp")

    def arp(self, source: ScenarioHost, target: ScenarioHost | None) -> None:
        """Add an ARP request and, where somebody has the address, the reply."""
        self.frames(source.mac, None, 1, _SMALL, "arp")
        if target is not None:
            self.frames(target.mac, source.mac, 1, _SMALL, "arp")

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


@dataclass(frozen=True)
class Expected:
    """The alert a scenario must lead to."""

    rule: str
    subjects: frozenset[str]
    """Any of these is right: the attacker's MAC, or the victim of many."""
    since_s: float
    """A flood begins anywhere in a second."""
    times_floor: float


@dataclass
class Scenario:
    """Traffic with a known answer."""

    name: str
    lan: Lan
    activities: list[Activity]
    seconds: int
    expected: Expected | None = None
    one_way: bool = False

    def windows(self) -> Iterator[Probe | Traffic]:
        """Return what capture and prober would have published, second by second."""
        for number in range(self.seconds):
            second = Second(self.lan, number, one_way=self.one_way)
            for activity in self.activities:
                activity(second)
            yield from second.probes
            yield second.traffic(number)


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


# --- what happens on a LAN ------------------------------------------------------------------------


def office(second: Second) -> None:
    """Browse, resolve names, ask for addresses, print: a busy hour."""
    lan, pick = second.lan, second.random
    for client in lan.clients:
        for _ in range(per_second(second, 0.8)):
            second.connection(
                client, lan.outside(), via=lan.router.mac, carries=pick.randint(4, 60),
                answered=chance(pick, 0.97), ends=chance(pick, 0.6),
            )  # fmt: skip
        if chance(pick, 0.3):
            second.connection(client, lan.server, port=445, carries=30, ends=False)
        for _ in range(per_second(second, 1.5)):
            second.frames(client.mac, lan.router.mac, 1, 80, "ipv4", "udp", "dns")
            second.frames(lan.router.mac, client.mac, 1, 150, "ipv4", "udp", "dns")
        if chance(pick, 0.1):
            second.arp(client, pick.choice([lan.router, lan.server, None]))
        if chance(pick, 0.05):
            second.frames(client.mac, "01:00:5e:00:00:fb", 1, 200, "multicast", "udp", "mdns")
        second.frames(client.mac, lan.router.mac, pick.randint(0, 40), 200, "ipv4", "tcp")
        second.frames(lan.router.mac, client.mac, pick.randint(0, 60), _LARGE, "ipv4", "tcp")


def wget_mirror(second: Second) -> None:
    """Run ``wget -r`` on a fast site: a connection per file, all used and closed."""
    lan = second.lan
    for _ in range(second.random.randint(40, 180)):
        shop = ScenarioHost(lan.router.mac, "203.0.113.80")
        second.connection(lan.clients[0], shop, via=lan.router.mac, port=80, carries=4)


def web_benchmark(second: Second) -> None:
    """Benchmark a web server: 130 connections/s from one address, every one answered."""
    for _ in range(second.random.randint(125, 135)):
        second.connection(second.lan.clients[1], second.lan.server, port=80, carries=3)


def browser_tabs(second: Second) -> None:
    """Open a hundred tabs: connections to many hosts that stay open."""
    lan, pick = second.lan, second.random
    targets = [ScenarioHost(lan.router.mac, f"203.0.114.{n}") for n in range(1, 180)]
    for _ in range(pick.randint(100, 260)):
        second.connection(lan.clients[2], pick.choice(targets), via=lan.router.mac, ends=False,
                          answered=chance(pick, 0.95), carries=10)  # fmt: skip


def speed_test(second: Second) -> None:
    """Fill the line with a few connections."""
    lan = second.lan
    second.frames(lan.router.mac, lan.clients[3].mac, 8000, 1500, "ipv4", "tcp", "https")
    second.frames(lan.clients[3].mac, lan.router.mac, 4000, _SMALL, "ipv4", "tcp", "https")


def backup(second: Second) -> None:
    """Copy files to the server."""
    lan = second.lan
    second.frames(lan.clients[4].mac, lan.server.mac, 6000, 1500, "ipv4", "tcp")
    second.frames(lan.server.mac, lan.clients[4].mac, 3000, _SMALL, "ipv4", "tcp")


def boot_storm(second: Second) -> None:
    """Boot 200 devices within ten seconds: DHCP, ARP, IGMP, names, a controller that is slow."""
    lan, pick = second.lan, second.random
    for _ in range(20):
        one = lan.host(1000 + pick.randrange(200))
        second.frames(one.mac, None, 2, 342, "ipv4", "udp", "dhcp")
        second.frames(lan.router.mac, one.mac, 2, 342, "ipv4", "udp", "dhcp")
        for target in (lan.router, None, one):
            second.arp(one, target)
        second.frames(one.mac, "01:00:5e:00:00:16", 3, _SMALL, "multicast", "igmp", "ipv4")
        for _ in range(3):
            second.connection(one, lan.server, port=8443, answered=chance(pick, 0.5))
            second.connection(one, lan.outside(), via=lan.router.mac)
        second.echo(one, lan.router)


def published_server(second: Second) -> None:
    """Serve the Internet: hundreds of connections/s through the router, from everywhere."""
    lan = second.lan
    for _ in range(second.random.randint(150, 350)):
        second.connection(lan.outside(), lan.server, carries=8, port=443)


def router_reboot(second: Second) -> None:
    """Lose the router: everybody tries again and nobody answers."""
    lan, pick = second.lan, second.random
    for client in lan.clients:
        for _ in range(pick.randint(1, 6)):
            second.syn(client, lan.outside(), via=lan.router.mac)
        second.arp(client, None)
        second.echo(client, lan.router, answered=False)


def own_probing(targets: int = 1000) -> Activity:
    """Probe a thousand targets from our own Pi, announced as the prober does."""
    hosts = [ScenarioHost(f"04:5f:00:00:{n >> 8:02x}:{n & 255:02x}", f"198.19.{n >> 8}.{n & 255}")
             for n in range(targets)]  # fmt: skip

    def probing(second: Second) -> None:
        lan = second.lan
        for host in hosts:
            second.echo(lan.pi, host)
        if second.number % 10 == 0:
            end = START + timedelta(seconds=second.number)
            source = ProbeSource(mac=lan.pi.mac, ip=lan.pi.ip, echo_per_s=float(targets))
            second.probes.append(
                Probe(
                    epoch="scenario", seq=second.number // 10, round_start=end - timedelta(10),
                    round_end=end, clock_synced=True, source=source,
                    targets=[ProbeResult(name="server", address=lan.server.ip, state="up")],
                )
            )  # fmt: skip

    return probing


def monitoring(second: Second) -> None:
    """Watch 60 hosts as network monitoring does: twice a second each, some of them off."""
    lan = second.lan
    for number in range(60):
        host = lan.clients[number % len(lan.clients)]
        for _ in range(2):
            second.echo(
                lan.server, ScenarioHost(host.mac, f"198.18.9.{number}"), answered=number % 10 != 0
            )


BENIGN: Final[dict[str, Activity]] = {
    "wget": wget_mirror,
    "speed test": speed_test,
    "backup": backup,
    "100 tabs": browser_tabs,
    "boot storm": boot_storm,
    "web benchmark": web_benchmark,
    "published server": published_server,
    "own probing": own_probing(),
    "router reboot": router_reboot,
    "monitoring": monitoring,
}
"""The hard benign cases, by name."""


# --- floods ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScenarioFlood:
    """How a flood goes on."""

    rule: str = "syn-flood"
    times: float = 10.0
    sources: int = 1
    spoofed: bool = False
    answered: float = 0.0
    through_router: bool = False
    shape: str = "steady"
    """``steady``, ``ramp`` (up to the rate within 30 s) or ``pulse`` (2 s on, 8 s off)."""

    @property
    def floor(self) -> float:
        """The rule's floor in frames/s."""
        return SYN_FLOOR if self.rule == "syn-flood" else ICMP_FLOOR


def flood(how: ScenarioFlood, since_s: float) -> Activity:
    """Make the activity of a flood on the LAN's server that begins at some time."""
    since = int(since_s)

    def act(second: Second) -> None:
        lan, pick = second.lan, second.random
        age = second.number - since
        share = 1.0 if age else since + 1 - since_s
        if how.shape == "ramp":
            share *= min(1.0, (age + 1) / 30)
        elif how.shape == "pulse" and age % 10 >= 2:  # noqa: PLR2004 - the pulse's form
            share = 0.0
        attackers = [lan.router] if how.through_router else lan.clients[: how.sources]
        rate = how.times * how.floor * share / len(attackers)
        for attacker in attackers:
            for count in shares(per_second(second, rate)):
                own = lan.outside().ip if how.through_router else attacker.ip
                source = ScenarioHost(attacker.mac, lan.forged() if how.spoofed else own)
                answered = chance(pick, how.answered)
                if how.rule == "syn-flood":
                    second.syn(source, lan.server, port=80, count=count)
                    if answered:
                        second.frames(
                            lan.server.mac, attacker.mac, count, _SMALL, "ipv4", "tcp", "syn_ack"
                        )
                else:
                    second.echo(source, lan.server, answered=answered, count=count)

    return during(act, since, 10**9)


def shares(frames: int) -> Iterator[int]:
    """Share frames out between at most so many draws of an address as any judgement looks at."""
    draws = min(frames, _MOST_DRAWS)
    for draw in range(draws):
        yield frames * (draw + 1) // draws - frames * draw // draws


def flood_scenario(
    how: ScenarioFlood, seed: int, *, one_way: bool = False, seconds: int = 50
) -> Scenario:
    """Put a flood over a busy office hour."""
    lan = Lan(seed, clients=max(20, how.sources))
    since_s = lan.random.uniform(20, 30)
    attackers = [lan.router] if how.through_router else lan.clients[: how.sources]
    subjects = {one.mac.replace(":", "") for one in attackers}
    if how.sources >= 3:  # noqa: PLR2004 - the contract's number
        subjects = {f"victim-{lan.server.mac.replace(':', '')}"}
    name = (
        f"{how.rule} {how.times:g}x {how.shape} {how.sources} source(s)"
        f"{' spoofed' if how.spoofed else ''}{' through the router' if how.through_router else ''}"
        f"{f' {how.answered:.0%} answered' if how.answered else ''}"
        f"{' one-way' if one_way else ''}"
    )
    return Scenario(
        name, lan, [office, flood(how, since_s)], seconds,
        Expected(how.rule, frozenset(subjects), since_s, how.times), one_way,
    )  # fmt: skip


FLOODS: Final[tuple[tuple[ScenarioFlood, bool], ...]] = (
    *((ScenarioFlood(rule, times), False) for rule in ("syn-flood", "icmp-flood")
      for times in (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)),
    *((ScenarioFlood(rule, times, shape=shape), False) for rule in ("syn-flood", "icmp-flood")
      for times in (2.0, 10.0) for shape in ("ramp", "pulse")),
    *((ScenarioFlood(rule, times, sources=50), False) for rule in ("syn-flood", "icmp-flood")
      for times in (2.0, 5.0, 10.0, 30.0)),
    *((ScenarioFlood(rule, times, spoofed=spoofed), True) for rule in ("syn-flood", "icmp-flood")
      for times in (2.0, 10.0) for spoofed in (False, True)),
    *((ScenarioFlood(rule, times, spoofed=True), False) for rule in ("syn-flood", "icmp-flood")
      for times in (2.0, 10.0)),
    *((ScenarioFlood(rule, times, through_router=True), False)
      for rule in ("syn-flood", "icmp-flood") for times in (2.0, 10.0)),
    (ScenarioFlood("syn-flood", 1.11, spoofed=True, answered=0.88), False),
    (ScenarioFlood("syn-flood", 2.0, answered=1.0), False),
    (ScenarioFlood("syn-flood", 10.0, answered=1.0), False),
    (ScenarioFlood("icmp-flood", 10.0, answered=1.0), False),
)  # fmt: skip
"""Floods from half the floor up, of every form; the second member: only one direction is seen."""


def flood_scenarios(seed: int) -> Iterator[Scenario]:
    """Return every flood scenario for a seed."""
    for number, (how, one_way) in enumerate(FLOODS):
        yield flood_scenario(how, seed * 1000 + number, one_way=one_way)


def benign_scenario(
    seed: int, seconds: int = 3600, name: str | None = None, *, one_way: bool = False
) -> Scenario:
    """Return an office hour with one hard case (or all of them, in turns, one at a time)."""
    lan = Lan(seed)
    activities: list[Activity] = [office]
    cases = [BENIGN[name]] if name else list(BENIGN.values())
    spell = max(30, seconds // (2 * len(cases)))
    for number, case in enumerate(cases):
        start = 60 + 2 * number * spell if name is None else 20
        activities.append(during(case, start, start + (spell if name is None else seconds)))
    return Scenario(name or "all benign cases", lan, activities, seconds, one_way=one_way)
