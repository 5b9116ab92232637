"""Hours of a history, written as they are kept, and questions to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.history.world import NOON

from monitorpi_history.items import HOUR_S, Batch, Series, Stretch

if TYPE_CHECKING:
    from tests.history.world import World

BEGIN: Final = int(NOON.timestamp()) // HOUR_S
"""The hour of noon."""


def lines(world: World, table: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for lines of JSON, up to whenever."""
    asked = {"to": "2027-01-01"} | asked
    return [json.loads(line) for line in world.ask(table, format="jsonl", **asked).splitlines()]


def save(world: World, hour: int, *series: Series, slots: int = 6, value: int = 7) -> None:
    """Write an hour in which each of the series had packets, and the wire was covered."""
    wire = {Series("wire", "eth0"): {"_covered_ms": [10_000] * slots, "packets": [value] * slots}}
    theirs = {one: {"tx_packets": [value] * slots} for one in series}
    assert world.archive.save(Batch([Stretch(hour, 0, slots, wire | theirs)])) is None


def pack(world: World, until_s: float) -> None:
    """Let everything be folded that is over."""
    while world.archive.work(until_s, is_set=True):
        pass
