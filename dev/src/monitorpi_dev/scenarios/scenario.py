"""Scenarios: activities on a LAN, and the alert they must lead to, if any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitorpi_dev.scenarios.benign import BENIGN, office
from monitorpi_dev.scenarios.floods import FLOODS, ScenarioFlood, flood
from monitorpi_dev.scenarios.lan import Activity, Lan, Second, during

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import Probe, Traffic


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
