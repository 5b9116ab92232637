"""Rows are written and sent in groups: an SD card wears by how often it is written."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.card import Card
from tests.cloud_bridge.cloudworld import DESTINATION, World
from tests.cloud_bridge.corebridge import START, Bridge

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import INTERVAL_S, WRITE_S
from monitorpi_common.messages import UploadNow
from monitorpi_common.service import CommandReceived

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import JsonValue

GROUPS = 120
DAY_S = 86_400
FIELDS = {f"field{number}": str(1_234_567 + number) for number in range(1, 9)}
CLASSES = 22


def test_three_rows_are_written_together(tmp_path: Path) -> None:
    """With rows of 20 s nothing is written between two minutes, and each row stands at its end."""
    with closing_bridge(tmp_path) as one:
        one.tick(START, 0)
        for second in range(1, 62):
            one.window(START + second - 0.5, 1, second)
            one.tick(START + second, second)
            assert one.outbox.counts(DESTINATION)["waiting"] == 0

        one.tick(START + 62, 62)

        assert one.syns() == {START + 20: 20, START + 40: 20, START + 60: 20}


def test_what_was_not_written_is_counted_after_a_kill(tmp_path: Path) -> None:
    """Kill -9 within a minute: what its rows had stands in the next; no count is lost or twice."""
    with closing_bridge(tmp_path) as one:
        one.tick(START, 0)
        for second in range(1, 103):
            one.window(START + second - 0.5, 1, second)
            one.tick(START + second, second)

    with closing_bridge(tmp_path) as again:
        again.window(START + 103 - 0.5, 1, 103)
        again.tick(START + 122, 122)
        again.tick(START + 182, 182)

        assert again.syns() == {
            START + 20: 20,
            START + 40: 20,
            START + 60: 20,
            START + 80: 2,
            START + 120: 41,
        }


def test_an_end_in_order_keeps_each_row(tmp_path: Path) -> None:
    """SIGTERM within a minute: the rows are written by whoever comes next, each at its end."""
    with closing_bridge(tmp_path) as one:
        one.tick(START, 0)
        for second in range(1, 103):
            one.window(START + second - 0.5, 1, second)
            one.tick(START + second, second)
        list(one.core.close())

    with closing_bridge(tmp_path) as again:
        again.tick(START + 103, 103)

        rows = again.syns()
        assert {START + 80: 20, START + 100: 20}.items() <= rows.items()


def test_asked_for_an_upload_what_is_finished_goes_at_once(tmp_path: Path) -> None:
    """The command does not wait for the minute."""
    with closing_bridge(tmp_path) as one:
        one.tick(START, 0)
        for second in range(1, 24):
            one.window(START + second - 0.5, 1, second)
            one.tick(START + second, second)

        list(one.core.handle(CommandReceived("upload_now", UploadNow(), "x")))
        one.tick(START + 24, 24)

        assert one.syns() == {START + 20: 20}


@contextmanager
def closing_bridge(folder: Path) -> Iterator[Bridge]:
    """Run a bridge that writes once a minute; its end is that of kill -9."""
    one = Bridge(folder / "outbox.sqlite", write_s=60)
    with closing(one.outbox):
        yield one


# --- what a disk has to write --------------------------------------------------------------------


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    """Make a card."""
    one = Card(tmp_path / "card.img", tmp_path / "card")
    yield one
    one.remove()


def memory(second: int) -> dict[str, JsonValue]:
    """Return what is remembered with rows of one interface."""
    totals: dict[str, JsonValue] = {f"class{n:02}": 123_456_789 + second for n in range(CLASSES)}
    samples: list[JsonValue] = [[second, "traffic", n, [1.0, 2.0, 3.0, 4.0, 5.0]] for n in range(8)]
    marks: dict[str, JsonValue] = {"capture/wire/eth0": ["0123456789abcdef", totals]}
    return {"rows": {"closed": second, "marks": marks, "samples": samples}}


@pytest.mark.parametrize(("write_s", "most"), [(WRITE_S, 42_000_000), (INTERVAL_S, 160_000_000)])
def test_a_channel_is_few_bytes_a_day(card: Card, write_s: int, most: int) -> None:
    """All that a group writes, with the file system's bookkeeping each time, is 40 kB at most.

    Twice a group the file system writes what it has: when rows are written and sent, and when
    they were looked up. At first the log of the database grows; then it is written in place.
    """
    world = World(card.folder)
    second, before = START, 0
    try:
        for group in range(2 * GROUPS):
            if group == GROUPS:
                before = card.written()
            rows = [
                OutboxRow(DESTINATION, second + at_s, FIELDS)
                for at_s in range(0, write_s, INTERVAL_S)
            ]
            second += write_s
            world.now = max(world.now, second)
            world.outbox.add(rows, memory(second), INTERVAL_S)
            world.step(0)
            card.written()
            world.step(16)
            card.written()
        bytes_a_day = (card.written() - before) * DAY_S / (GROUPS * write_s)
        sys.stdout.write(f"rows written each {write_s} s: {bytes_a_day / 1e6:.1f} MB a day\n")

        assert world.outbox.counts(DESTINATION)["stored"] >= GROUPS
        assert bytes_a_day <= most
    finally:
        world.close()
