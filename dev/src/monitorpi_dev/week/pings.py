"""The prober's side of the simulated home: rounds of probes, their frames, sweeps of the LAN.

Theory of operation. The real core makes the plan and judges the answers; only the sending and the
waiting is modelled. Each target is asked as often as the plan says, and every round is handed
over whole: what a round says of one target depends on how the others fared. Quiet targets are
asked by the prober's own schedule, looked at once a round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_dev.week.home import INTERNET, PI, PROBES, SUBNET
from monitorpi_dev.week.stack import moment
from monitorpi_dev.week.wire import FrameStream
from monitorpi_lab import discovery, frames
from monitorpi_prober.items import (
    NO_NEIGHBOUR,
    Echoes,
    Found,
    KnownAddress,
    ProbeAttempt,
    RoundDone,
    Sweeping,
)
from monitorpi_prober.quiet import QuietTargets

if TYPE_CHECKING:
    from monitorpi_dev.week.home import Home, Thing
    from monitorpi_dev.week.stack import SimulatedStack
    from monitorpi_dev.week.wire import Process
    from monitorpi_prober.schedule import ProbeGroup, ProbePlan, ProbeTarget

ROUND_S: Final = 10.0
_SWEEP_EACH_S: Final = 1800.0
_SWEEP_PER_S: Final = 20
_ASKED_PER_ROUND: Final = 60
"""Quiet targets, at most: what the limit on ARP requests allows."""


class SimulatedPinger:
    """Asks every target, as the plan says."""

    def __init__(self, home: Home, stack: SimulatedStack) -> None:
        self._home = home
        self._stack = stack
        self._due: dict[float, float] = {}
        self._frames: dict[tuple[str, str, bool], bytes] = {}
        self._plan: object = None
        self._quiet = QuietTargets()

    def run(self) -> Process:
        """Ask, round after round."""
        wire, stack = self._home.wire, self._stack
        while True:
            yield ROUND_S
            plan = stack.plan
            if not wire.powered or plan is None:
                wire.streams.pop("probes", None)
                continue
            if plan is not self._plan:
                self._plan = plan
                stack.take_plan(wire.now)
                quiet = [one for one in plan.quiet if one.ip is not None]
                self._quiet.set({one.key: plan.first_pause_s(one) for one in quiet}, wire.now)
            held = self._home.holders()
            wire.streams["probes"] = self._traffic(plan.groups, held)
            self._ask_quiet(plan, held)
            for group in plan.groups:
                if self._due.get(group.wanted_s, 0.0) <= wire.now + 1:
                    self._due[group.wanted_s] = wire.now + group.interval_s
                    self._round(plan, group, held)

    def _round(self, plan: ProbePlan, group: ProbeGroup, held: dict[str, Thing]) -> None:
        end = self._home.wire.now
        echoes = [
            Echoes(one.key, self._home.round_trips(one.address, held)[: group.probes])
            for one in group.targets
        ]
        start, ended = moment(end - min(group.interval_s, ROUND_S)), moment(end)
        self._stack.take_round(RoundDone(start, ended, plan, group, tuple(echoes)))

    def _ask_quiet(self, plan: ProbePlan, held: dict[str, Thing]) -> None:
        """Make one request to each quiet target that is due."""
        now = self._home.wire.now
        for seen in self._stack.woken:
            self._quiet.wake(seen)
        self._stack.woken.clear()
        targets = {one.key: one for one in plan.quiet}
        for _ in range(_ASKED_PER_ROUND):
            key = self._quiet.take(now)
            if key is None:
                return
            echoes = self._attempt(targets[key], held)
            self._quiet.record(key, now, answered=echoes.answers)
            there = echoes.cause != NO_NEIGHBOUR
            self._stack.take_attempt(ProbeAttempt(moment(now), echoes, has_neighbour=there))

    def _attempt(self, target: ProbeTarget, held: dict[str, Thing]) -> Echoes:
        address = target.address
        thing = held.get(address)
        if address != INTERNET and (thing is None or not self._home.is_reachable(thing)):
            self._ask(address)
            text = "nobody answers ARP for this address"
            return Echoes(target.key, (), text, NO_NEIGHBOUR, unsent=1)
        return Echoes(target.key, self._home.round_trips(address, held)[:1])

    def _traffic(self, groups: tuple[ProbeGroup, ...], held: dict[str, Thing]) -> FrameStream:
        """Return what asking and answering puts on the wire each second."""
        sent: list[bytes] = []
        for group in groups:
            for one in group.targets:
                thing = held.get(one.address)
                there = thing is not None and self._home.is_reachable(thing)
                if one.address == INTERNET:
                    sent.append(self._echo(self._home.router, INTERNET))
                elif thing is not None and there:
                    sent.append(self._echo(thing, one.address))
                    if thing.awake and thing.pings:
                        sent.append(self._echo(thing, one.address, reply=True))
        return FrameStream(tuple(sent), PROBES / ROUND_S)

    def _ask(self, address: str) -> None:
        """Let the kernel ask for a neighbour that does not answer, by ARP."""
        pi = self._home.things[PI]
        if ":" not in address and pi.ip:
            self._home.wire.send(frames.arp_request(pi.mac, pi.ip, address), times=3)

    def _echo(self, thing: Thing, address: str, *, reply: bool = False) -> bytes:
        key = (thing.wire_mac, address, reply)
        known = self._frames.get(key)
        if known is None:
            pi = self._home.things[PI]
            known = self._frames[key] = _echo(pi, thing.wire_mac, address, reply=reply)
        return known

    def sweeps(self) -> Process:
        """Ask each address of the LAN by ARP, every half hour."""
        home, stack, wire = self._home, self._stack, self._home.wire
        pi = home.things[PI]
        base = SUBNET.rpartition(".")[0]
        while True:
            if wire.powered:
                stack.sweep(Sweeping(moment(wire.now), stack.own, float(_SWEEP_PER_S)))
                held = home.holders()
                found = []
                for first in range(1, 255, _SWEEP_PER_S):
                    for last in range(first, min(first + _SWEEP_PER_S, 255)):
                        address = f"{base}.{last}"
                        wire.send(frames.arp_request(pi.mac, pi.ip or "", address))
                        thing = held.get(address)
                        if thing is not None and thing.awake and home.is_reachable(thing):
                            home.claim(thing)
                            if thing.name != PI:
                                found.append(
                                    KnownAddress(address, thing.wire_mac, interface="eth0")
                                )
                    yield 1.0
                if wire.powered:
                    stack.sweep(Found("eth0", tuple(found)))
                    stack.sweep(Sweeping(moment(wire.now), stack.own, 0.0))
            yield _SWEEP_EACH_S


def _echo(pi: Thing, mac: str, address: str, *, reply: bool) -> bytes:
    if ":" in address:
        own = discovery.link_local(pi.mac)
        macs, ips = ((mac, pi.mac), (address, own)) if reply else ((pi.mac, mac), (own, address))
        return discovery.echo6(macs, ips, reply=reply)
    if reply:
        return discovery.echo_reply((mac, pi.mac), (address, pi.ip or ""), 7)
    return frames.icmp_echo((pi.mac, mac), (pi.ip or "", address), 7, 1)
