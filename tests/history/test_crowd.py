"""What a crowd of devices and a span of days are answered, and where."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.history.hours import BEGIN, lines, pack, save
from tests.history.world import World, mac

from monitorpi_common.service import ResourceError
from monitorpi_history.items import HOUR_S, Series
from monitorpi_history.settings import HistorySettings, history_url
from monitorpi_history.sources.reader import Reader, open_to_read, span_of
from monitorpi_history.sources.web import LOOKS_EACH_S, WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Begin with nothing, at noon."""
    made = World(tmp_path)
    yield made
    made.archive.close()


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("step_s", [10, 60, 3600])
def test_a_crowd_is_answered_whole(world: World, is_packed: bool, step_s: int) -> None:
    """More devices than are read at once, at each fineness, folded or not yet."""
    crowd = [Series("device", "eth0", mac(n)) for n in range(150)]
    save(world, BEGIN, *crowd)
    if is_packed:
        pack(world, (BEGIN + 2) * HOUR_S)
    save(world, BEGIN + 1, *crowd[:70])

    found = lines(world, "traffic", step=step_s, from_=BEGIN * HOUR_S, to=(BEGIN + 2) * HOUR_S)

    sent: dict[str, int] = {}
    for line in found:
        sent[line["mac"]] = sent.get(line["mac"], 0) + line["tx_packets"]
    assert sent == {mac(n): 84 if n < 70 else 42 for n in range(150)}


def test_a_reader_may_be_used_by_another_thread(world: World) -> None:
    """Questions are answered by whichever is free."""
    save(world, BEGIN)
    db = open_to_read(world.file)
    found: list[Series] = []
    thread = threading.Thread(target=lambda: found.extend(Reader(db).series(["wire"]).values()))
    thread.start()
    thread.join()
    db.close()

    assert found == [Series("wire", "eth0")]


def test_whoever_asks_writes_nothing(world: World) -> None:
    """Neither by mistake."""
    save(world, BEGIN)
    db = open_to_read(world.file)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM snapshot")
    db.close()


@pytest.mark.parametrize(
    ("start_s", "end_s", "step_s", "found"),
    [
        (0, 60, 60, (0, 60)), (1, 60, 60, (0, 60)), (59, 61, 60, (0, 120)), (60, 60, 60, (60, 120)),
        (61.5, 119.5, 10, (60, 120)),
    ],
)  # fmt: skip
def test_a_span_holds_both_its_ends(
    start_s: float, end_s: float, step_s: int, found: tuple[int, int]
) -> None:
    """In whole steps, one at least."""
    span = span_of(start_s, end_s, step_s)

    assert (span.start_s, span.end_s, span.step_s) == (*found, step_s)


@pytest.mark.parametrize("is_packed", [False, True])
def test_peaks_are_of_counts_alone(world: World, is_packed: bool) -> None:
    """What was covered or lost has none; nor has a peak."""
    save(world, BEGIN)
    if is_packed:
        pack(world, (BEGIN + 2) * HOUR_S)

    (line,) = lines(
        world, "wire", step=60, peaks=True, from_=BEGIN * HOUR_S, to=(BEGIN + 1) * HOUR_S
    )

    assert {name for name in line if "peak" in name} == {"peak_packets"}
    assert (line["packets"], line["peak_packets"]) == (42, 7)


def test_a_flood_of_each_day_is_found_once(world: World) -> None:
    """However many days a question spans."""
    flood = Series("device", "eth0", mac(1))
    for day in range(3):
        save(world, BEGIN + 24 * day, flood, value=5000)
    pack(world, (BEGIN + 100) * HOUR_S)

    found = lines(
        world, "exceedances", column="tx_packets", level=100, from_=(BEGIN - 30) * HOUR_S,
        to=(BEGIN + 90) * HOUR_S,
    )  # fmt: skip

    assert len(found) == 3
    assert sorted(one["from"][8:13] for one in found) == ["01T12", "02T12", "03T12"]


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8083"), ("0.0.0.0", "http://127.0.0.1:8083"),
        ("::", "http://[::1]:8083"), ("192.0.2.1", "http://192.0.2.1:8083"),
    ],
)  # fmt: skip
def test_where_programs_of_this_machine_ask(listen: str, url: str) -> None:
    """What means every address has one of them; beyond this machine a fence is needed."""
    assert history_url(listen, 8083) == url
    assert HistorySettings(listen=listen, behind_fence=True).port == 8083
    if listen != "127.0.0.1":
        with pytest.raises(ValueError, match="asks for no password"):
            HistorySettings(listen=listen)


def test_a_server_answers_where_it_says_until_it_is_stopped(world: World) -> None:
    """On any free port where none is given; a port that is taken is one line."""
    save(world, BEGIN)
    server = WebServer(world.file, "127.0.0.1", 0)
    server.open()
    server.show({"kept": True})
    with pytest.raises(ResourceError, match="set another one"):
        WebServer(world.file, "127.0.0.1", int(server.url.rsplit(":", 1)[1])).open()
    thread = threading.Thread(target=server.run, args=(lambda _: None,), daemon=True)
    thread.start()

    answer = httpx.get(f"{server.url}/v1/state", timeout=20)
    assert (answer.json(), answer.headers.get("server")) == ({"kept": True}, None)
    for kind, name in (("csv", '"wire.csv"'), ("jsonl", '"wire.jsonl"'), ("json", None)):
        answer = httpx.get(f"{server.url}/v1/wire?from=-1h&format={kind}", timeout=20)
        told = name and f"attachment; filename={name}"
        assert (answer.status_code, answer.headers.get("content-disposition")) == (200, told)
    assert httpx.get(f"{server.url}/v1/wire?from_=-1h", timeout=20).status_code == 400
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_nobody_asks_and_it_sleeps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wakes twice a second to look whether it shall end, and ends when it shall."""
    server = WebServer(world.file, "127.0.0.1", 0)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            server.stop()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(server._server.main_loop())

    assert pauses == [LOOKS_EACH_S] * 3 == [0.5] * 3
