"""The page looks back: the history answers through it, and a browser shows what it says."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, Page
from tests.history.world import World, alert, device, mac

from monitorpi_dashboard.sinks.past import NoPastError, Past

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver import Chrome
    from tests.conftest import Broker


@pytest.fixture
def remembered(broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    """Run a history that remembers twenty minutes with a gap, an alert and a device."""
    folder = tmp_path / "past"
    world = World(folder, now=datetime.now(UTC) - timedelta(minutes=40))
    world.tick()
    world.hand(device(hostname=EVIL), "020000000001")
    world.hand(alert(world.now, summary=f"a flood {EVIL}"), "x")
    world.live(400)
    world.idle(300)
    world.live(400)
    list(world.core.close())
    world.archive.close()
    environment = broker.environment(
        MONITORPI_STATE_DIR=str(folder), MONITORPI_HISTORY__PORT="0", MONITORPI_TRUST_CLOCK="true"
    )
    command = [sys.executable, "-P", "-m", "monitorpi_history"]
    processes.append(subprocess.Popen(command, env=environment))


def is_asked(one: Page) -> bool:
    """Return whether the page's questions reach the history."""
    return one.get("/api/history/state")[0] == 200


def test_answers_come_through_the_page(
    page: Callable[..., Page],
    remembered: None,
) -> None:
    """As the history gives them, files by their names, refusals with their words."""
    del remembered
    one = page()
    wait_for(lambda: is_asked(one), 40, "the history to be heard of")

    status, body, headers = one.get("/api/history/traffic?format=csv&from=-2h")
    assert status == 200
    assert headers["Content-Disposition"] == 'attachment; filename="traffic.csv"'
    sent = sum(int(row["tx_syn"]) for row in csv.DictReader(io.StringIO(body.decode())))
    assert sent == 800 * 3
    status, body, _ = one.get("/api/history/wire?step=7")
    assert (status, "step: one of" in json.loads(body)["error"]) == (400, True)
    assert one.get("/api/history/../state")[0] == 503
    assert one.get("/api/history/secrets")[0] == 503


def test_a_browser_shows_last_night(
    page: Callable[..., Page],
    browser: Chrome,
    remembered: None,
) -> None:
    """The alert, and the device's line, broken where nobody counted; names stay text."""
    del remembered
    one = page()
    wait_for(lambda: is_asked(one), 40, "the history to be heard of")

    browser.get(f"http://127.0.0.1:{one.port}/#span=1h&device={mac(1)}")

    def lines() -> int:
        return len(browser.find_elements("css selector", "#past-chart polyline.sent"))

    wait_for(lines, 30, "the picture")
    assert lines() == 2
    shown = browser.find_element("id", "past").text
    assert "syn-flood" in shown
    assert f"a flood {EVIL}" in shown
    assert "still open" in shown
    assert browser.find_element("id", "past-device").get_attribute("value") == mac(1)
    browser.execute_script("location.hash = 'span=6h'")
    wait_for(lambda: "on the wire" in browser.find_element("id", "past-caption").text, 20)
    problems = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert [line for line in problems if "favicon" not in line["message"]] == []


def told(url: str, *, online: bool = True) -> bytes:
    """Return a picture in which the history says where it answers."""
    health = {"detail": {"url": url}}
    services = [{"name": "history/main", "online": online, "health": health}]
    return json.dumps({"services": services}).encode()


@pytest.mark.parametrize(
    "picture",
    [
        b"{}",
        told("http://192.0.2.1:80"),
        told("http://127.0.0.1:99999"),
        told("http://127.0.0.1:8083", online=False),
        told(""),
    ],
)
def test_no_other_machine_is_asked(picture: bytes) -> None:
    """Whoever can write a service's health cannot have the page fetch anything."""
    with (
        pytest.raises(NoPastError, match="no history runs here"),
        Past(lambda: picture).ask("wire", ""),
    ):
        pass
