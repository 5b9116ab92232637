"""The page on a small screen on a wall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, complaints, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page

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
