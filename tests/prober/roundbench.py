"""A pinger whose loop is turned by hand: no wire, no waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.prober.line import IP, OTHER, Rig, reply
from tests.prober.partsmade import target

from monitorpi_prober.items import Exit
from monitorpi_prober.schedule import ProbeGroup, ProbePlan
from monitorpi_prober.sources.neighbours import Hop, Neighbours
from monitorpi_prober.sources.pinger import Pinger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_prober.schedule import ProbeTarget

A, B = target("a", ip=IP), target("b", ip=OTHER)
EXIT = Exit("192.0.2.99", "02:00:00:00:00:63")


class Known(Neighbours):
    """A neighbour table that notes which next hops it was asked for."""

    __slots__ = ("asked", "there", "through")

    def __init__(self) -> None:
        super().__init__()
        self.there: dict[str, Hop] = {}
        self.asked: list[list[str]] = []
        self.through: list[str | None] = []

    def hops(self, ips: Iterable[str], interface: str | None = None) -> dict[str, Hop]:
        """Return those that are there."""
        wanted = sorted(ips)
        self.asked.append(wanted)
        self.through.append(interface)
        return {ip: self.there[ip] for ip in wanted if ip in self.there}


class Bench:
    """A pinger whose loop is turned by hand."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.wire = self.rig.wire
        self.wire.links = {4: self.rig.link}
        self.known = self.wire.neighbours = Known()
        self.pinger = Pinger(wire=self.wire)
        self.items: list[Any] = []
        self.looked: list[tuple[str | None, dict[str, Exit]]] = []
        """By which source exits were looked for, and those that were known."""
        self.now = 1000.0

    def plan(self, *groups: ProbeGroup, **more: Any) -> ProbePlan:
        """Have the pinger follow a plan."""
        plan = ProbePlan(groups, **more)
        self.pinger.follow(plan)
        return plan

    def turn(self, seconds: float = 0.0) -> None:
        """Let some time pass, then do what the loop does but for waiting."""
        self.now += seconds
        pinger, now = self.pinger, self.now
        if pinger._has_news or now - pinger._ways_at > pinger._ways_pause_s:
            pinger._take_plan(now, self.items.append)
        pinger._begin_rounds(now)
        pinger._send_due(now)
        pinger._finish(now, self.items.append)

    def answer(self) -> None:
        """Answer all requests so far."""
        for packet, _, to in self.rig.line.sent:
            self.rig.hear(reply(packet), to[0])

    def of(self, kind: type) -> list[Any]:
        """Return what was reported of a kind."""
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def asked(self) -> list[str]:
        """The addresses that were asked."""
        return [to[0] for _, _, to in self.rig.line.sent]

    def exits_of(
        self, plan: ProbePlan, source: str | None, known: dict[str, Exit]
    ) -> dict[str, Exit]:
        """Return the one exit of this machine."""
        self.looked.append((source, dict(known)))
        known[IP] = EXIT
        return {one.key: EXIT for one in plan.targets}


def group(*targets: ProbeTarget, probes: int = 2, seconds: float = 1.0) -> ProbeGroup:
    """Return a group."""
    return ProbeGroup(seconds, probes, targets, seconds)
