"""The page on a small screen on a wall; and what a machine finds hard to read on any view."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, complaints, look, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page

AXE = "axe-core@4.14.1"
FITS = (
    "const e = document.documentElement;"
    "return e.scrollHeight <= innerHeight && e.scrollWidth <= innerWidth"
)
HEIGHTS = (
    "return [...document.querySelectorAll('.kiosk h1, .kiosk li, .kiosk dd')]"
    ".map((one) => parseFloat(getComputedStyle(one).fontSize) / innerHeight)"
)


@pytest.mark.parametrize("size", [(480, 320), (800, 480)])
def test_a_small_screen_shows_what_matters(
    page: Callable[..., Page], browser: Chrome, size: tuple[int, int]
) -> None:
    """Whether anybody watches and what is wrong, large, and without scrolling."""
    one = page()
    one.publish(EVIL)
    view = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)  # type: ignore[no-untyped-call] # selenium leaves it so
    browser.get(f"http://127.0.0.1:{one.port}/kiosk")

    def shown() -> bool:
        return all(word in text(browser) for word in ("SYN flood", EVIL, "BLIND", "1,031"))

    wait_for(shown, 20, "the kiosk")

    def ask(script: str) -> Any:
        return browser.execute_script(script)  # type: ignore[no-untyped-call] # selenium leaves it so

    assert ask(FITS)
    assert min(ask(HEIGHTS)) > 0.08  # of the screen: two centimetres on one of 25
    assert browser.title == "(1) MonitorPi is BLIND"
    assert complaints(browser) == []


@pytest.mark.soak
def test_axe_finds_nothing(page: Callable[..., Page], browser: Chrome, tmp_path: Path) -> None:
    """No view has contrast, names, roles or an order that a screen reader stumbles over."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: it brings axe-core")
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=tmp_path, check=True, timeout=120)
    (archive,) = tmp_path.glob("*.tgz")
    subprocess.run(["tar", "-xzf", archive, "package/axe.min.js"], cwd=tmp_path, check=True)
    script = (tmp_path / "package" / "axe.min.js").read_text()
    one = page()
    one.publish()
    browser.set_script_timeout(60)
    ask = (
        "const done = arguments[arguments.length - 1];"
        "axe.run().then((found) => done([found.passes.length, found.violations]));"
    )
    for view in ("now", "devices", "device/b8:27:eb:12:34:56", "alerts", "services"):
        look(browser, one, view)
        wait_for(lambda: browser.find_elements("css selector", "main h2"), 20, view)
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": script})  # type: ignore[no-untyped-call] # selenium leaves it so

        passes, found = browser.execute_async_script(ask)  # type: ignore[no-untyped-call] # selenium leaves it so

        assert passes > 20
        assert [f"{view}: {one['id']} {json.dumps(one['nodes'])[:300]}" for one in found] == []
