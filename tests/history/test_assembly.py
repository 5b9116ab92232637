"""The history as it is put together: what it reads, and that it goes on where its file ends."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.drive import received
from tests.history.world import World, alert, device, mac
from tests.modules import is_program

from monitorpi_common.examples import example
from monitorpi_common.log import Log
from monitorpi_common.messages import Target
from monitorpi_common.service import Context
from monitorpi_history.__main__ import FILE, assemble
from monitorpi_history.core import HistoryCore
from monitorpi_history.items import Batch, Change, Named, Series, Stretch
from monitorpi_history.settings import HistorySettings
from monitorpi_history.sinks.archive import Archive
from monitorpi_history.sources.web import WebServer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_history_goes_on_where_its_file_ends(tmp_path: Path) -> None:
    """Who was known is not new, and which state a target was in is known; it says where it is."""
    world = World(tmp_path)
    known = Batch(devices=[device(1)], targets={"192.168.1.10": Named("printer", "up")})
    world.archive.save(known)
    world.archive.close()
    settings = HistorySettings(port=0, budget_mb=77, keep_days=3)
    log = Log("history", "error")

    found = assemble(Context("lab", "main", "e", settings, Namespace(), tmp_path, True, True, log))

    core, (server,) = found.core, found.sources
    assert isinstance(core, HistoryCore)
    assert isinstance(server, WebServer)
    assert world.file == tmp_path / FILE
    down = example(Target).model_copy(update={"address": "192.168.1.10", "state": "down"})
    for item in (received(device(1), "x"), received(device(2), "y"), received(down, "z")):
        list(core.handle(item))
    assert list(core.close()) == []
    detail = core.detail()
    assert (detail["url"], detail["budget_bytes"]) == (server.url, 77_000_000)
    assert server.state["budget_bytes"] == 77_000_000
    archive = core._store
    assert isinstance(archive, Archive)
    assert archive._keep_s == 3 * 86_400
    assert set(archive._read("SELECT subject, what FROM change")) == {
        (mac(2), "new"), ("192.168.1.10", "down")
    }  # fmt: skip
    assert found.subscriptions == [
        f"monitorpi/v1/lab/{one}/+" for one in (
            "capture/traffic", "prober/probe", "capture/device", "prober/target", "detector/alert")
    ]  # fmt: skip
    for close in found.on_close:
        close()
    assert archive._db is None
    assert server._socket is not None
    server._socket.close()


@pytest.mark.parametrize(
    "more",
    [
        {"stretches": [Stretch(1, 0, 1, {Series("wire", "eth0"): {"packets": [1]}})]},
        {"alerts": [alert(device().first_seen)]}, {"devices": [device()]},
        {"targets": {"a": Named("b", "up")}}, {"changes": [Change(1, "a", "new")]},
    ],
)  # fmt: skip
def test_whatever_is_in_a_batch_is_worth_writing(more: dict[str, Any]) -> None:
    """And of nothing there is no transaction."""
    assert bool(Batch(**more))
    assert not Batch()


def test_the_package_is_a_program() -> None:
    """``python -m`` starts it, as `up` and whoever measures do."""
    assert is_program("monitorpi_history")
