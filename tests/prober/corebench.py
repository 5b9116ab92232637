"""The core of a prober with simulated time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.drive import drive, messages

from monitorpi_common.messages import (
    Device,
    Probe,
    Target,
)
from monitorpi_prober.core import ProberCore
from monitorpi_prober.items import (
    Echoes,
    Exit,
    ProbeAttempt,
    RoundDone,
)
from monitorpi_prober.settings import ProberSettings

if TYPE_CHECKING:
    from monitorpi_prober.schedule import ProbeGroup, ProbePlan

T0 = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
ADDRESS = "192.0.2.1"
OTHER = "192.0.2.2"
MAC = "b8:27:eb:00:00:07"
OWN = Exit("192.0.2.99", "b8:27:eb:00:00:63")


class Prober:
    """A core with what it ordered, and a clock of its own."""

    def __init__(self, *addresses: str, instance: str = "main", **settings: Any) -> None:
        targets = [{"address": address} for address in addresses]
        self.plans: list[ProbePlan] = []
        self.extra: list[ProbeGroup | None] = []
        self.woken: list[str] = []
        self.at = T0
        self.core = ProberCore(
            ProberSettings(targets=settings.pop("targets", targets), **settings),
            "epoch",
            instance,
            self.plans.append,
            self.extra.append,
            vendor_of={MAC: "Raspberry Pi"}.get,
            own_macs=frozenset({OWN.mac}),
            live=False,
            wake=self.woken.extend,
        )

    @property
    def plan(self) -> ProbePlan:
        """The plan the pinger goes by now."""
        return self.plans[-1]

    def round(self, *times: float | None, seconds: int = 10) -> list[Any]:
        """Let every target answer alike for one round; returns what was published."""
        self.at += timedelta(seconds=seconds)
        plan, published = self.plan, []
        for one in plan.quiet:
            if one.ip is not None:
                published += drive(self.core, [self.attempt(one.key, *times)])
        for group in plan.groups:
            echoes = tuple(Echoes(one.key, times if one.ip else ()) for one in group.targets)
            done = RoundDone(self.at, self.at, plan, group, echoes, (0.01, 0.02))
            published += drive(self.core, [done])
        return published

    def attempt(self, key: str, *times: float | None, **more: Any) -> ProbeAttempt:
        """Build the outcome of requests outside of a round."""
        return ProbeAttempt(self.at, Echoes(key, times, **more), has_neighbour=True)

    def state(self, *times: float | None) -> str:
        """Let a round pass and return the first target's state in it."""
        return (
            next(m for m in messages(self.round(*times)) if isinstance(m, Probe)).targets[0].state
        )


def device(*ips: str, mac: str = MAC, **more: Any) -> Device:
    """Build an announced device."""
    return Device(mac=mac, ips=list(ips), first_seen=T0, last_seen=T0, present=True, **more)


def latched(state: str, since: datetime = T0) -> Target:
    """Build a target as it stands in the retained messages."""
    probe = Prober(ADDRESS).round(1.0)
    target = next(m for m in messages(probe) if isinstance(m, Target))
    return target.model_copy(update={"state": state, "since": since})
