"""What the tests of the page share."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT, wait_for
from tests.dashboard.pageserver import EVIL, Answering, Page, say
from tests.history.world import World, alert, burst, device

from monitorpi_common.messages import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from tests.conftest import Broker


@pytest.fixture
def page(broker: Broker) -> Iterator[Callable[..., Page]]:
    """Start dashboards that end with the test."""
    started: list[Page] = []

    def start(**settings: str) -> Page:
        started.append(Page(broker, **settings))
        started[-1].await_answer()
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stderr is not None
        one.process.stderr.close()


@pytest.fixture
def new_browser() -> Callable[[], Chrome]:
    """Return what starts a real browser without a screen, which knows nothing yet."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed: ./monitorpi test installs them")
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "scripts" / "screenshot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    start: Callable[[], Chrome] = module.browser
    return start


@pytest.fixture
def browser(new_browser: Callable[[], Chrome]) -> Iterator[Chrome]:
    """Run one."""
    one = new_browser()
    yield one
    one.quit()


@pytest.fixture
def week(broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    """Run a history with a flood of 200/s, a burst of 150 in a second, and two alerts."""
    folder = tmp_path / "past"
    world = World(folder, now=datetime.now(UTC) - timedelta(hours=3))
    world.hand(device(1, hostname=EVIL), "x")
    for number, peak in enumerate((210, 120)):
        evidence = Evidence(value=1, threshold=100, window_s=1, peak=peak)
        id_ = f"8f3e0b8e-3c0b-5d0a-9a55-0f6f5a1f7c1{number}"
        world.hand(alert(world.now, id=id_, evidence=evidence), str(number))
    burst(world, [200] * 30 + [1] * 150 + [150] + [1] * 59)
    world.idle(40)
    list(world.core.close())
    world.archive.close()
    environment = broker.environment(
        MONITORPI_STATE_DIR=str(folder), MONITORPI_HISTORY__PORT="0", MONITORPI_TRUST_CLOCK="true"
    )
    command = [sys.executable, "-P", "-m", "monitorpi_history"]
    processes.append(subprocess.Popen(command, env=environment))


@pytest.fixture
def shown(page: Callable[..., Page], week: None) -> Iterator[Page]:
    """Run a page with something on every view."""
    del week
    one = page()
    wait_for(lambda: one.get("/api/history/state")[0] == 200, 40, "the history")
    one.publish()
    say(one)
    with Answering(one.broker.port, "capture", ""):
        yield one
