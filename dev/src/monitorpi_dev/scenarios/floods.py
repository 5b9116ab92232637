"""Floods of every form, from half the floor up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_dev.scenarios.lan import (
    SMALL,
    Activity,
    ScenarioHost,
    Second,
    chance,
    during,
    per_second,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SYN_FLOOR: Final = 100.0
ICMP_FLOOR: Final = 50.0
_MOST_DRAWS: Final = 2000


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
                            lan.server.mac, attacker.mac, count, SMALL, "ipv4", "tcp", "syn_ack"
                        )
                else:
                    second.echo(source, lan.server, answered=answered, count=count)

    return during(act, since, 10**9)


def shares(frames: int) -> Iterator[int]:
    """Share frames out between at most so many draws of an address as any judgement looks at."""
    draws = min(frames, _MOST_DRAWS)
    for draw in range(draws):
        yield frames * (draw + 1) // draws - frames * draw // draws


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
