"""Many values made one, and values laid upon others, as each column's rule says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from monitorpi_history.items import MAX_VALUE, combine

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

    from monitorpi_history.items import Rule

SlotsT = TypeVar("SlotsT", "array[int]", "list[int]")


def fold(values: Sequence[int], width: int, rule: Rule) -> list[int]:
    """Make one value of each ``width`` of them; of the least, 0 is no value."""
    make: Callable[[Sequence[int]], int]
    match rule:
        case "sum":
            make = _sum
        case "most":
            make = max
        case "least":
            make = _least
    return [make(values[at : at + width]) for at in range(0, len(values), width)]


def _sum(values: Sequence[int]) -> int:
    return min(sum(values), MAX_VALUE)


def _least(values: Sequence[int]) -> int:
    return min((value for value in values if value), default=0)


def lay(slots: SlotsT, at: int, values: Sequence[int], rule: Rule) -> SlotsT:
    """Combine values into slots, from one slot on; returns the slots."""
    for value in values:
        if value:
            slots[at] = combine(rule, slots[at], value) if slots[at] else value
        at += 1
    return slots
