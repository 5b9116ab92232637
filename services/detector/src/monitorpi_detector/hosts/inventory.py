"""What is known of the LAN's devices beside their counts: role, addresses, probes, our own MACs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded
from monitorpi_detector.hosts.slowscans import SlowScans, is_vain
from monitorpi_detector.hosts.sweeps import Sweeps

if TYPE_CHECKING:
    from monitorpi_common.messages import Device, DeviceWindow, Probe, ProbeResult, Traffic

MAX_DEVICES: Final = 4096
FORWARDS_S: Final = 3600.0
"""Connections that ended in order behind a MAC show for so long that it forwards."""
SPOOFS_FROM: Final = 8
"""Source addresses in one second behind one MAC that does not forward: more than any host has."""
KNOWN_AFTER_S: Final = 60.0
"""A MAC watched for so long without forwarding is a host."""
PROBE_VALID_S: Final = 120.0
"""A prober's announcement holds as long as its message lives."""
OWN_MARGIN: Final = 1.2
"""Own probes count as ours up to the announced rate and 20 %; the rest is somebody else's."""
ERRORS_WITHIN_S: Final = 5.0
"""An ICMP error may come so long after what it answers: a router tries ARP for three seconds."""
FAST_ARP: Final = 100.0
"""ARP frames/s of one MAC that are judged as a storm first, as long as they last."""
_STILL_ASKED: Final = 0.75
"""Share of what was asked and not answered that is still waited for a window later."""
_MAY_BE_STORM_S: Final = 3.0
_MAX_OWN: Final = 32


@dataclass(slots=True)
class Known:
    """One MAC address."""

    since_s: float
    sent_at_s: float = -math.inf
    """End of the last window in which it sent a frame."""
    role: str = "unknown"
    ips: tuple[str, ...] = ()
    serves_dhcp: bool = False
    passed_s: float = -math.inf
    """When connections of many addresses that are not its own came to a good end behind it."""
    other_tx: float = 0.0
    """TCP frames/s sent beside SYN, SYN-ACK and RST while it opened few connections."""
    other_rx: float = 0.0
    answered: float = 0.0
    """SYN-ACKs/s it was sent of late, while there were any."""
    answered_at_s: float = -math.inf
    syn_acked_s: float = -math.inf
    """End of the last window in which it sent SYN-ACKs: of a router, that it passed answers on."""
    asked: float = 0.0
    """Requests it was sent of late that no ICMP of it has answered."""
    asked_at_s: float = -math.inf
    arp_fast_s: float = -math.inf
    """End of the last window with so much ARP of it that it may be a storm."""
    probe: ProbeResult | None = None
    probed_until_s: float = -math.inf
    """When the round of that result ended."""


@dataclass(frozen=True, slots=True)
class Own:
    """What probers of ours said they send from one MAC."""

    echo_per_s: float
    arp_per_s: float
    until_s: float
    targets: int = 0


class HostInventory:
    """The devices as far as the rules need them; unknown senders cannot push them out."""

    def __init__(self) -> None:
        self._known: Bounded[Known] = Bounded(MAX_DEVICES)
        self._now_s = 0.0
        self.slow_scans = SlowScans()
        self.sweeps = Sweeps()
        self._own: dict[str, dict[str, Own]] = {}
        """By MAC, then prober: replicas on one machine send from the same MAC."""

    def __len__(self) -> int:
        return len(self._known)

    def get(self, mac: str) -> Known | None:
        """Return what is known of a MAC, or None."""
        return self._known.get(mac)

    def _entry(self, mac: str, now_s: float) -> Known | None:
        known = self._known.get(mac) or Known(now_s)
        return known if self._known.put(mac, known, now_s) else None

    def forwards(self, mac: str) -> bool:
        """Return whether a MAC passes on what others send.

        By what others did of late, never by what it says or sends alone: capture saw them reach
        addresses beyond this wire through it, or their connections ended in order behind it.
        """
        known = self._known.get(mac)
        return known is not None and (
            known.role == "router" or self._now_s - known.passed_s < FORWARDS_S
        )

    def sweepers(self, now_s: float) -> list[tuple[str, int]]:
        """Return hosts that ask for addresses which nobody has, and for how many.

        Routers look for whoever they are sent packets for, our own probers announce their sweeps,
        and what is fast may be a storm.
        """
        return [
            (mac, addresses)
            for mac, addresses in self.sweeps.going_on(now_s)
            if not self.forwards(mac)
            and self.own(mac, now_s) is None
            and ((known := self.get(mac)) is None or now_s - known.arp_fast_s > _MAY_BE_STORM_S)
        ]

    def is_host(self, mac: str, now_s: float) -> bool:
        """Return whether a MAC is known not to forward."""
        known = self._known.get(mac)
        if known is None or self.forwards(mac):
            return False
        # that it has an address of its own says nothing: a router has one too
        return now_s - known.since_s >= KNOWN_AFTER_S

    def ip(self, mac: str) -> str | None:
        """Return the first known address of a MAC."""
        known = self._known.get(mac)
        return known.ips[0] if known is not None and known.ips else None

    def own(self, mac: str, now_s: float) -> Own | None:
        """Return what our probers announced for this MAC, as long as each holds."""
        reported = self._own.get(mac)
        if reported is None:
            return None
        valid = [own for own in reported.values() if now_s < own.until_s]
        if not valid:
            return None
        return Own(
            sum(own.echo_per_s for own in valid),
            sum(own.arp_per_s for own in valid),
            max(own.until_s for own in valid),
            sum(own.targets for own in valid),
        )

    @property
    def own_macs(self) -> list[str]:
        """The MAC addresses that probers of ours announced."""
        return list(self._own)

    def asked(self, mac: str, now_s: float) -> float:
        """Return the requests a MAC was sent in the last windows that it may answer only now."""
        known = self._known.get(mac)
        fresh = known is not None and now_s - known.asked_at_s <= ERRORS_WITHIN_S
        return known.asked if known is not None and fresh else 0.0

    # --- learning ---------------------------------------------------------------------------

    def see_device(self, device: Device) -> None:
        """Take what capture says of a device."""
        known = self._entry(device.mac, device.last_seen.timestamp())
        if known is not None:
            known.role = device.role
            known.sent_at_s = max(known.sent_at_s, device.last_seen.timestamp())
            known.serves_dhcp = device.dhcp_server
            known.ips = tuple(device.ips)

    def see_probe(self, prober: str, probe: Probe, now_s: float) -> None:
        """Take a round of a prober: what it sends, and how each device answered.

        A round may be of some targets only, or of none: then it announces.
        """
        targets = sum(target.sent > 0 for target in probe.targets)
        for source in probe.sources or [probe.source]:
            if source.mac is None:
                continue
            reported = self._own.get(source.mac, {})
            known = reported.get(prober)
            if known is None and sum(map(len, self._own.values())) >= _MAX_OWN:
                continue
            reported[prober] = Own(
                source.echo_per_s,
                source.arp_per_s,
                now_s + PROBE_VALID_S,
                max(targets, known.targets if known else 0),
            )
            self._own[source.mac] = reported
        valid = {
            mac: {name: own for name, own in reported.items() if now_s < own.until_s}
            for mac, reported in self._own.items()
        }
        self._own = {mac: reported for mac, reported in valid.items() if reported}
        for target in probe.targets:
            if target.mac is not None and (device := self._known.get(target.mac)) is not None:
                device.probe, device.probed_until_s = target, now_s

    def see_window(self, traffic: Traffic, now_s: float, busy: float) -> None:
        """Learn who forwards and how much TCP is usual beside connections.

        Args:
            traffic: the window.
            now_s: its end.
            busy: SYN/s from which a device's window is no example of the usual.

        """
        span_s = max(traffic.window_s, 1.0)
        self._now_s = now_s
        sees_replies = traffic.sees_replies is not False
        for row in traffic.devices:
            known = self._entry(row.mac, now_s)
            if known is None:
                continue
            if row.role != "unknown":
                known.role = row.role
            if row.tx.get("packets"):
                known.sent_at_s = now_s
            if row.tx.get("arp", 0) >= FAST_ARP * span_s:
                known.arp_fast_s = now_s
            if passes_connections(row, len(known.ips)):
                known.passed_s = now_s
            tx, rx = row.tx, row.rx
            answered = other_icmp(tx)
            asked = rx.get("icmp_echo", 0) + rx.get("udp", 0) + rx.get("syn", 0)
            if asked or answered:
                fresh = now_s - known.asked_at_s <= ERRORS_WITHIN_S
                waiting = _STILL_ASKED * known.asked * fresh + asked - answered
                known.asked, known.asked_at_s = max(0.0, waiting), now_s
            self._learn_answers(known, row, span_s, now_s)
            self._learn_other(known, row, span_s, busy)
            if sees_replies and (row.top_peer or row.spread.a_port is not None) and is_vain(row):
                self.slow_scans.see(row, now_s, self.forwards)

    @staticmethod
    def _learn_answers(known: Known, row: DeviceWindow, span_s: float, now_s: float) -> None:
        """Average over some ten seconds in which there were any; silence leaves it as it was."""
        if answers := row.rx.get("syn_ack"):
            known.answered += 0.1 * (answers / span_s - known.answered)
            known.answered_at_s = now_s
        if row.tx.get("syn_ack"):
            known.syn_acked_s = now_s

    @staticmethod
    def _learn_other(known: Known, row: DeviceWindow, span_s: float, busy: float) -> None:
        """Average over some ten seconds, so that it is what went on just before."""
        if not (known.other_tx or known.other_rx or "tcp" in row.tx or "tcp" in row.rx):
            return
        if row.tx.get("syn", 0) / span_s < busy:
            known.other_tx += 0.1 * (other_tcp(row.tx) / span_s - known.other_tx)
        if row.rx.get("syn", 0) / span_s < busy:
            known.other_rx += 0.1 * (other_tcp(row.rx) / span_s - known.other_rx)


def passes_connections(row: DeviceWindow, own: int = 1) -> bool:
    """Return whether connections of many source addresses end in order behind a MAC.

    Nobody can end a connection for a forged address: the answers never come back. So answers to
    most of them must be here, and addresses of its own do not count.
    """
    syn = row.tx.get("syn", 0)
    return (
        row.spread.src_ips >= SPOOFS_FROM + max(0, own - 1)
        and 2 * row.tx.get("fin", 0) >= syn > 0
        and 2 * row.rx.get("syn_ack", 0) >= syn
    )


def other_icmp(tally: dict[str, int]) -> int:
    """Return the ICMP frames that are neither echo requests nor multicast listeners' reports."""
    if "icmp" not in tally:
        return 0
    return max(0, tally.get("icmp", 0) - tally.get("icmp_echo", 0) - tally.get("igmp", 0))


def other_tcp(tally: dict[str, int]) -> int:
    """Return the TCP frames that carry a connection on: neither SYN, SYN-ACK nor RST."""
    opening = tally.get("syn", 0) + tally.get("syn_ack", 0) + tally.get("rst", 0)
    return max(0, tally.get("tcp", 0) - opening)
