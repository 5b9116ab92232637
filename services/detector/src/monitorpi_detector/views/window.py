"""What the rules look at in a window of one interface, or of several together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DeviceWindow, Peer, Spread
from monitorpi_common.topics import slug
from monitorpi_detector.hosts.inventory import (
    OWN_MARGIN,
    SPOOFS_FROM,
    passes_connections,
)
from monitorpi_detector.hosts.slowscans import is_vain
from monitorpi_detector.views.frames import by_frames
from monitorpi_detector.views.handshakes import Handshakes, handshakes

if TYPE_CHECKING:
    from monitorpi_common.messages import (
        Onset,
        Tally,
        Traffic,
    )
    from monitorpi_detector.baseline import Baseline
    from monitorpi_detector.hosts.inventory import HostInventory

LEAST_SPAN_S: Final = 1.0
"""A partial window's counts stand for a whole second: never an extrapolated rate."""

STRONG_SOURCE: Final = {"syn": 4.0, "icmp_echo": 2.0}
"""Frames/s from which a MAC is one of an attack's sources. A client that is not answered tries up
to three times in a second (Windows repeats a refused SYN twice); people ping once a second."""

_STRONG: Final = 4.0
"""The same of any other class."""

_LOOKS: Final = 3.0
"""Frames to each of many destinations that are a look at it (nmap tries up to three times)."""

_BEYOND_CLIENTS: Final = 20.0
"""Times the floor that clients of one LAN do not reach together by trying again."""

_NOBODY: Final = 3.0
"""Times the floor that what no source explains must reach where sources can be seen."""

_YOUNG_S: Final = 10.0
"""Within so long an ordinary LAN has shown most of its devices."""

MIN_SOURCES: Final = 3
"""So many sources that share one top peer are told as one attack on that peer."""

WAS_ANSWERED: Final = 0.3
"""Share of a sender's SYNs that were answered: a crawler's are, a sweep's are not."""
_LAST_ANSWERS_S: Final = 60.0
_MOMENT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Group:
    """Several sources whose busiest destination is the same."""

    victim: Peer
    sources: tuple[DeviceWindow, ...]


@dataclass(slots=True)
class WindowView:
    """One window with what is known beside it. Rates are per second over :attr:`span_s`."""

    traffic: Traffic
    inventory: HostInventory
    baseline: Baseline
    now_s: float
    first_seen_s: float = 0.0
    """When the first window of this epoch ended."""
    watched_s: float = 0.0
    """Seconds watched so far: the clock of the baselines."""
    ports: int = 1
    """Mirror ports whose windows were added up."""
    onset: Onset | None = None
    """The look at a running window that this is; None: the window is over."""
    shown: Traffic = field(init=False)
    """The window as the mirror port showed it; ``traffic`` counts each frame once."""
    span_s: float = field(init=False)
    interface_id: str = field(init=False)
    rows: dict[str, DeviceWindow] = field(init=False)
    _senders: dict[str, list[tuple[DeviceWindow, int]]] = field(init=False)
    _received: dict[str, int] = field(init=False, default_factory=dict)
    _directed: dict[str, int] = field(init=False, default_factory=dict)
    _ordered: dict[str, list[DeviceWindow]] = field(init=False, default_factory=dict)
    _vain: list[DeviceWindow] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.shown, self.traffic = self.traffic, by_frames(self.traffic)
        self.span_s = max(self.traffic.window_s, LEAST_SPAN_S)
        self.interface_id = slug(self.traffic.interface)
        self.rows = {row.mac: row for row in self.traffic.devices}
        self._senders = {}
        for row in self.traffic.devices:
            for name, count in row.tx.items():
                self._senders.setdefault(name, []).append((row, count))

    @property
    def is_young(self) -> bool:
        """The epoch has just begun: every MAC is new."""
        return self.now_s - self.first_seen_s < _YOUNG_S

    @property
    def known_share(self) -> float:
        """Share of this window's MAC addresses that were here before; all in an epoch's start."""
        macs = self.traffic.source_macs
        return 1.0 if self.is_young or not macs else max(0.0, 1.0 - self.traffic.new_macs / macs)

    @property
    def wire_subject(self) -> str:
        """The subject of what no device explains."""
        return f"wire-{self.interface_id}"

    def rate(self, count: float) -> float:
        """Turn a count of this window into a rate per second."""
        return count / self.span_s

    def senders(self, name: str, least: float) -> list[tuple[DeviceWindow, float]]:
        """Return who sends at least so many frames/s of a class, and how many."""
        floor = least * self.span_s
        return [
            (row, count / self.span_s)
            for row, count in self._senders.get(name, ())
            if count >= floor
        ]

    @property
    def vain_senders(self) -> list[DeviceWindow]:
        """Who sent SYNs of which most were not answered; worked out once."""
        if self._vain is None:
            self._vain = [row for row, _ in self._senders.get("syn", ()) if is_vain(row)]
        return self._vain

    def received(self, name: str) -> int:
        """Return how many frames of a class all listed devices were sent."""
        known = self._received.get(name)
        if known is None:
            known = sum(row.rx.get(name, 0) for row in self.traffic.devices)
            self._received[name] = known
        return known

    def directed(self, name: str) -> int:
        """Return how many frames of a class listed devices sent to one receiver each."""
        known = self._directed.get(name)
        if known is None:
            rows = [row.tx for row, _ in self._senders.get(name, ())]
            known = sum(max(0, tx[name] - tx.get("broadcast", 0)) for tx in rows)
            self._directed[name] = known
        return known

    def sent_by_others(self, row: DeviceWindow) -> Tally:
        """Return the frames on the wire that a MAC did not send itself."""
        return {
            name: max(0, count - row.tx.get(name, 0)) for name, count in self.traffic.counts.items()
        }

    def best_sender(self, name: str, but: str) -> DeviceWindow | None:
        """Return who sent most of a class, one MAC left aside."""
        ordered = self._ordered.get(name)
        if ordered is None:
            sent = sorted(self._senders.get(name, ()), key=lambda one: -one[1])
            ordered = self._ordered[name] = [row for row, _ in sent[:2]]
        return next((row for row in ordered if row.mac != but), None)

    def usual(self, mac: str | None, name: str) -> float | None:
        """Return the baseline of a device (or of the LAN) for a class, per second.

        It is learned from each port's own windows: of several ports it is that of each.
        """
        usual = self.baseline.of(mac, name, self.watched_s)
        return None if usual is None else usual * self.ports

    def forwards(self, mac: str) -> bool:
        """Return whether a MAC passes on what others send."""
        row = self.rows.get(mac)
        return (row is not None and row.role == "router") or self.inventory.forwards(mac)

    def forged(self, row: DeviceWindow) -> bool | None:
        """Return whether a MAC's source addresses are not its own; None: it forwards."""
        if self.forwards(row.mac) or passes_connections(row):
            return None
        return row.spread.src_ips >= SPOOFS_FROM

    def own_echo(self, mac: str) -> float:
        """Return the echo requests in this window that a prober of ours announced."""
        own = self.inventory.own(mac, self.now_s)
        return 0.0 if own is None else own.echo_per_s * OWN_MARGIN * self.traffic.window_s

    def own_arp(self, mac: str) -> float:
        """Return the ARP frames in this window that a prober of ours announced."""
        own = self.inventory.own(mac, self.now_s)
        return 0.0 if own is None else own.arp_per_s * OWN_MARGIN * self.traffic.window_s

    def opened_by(self, row: DeviceWindow) -> Handshakes:
        """Return the connections a MAC asked for."""
        known = self.inventory.get(row.mac)
        # what nobody has had time to know as a router gets the benefit of completed connections
        forged = bool(self.forged(row)) and self.inventory.is_host(row.mac, self.now_s)
        return handshakes(
            row.tx, row.rx, span_s=self.span_s, sees_replies=self.traffic.sees_replies,
            usual_other=known.other_tx if known else 0.0, forged=forged,
            is_over=self.onset is None,
        )  # fmt: skip

    def asked_of(self, row: DeviceWindow) -> Handshakes:
        """Return the connections that were asked of a MAC."""
        known = self.inventory.get(row.mac)
        return handshakes(
            row.rx, row.tx, span_s=self.span_s, sees_replies=self.traffic.sees_replies,
            usual_other=known.other_rx if known else 0.0, is_over=self.onset is None,
        )  # fmt: skip

    def invented(self, rate: float, floor: float) -> bool:
        """Return whether what no source explains comes from MACs made up for it.

        Many known devices that each try a little (a server is gone, its clients try again) are
        no attack.
        """
        return self.traffic.new_macs >= floor / 2 or rate >= _BEYOND_CLIENTS * floor

    def floor_times(self, name: str) -> float:
        """Return the times of the floor that frames of a class must reach if no source explains it.

        Once where there are no MACs to tell sources apart, or where most of the frames brought a
        MAC of their own: devices that come up together send more than one each.
        """
        alone = 2 * self.traffic.new_macs >= self.traffic.counts.get(name, 0)
        return 1.0 if not self.rows or (alone and not self.is_young) else _NOBODY

    def lost_uplink(self, row: DeviceWindow) -> str | None:
        """Return the router behind which a sender's answers stopped; None: they did not.

        What it asks for was answered until the router passed no answer of anybody any more.
        """
        peer = row.top_peer.get("syn")
        if peer is None or peer.mac is None or not self.forwards(peer.mac):
            return None
        sender, router = self.inventory.get(row.mac), self.inventory.get(peer.mac)
        through = self.rows.get(peer.mac)
        if sender is None or router is None or (through and through.tx.get("syn_ack")):
            return None
        was_answered = sender.answered >= WAS_ANSWERED * self.rate(row.tx.get("syn", 0))
        until_the_end = sender.answered_at_s >= router.syn_acked_s - _LAST_ANSWERS_S > 0
        return peer.mac if was_answered and until_the_end else None

    def was_answered(self, row: DeviceWindow) -> bool:
        """Return whether most of a sender's SYNs were answered until a moment ago."""
        known = self.inventory.get(row.mac)
        return (
            known is not None
            and self.now_s - known.answered_at_s <= _MOMENT_S
            and known.answered >= WAS_ANSWERED * self.rate(row.tx.get("syn", 0))
        )

    def omitted(self, name: str) -> float:
        """Return the frames/s of a class from MACs that the window does not list."""
        return self.rate(self.traffic.omitted.classes.get(name, 0))

    def omitted_times(self, name: str, nobody: float = _NOBODY) -> float:
        """Return the times of the floor that what is omitted must reach to be reported.

        Once where those MACs send several frames of the class each: clients of one LAN do not.
        """
        each = self.omitted(name) / max(self.traffic.omitted.devices, 1)
        return 1.0 if each >= STRONG_SOURCE.get(name, _STRONG) else nobody

    def source(self, row: DeviceWindow, packets: float) -> Peer:
        """Describe a sender."""
        return Peer(mac=row.mac, ip=self.inventory.ip(row.mac), packets=int(packets))

    def per_destination(self, row: DeviceWindow, name: str) -> float:
        """Return the frames the busiest destination address got, as far as vote and spread tell.

        With ``n`` addresses the busiest has at least the mean. The vote's winner has what the vote
        says, if it is a host: behind a router's MAC may be many addresses, and only what a few
        frames to each other one leave over is sure. Without a winner nobody has more than half.
        Our own probes and their targets are left out.
        """
        peer = row.top_peer.get(name)
        most = 0.0 if peer is None else float(toward(row, name))
        own = self.own_echo(row.mac) if name == "icmp_echo" else 0.0
        ours = self.inventory.own(row.mac, self.now_s) if own else None
        sent = max(0.0, row.tx.get(name, 0) - own)
        others = max(0.0, row.spread.dst_ips - min(own, ours.targets if ours else 0) - 1)
        if peer is None or peer.mac is None or not self._is_host(peer.mac):
            most = min(most, sent - _LOOKS * others)
        return max(most, sent / (others + 1))

    def _is_host(self, mac: str) -> bool:
        return not self.forwards(mac) and self.inventory.is_host(mac, self.now_s)

    def groups(self, name: str) -> list[Group]:
        """Return the destinations that three or more strong sources have as their busiest.

        Sources that forward are left out: behind them is nobody in particular. A destination
        behind a router is told apart by its address.
        """
        by_peer: dict[tuple[str, str | None], list[DeviceWindow]] = {}
        for row, _ in self.senders(name, STRONG_SOURCE[name]):
            peer = row.top_peer.get(name)
            if peer is not None and peer.mac is not None and not self.forwards(row.mac):
                by_peer.setdefault((peer.mac, peer.ip), []).append(row)
        found = []
        for rows in by_peer.values():
            counts = sorted((toward(row, name) for row in rows), reverse=True)
            if len(rows) >= MIN_SOURCES and counts[0] < sum(counts) / 2:
                ordered = sorted(rows, key=lambda row: (-toward(row, name), row.mac))
                found.append(Group(ordered[0].top_peer[name], tuple(ordered)))
        return found


def toward(row: DeviceWindow, name: str) -> int:
    """Return how many frames of a class went to the sender's busiest destination."""
    peer = row.top_peer.get(name)
    sent = row.tx.get(name, 0)
    return sent if peer is None or peer.packets is None else min(sent, peer.packets)


def joined(spreads: list[Spread]) -> Spread:
    """Add up what several sources used; destinations they share count once at most."""
    return Spread(
        src_ips=sum(one.src_ips for one in spreads),
        dst_ips=max((one.dst_ips for one in spreads), default=0),
        dst_ports=max((one.dst_ports for one in spreads), default=0),
    )
