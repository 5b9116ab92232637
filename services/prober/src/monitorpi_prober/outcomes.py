"""What became of the requests to each target, in rounds and beside them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from monitorpi_prober.items import Echoes, RoundDone
from monitorpi_prober.results import joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from monitorpi_prober.schedule import ProbeTarget


class Outcome(NamedTuple):
    """What a round has to report of one target."""

    target: ProbeTarget
    echoes: Echoes
    planned: int
    """Requests that were meant to be sent."""
    decides: bool
    """The target's state follows from it."""


@dataclass(slots=True)
class Outcomes:
    """Requests outside of rounds since the last round, and the last trouble of each target."""

    _attempted: dict[str, Echoes] = field(default_factory=dict)
    _trouble: dict[str, Echoes] = field(default_factory=dict)

    def attempt(self, echoes: Echoes) -> Echoes:
        """Add a request outside of a round; returns all of its target since the last round."""
        self._attempted[echoes.key] = joined(self._attempted.get(echoes.key), echoes)
        return self._attempted[echoes.key]

    def note(self, echoes: Echoes) -> bool:
        """Remember what is wrong with a target; True: it does not answer."""
        if echoes.answers:
            self._trouble.pop(echoes.key, None)
            return False
        self._trouble[echoes.key] = echoes
        return True

    def is_in_trouble(self, key: str) -> bool:
        """Return whether a target did not answer when it was asked last."""
        return key in self._trouble

    def keep(self, keys: Collection[str]) -> None:
        """Forget all other targets."""
        for table in (self._attempted, self._trouble):
            for key in table.keys() - keys:
                del table[key]

    def of_round(
        self,
        done: RoundDone,
        mine: Mapping[str, ProbeTarget],
        published: Collection[str],
        interval_s: float,
    ) -> Iterator[Outcome]:
        """Go through what a round reports: its own targets, then those of its interval beside it.

        Args:
            done: the round.
            mine: this replica's targets, by key.
            published: keys of the targets that were reported before.
            interval_s: of the targets that have none of their own.

        """
        asked = {echoes.key for echoes in done.echoes}
        for echoes in done.echoes:
            target = mine.get(echoes.key)
            if target is not None:  # else it is no longer ours
                planned = len(echoes.times_ms) + echoes.unsent
                whole = joined(self._attempted.pop(target.key, None), echoes)
                yield Outcome(target, whole, planned, decides=True)
        for key, target in mine.items():
            if key not in asked and (target.interval_s or interval_s) == done.group.wanted_s:
                yield from self._beside(target, done.group.probes, is_known=key in published)

    def _beside(self, target: ProbeTarget, probes: int, *, is_known: bool) -> Iterator[Outcome]:
        """Report a target that was in no round: quiet, or without an address."""
        key = target.key
        echoes = self._attempted.pop(key, None)
        if echoes is None and (trouble := self._trouble.get(key)) is not None:
            echoes = Echoes(key, (), trouble.error, trouble.cause)
        if target.ip is None:
            yield Outcome(target, Echoes(key, (), target.error, target.cause), 0, decides=False)
        elif echoes is not None or is_known:
            yield Outcome(target, echoes or Echoes(key, ()), probes, decides=False)
