"""Rollups: rows of a minute for whoever looks at several sites."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.corebridge import ENTRIES, START, Bridge

from monitorpi_cloud_bridge.rollups import RollupPublisher
from monitorpi_cloud_bridge.rows import RowBuilder
from monitorpi_common.messages import Publication, Rollup
from monitorpi_common.service import Tick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINUTE = START // 60 * 60


@pytest.fixture
def close() -> Iterator[ExitStack]:
    """What is to be closed in the end."""
    with ExitStack() as stack:
        yield stack


def test_a_minute_is_published_once_it_is_over_and_the_clock_is_set(
    tmp_path: Path, close: ExitStack
) -> None:
    """Two seconds later: messages may be late. Beside rows, of the same values, under labels."""
    rollups = RollupPublisher(RowBuilder(ENTRIES, 60), {("traffic", 7): "SYN", ("traffic", 4): ""})
    one = Bridge(tmp_path / "outbox.sqlite", rollups=rollups)
    close.callback(one.outbox.close)

    def tick(at_s: float, *, synced: bool = True) -> list[Publication]:
        found = one.core.handle(Tick(datetime.fromtimestamp(at_s, UTC), at_s, synced))
        return [one for one in found if isinstance(one, Publication)]

    tick(MINUTE + 1)
    one.window(MINUTE + 2, 5, 5, totals={"syn": 5, "arp": 3}, counts={"syn": 5, "arp": 3})
    one.window(MINUTE + 59, 2, 7, totals={"syn": 7, "arp": 3})
    one.window(MINUTE + 61, 4, 11, totals={"syn": 11, "arp": 9})

    assert tick(MINUTE + 61.9) == []
    assert tick(MINUTE + 62, synced=False) == []
    [first] = tick(MINUTE + 62)
    assert tick(MINUTE + 63) == []
    [second] = tick(MINUTE + 122)

    others = ("field1", "field2", "field3", "field5", "field6", "field8")
    assert first == Publication("traffic", Rollup(
        at=datetime.fromtimestamp(MINUTE + 60, UTC), interval_s=60,
        values={"SYN": 7, "field4": 3, **dict.fromkeys(others, 0)},
    ))  # fmt: skip
    assert isinstance(second.message, Rollup)
    assert second.message.at == datetime.fromtimestamp(MINUTE + 120, UTC)
    assert (second.message.values["SYN"], second.message.values["field4"]) == (4, 6)
    assert sum(one.syns().values()) == 11
