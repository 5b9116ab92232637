"""What really happened in the simulated home: the facts that alerts are judged by. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["incident", "once", "nothing"]
"""``incident``: must be reported. ``once``: an owner wants to hear of it, once. ``nothing``: of
everyday life nobody wants to be notified."""

ANY = "*"
"""Every subject."""


@dataclass(slots=True)
class Fact:
    """Something that happened, when, and to whom."""

    name: str
    kind: Kind
    since: float
    until: float
    subjects: frozenset[str]
    """The last parts of keys of alerts that tell of it: MACs, addresses, ``wire-eth0``; or
    :data:`ANY`."""
    rules: frozenset[str] = frozenset()
    """Of an incident: the rules that may tell of it; of others: empty, any rule."""
    within_s: float = 60.0
    """Of an incident: told of later than this it counts as missed."""
    tail_s: float = 120.0
    """What follows within this time may still come from it."""

    def touches(self, subject: str, at: float) -> bool:
        """Return whether an alert may come from this."""
        named = ANY in self.subjects or any(
            subject == one or subject.endswith(f"-{one}") for one in self.subjects
        )
        return named and self.since - 1 <= at <= self.until + self.tail_s


@dataclass(slots=True)
class Truth:
    """All facts of one week, in the order in which they began."""

    facts: list[Fact] = field(default_factory=list)

    def tell(self, fact: Fact) -> Fact:
        """Note a fact; its end may be set later."""
        self.facts.append(fact)
        return fact

    def behind(self, subject: str, at: float) -> Fact | None:
        """Return what an alert comes from: an incident first, then what began last."""
        found = [fact for fact in self.facts if fact.touches(subject, at)]
        order = {"incident": 2, "once": 1, "nothing": 0}
        return max(found, key=lambda fact: (order[fact.kind], fact.since), default=None)
