"""A backlog: what of it is sent first while a cloud is away, and how it is thinned."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.cloudworld import DESTINATION, START, World

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks import uploader as module
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak, stamp
from monitorpi_cloud_bridge.web import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLOSED = "http://127.0.0.1:9"
"""The discard service, which nobody runs."""


@pytest.mark.parametrize("patient", [False, True])
def test_what_is_remembered_is_there_after_a_restart(tmp_path: Path, patient: bool) -> None:
    """At once, or with what is written next."""
    with closing(RowOutbox(tmp_path / "outbox.sqlite")) as box:
        box.remember({"n": 1})
        box.remember({"n": 2}, patient=patient)
        assert box.recall("n") == 2
        box.commit()

    with closing(RowOutbox(tmp_path / "outbox.sqlite")) as again:
        assert (again.recall("n"), again.recall("m")) == (2, None)


def cut_off(one: World) -> None:
    """Let nobody listen where the cloud was."""
    one.uploader.destination.sink.close()
    one.uploader.destination.sink = ThingSpeak(CLOSED, 1, "W", None, 16.0, client())


@pytest.mark.parametrize("texts", [0, 2])
def test_while_a_cloud_is_away_one_row_asks_and_texts_go_with_it(
    world: Callable[..., World], texts: int
) -> None:
    """All the others wait: an outage wears no card."""
    one = world()
    for n in range(9):
        one.add(START - 600 + 20 * n)
    for n in range(texts):
        one.outbox.add_urgent([OutboxRow(DESTINATION, START - 300 + n, {"status": "x"})], 20, {})
    cut_off(one)
    one.step()
    assert one.uploader.destination.is_away
    taken: list[int] = []
    take = one.outbox.take

    def spy(*asked: object) -> list[OutboxRow]:
        rows = take(*asked)  # type: ignore[arg-type]
        taken.append(len(rows))
        return rows

    one.outbox.take = spy  # type: ignore[method-assign]
    for _ in range(5):
        one.step(120.0)

    assert taken
    assert set(taken) == {1 + texts}


def values(one: World) -> list[float]:
    """Return the means that wait, in order of time."""
    waiting = one.outbox.untried(DESTINATION, before=2**40, after=0, most=10**6)
    return [float(row.fields["field1"]) for row in waiting]


@pytest.mark.parametrize("most", [45, 50, 60, 90, 134, 2000])
def test_a_bucket_is_thinned_whole_wherever_a_stretch_ends(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Each quarter of an hour becomes its mean, its lowest and its highest, once."""
    monkeypatch.setattr(module, "_THIN_ROWS", most)
    one = world(thin_above=10)
    begin = (START - 20 * 86_400) // 900 * 900
    for n in range(135):
        one.add(begin + 20 * n, field1=str(100 * (n // 45) + n % 45))
    cut_off(one)

    for _ in range(3):
        one.step()

    assert one.uploader.destination.thinned_total == 135 - 9
    assert values(one) == [
        value for bucket in (0, 100, 200) for value in (bucket + 0, bucket + 22, bucket + 44)
    ]


@pytest.mark.parametrize(("rows", "thinned"), [(20, 0), (21, 18)])
def test_a_short_backlog_is_left_as_it_is(
    world: Callable[..., World], rows: int, thinned: int
) -> None:
    """What one call takes needs no thinning."""
    one = world(thin_above=20)
    begin = (START - 20 * 86_400) // 900 * 900
    for n in range(rows):
        one.add(begin + 20 * n)

    one.step()

    assert one.uploader.destination.thinned_total == thinned
    assert len(one.stored()) == rows - thinned
    assert one.stored()[0] >= stamp(begin)
