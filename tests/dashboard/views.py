"""Every view of the page, and what stands on it once it shows something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.conftest import wait_for
from tests.dashboard.pageserver import look
from tests.dashboard.test_page_packets import SYN, send
from tests.history.world import mac

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page

DEVICE: Final = "b8:27:eb:12:34:56"
VIEWS: Final = {
    "now": "#wire figure",
    "devices": "#devices tbody tr",
    f"device/{DEVICE}": "#marks",
    "alerts": "#open article",
    "packets": "#lines tbody tr",
    "services": "#services tbody tr",
    f"threshold/syn-flood?mac={mac(1)}": "#exceedances tbody tr",
    "threshold/port-scan?floor=20": "#of-alerts",
    "/kiosk": ".kiosk",
}


def open_view(browser: Chrome, page: Page, view: str) -> None:
    """Open a view and wait until it shows something."""
    if view.startswith("/"):
        browser.get(f"http://127.0.0.1:{page.port}{view}")
    else:
        look(browser, page, view)

    def is_there() -> bool:
        if view == "packets":
            send(page, (DEVICE, "02:00:5e:10:00:01", SYN))
        return bool(browser.find_elements("css selector", VIEWS[view]))

    wait_for(is_there, 30, view)
    if view == "alerts":
        browser.find_element("css selector", "#open summary").click()
        wait_for(lambda: browser.find_elements("css selector", "#open dl.facts"), 20, "it")
