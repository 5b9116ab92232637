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
from selenium.webdriver import ActionChains, Keys
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, Page, complaints
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
    world.hand(device(hostname=EVIL, ips=["192.168.1.10"]), "020000000001")
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
    assert one.get("/api/history/../state")[0] == 404
    assert one.get("/api/history/secrets")[0] == 404


def test_a_browser_shows_last_night(
    page: Callable[..., Page],
    browser: Chrome,
    remembered: None,
) -> None:
    """The alert, and the device's line, broken where nobody counted; names stay text."""
    del remembered
    one = page()
    wait_for(lambda: is_asked(one), 40, "the history to be heard of")

    browser.get(f"http://127.0.0.1:{one.port}/#span=1h&device={mac(1)}")  # as addresses were

    def lines(chart: str) -> str:
        found = browser.find_elements("css selector", f"#{chart} path.line.a")
        return str(found[0].get_attribute("d")) if found else ""

    wait_for(lambda: lines("d-traffic"), 30, "the picture")
    assert lines("d-traffic").count("M") == 2
    assert len(browser.find_elements("css selector", "#d-rtt path.mark.l2")) > 1  # a tenth is lost
    assert lines("d-mos").count("M") == 2
    assert browser.find_elements("css selector", "#d-traffic .alerted.critical")
    shown = browser.find_element("tag name", "main").text
    assert "SYN flood" in shown
    assert f"a flood {EVIL}" in shown
    box = browser.find_element("css selector", "#d-traffic .box")
    readout = browser.find_element("css selector", "#d-traffic output")
    box.send_keys(Keys.ARROW_LEFT)
    wait_for(lambda: "nobody counted" in readout.text, 10)

    def earlier() -> bool:
        box.send_keys(Keys.ARROW_LEFT)
        return "sent" in readout.text

    wait_for(earlier, 30, "a step that was counted")
    ActionChains(browser).click_and_hold(box).move_by_offset(120, 0).release().perform()
    wait_for(lambda: "from=" in browser.current_url, 10, "the zoom")
    wait_for(lambda: "back to now" in browser.find_element("id", "past").text, 10)

    browser.get(f"http://127.0.0.1:{one.port}/#/now?span=6h")
    wait_for(lambda: "of the time was watched" in browser.find_element("id", "wire").text, 20)
    wait_for(lambda: lines("wire-bits"), 20, "the wire")
    browser.get(f"http://127.0.0.1:{one.port}/#/alerts?span=6h&q=flood")
    wait_for(lambda: "nobody saw it close" in browser.find_element("id", "closed").text, 20)
    browser.find_element("css selector", "#closed summary").click()
    plotted = "#closed figure path.limit, #closed figure path.line.b"
    wait_for(lambda: len(browser.find_elements("css selector", plotted)) == 2, 20, "the evidence")
    assert complaints(browser) == []


def test_last_night_is_found_in_three_clicks(
    page: Callable[..., Page], browser: Chrome, week: None
) -> None:
    """After a start of everything: who, when, how much; only the history's file has lived on."""
    del week
    one = page()
    wait_for(lambda: is_asked(one), 40, "the history to be heard of")
    browser.get(f"http://127.0.0.1:{one.port}/")
    wait_for(lambda: browser.find_elements("css selector", "nav a"), 20, "the page")

    browser.find_element("link text", "Alerts").click()
    wait_for(lambda: browser.find_elements("css selector", "#closed article"), 20, "the alerts")
    flood = browser.find_element("css selector", "#closed article")
    assert "SYN flood" in flood.text
    assert mac(1) in flood.text
    flood.find_element("tag name", "summary").click()
    plotted = "#closed figure path.line.b"
    wait_for(lambda: browser.find_elements("css selector", plotted), 20, "the evidence")
    assert "Peak" in browser.find_element("css selector", "#closed dl.facts").text
    assert complaints(browser) == []


@pytest.mark.parametrize(
    "told", [None, "http://192.0.2.1:80", "http://127.0.0.1:99999", "", "http://[::1", "//x"]
)
def test_no_other_machine_is_asked(told: str | None) -> None:
    """Whoever can write a service's health cannot have the page fetch anything."""
    with (
        pytest.raises(NoPastError, match="no history runs here"),
        Past(lambda: told).ask("wire", ""),
    ):
        pass
