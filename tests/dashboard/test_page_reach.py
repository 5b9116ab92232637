"""Who has no mouse, and who has a phone: every view is whole for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver import ActionChains, Keys
from tests.conftest import wait_for
from tests.dashboard.pageserver import complaints
from tests.dashboard.views import VIEWS, open_view

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page

LEFT = """
const all = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")];
return all
  .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0)
  .filter((one) => !one.dataset.reached)
  .map((one) => one.outerHTML.slice(0, 120));
"""
REACH = """
const one = document.activeElement, style = getComputedStyle(one);
one.dataset.reached = "yes";
return one === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none";
"""
MOST = 200


def run(browser: Chrome, script: str) -> Any:
    """Run a script on the page."""
    return browser.execute_script(script)  # type: ignore[no-untyped-call] # selenium leaves it so


@pytest.mark.timeout(240)
def test_everything_is_reached_by_the_tab_key(shown: Page, browser: Chrome) -> None:
    """Each link, button and field of each view, and one sees where one is."""
    for view in VIEWS:
        open_view(browser, shown, view)
        for _ in range(MOST):
            ActionChains(browser).send_keys(Keys.TAB).perform()
            assert run(browser, REACH), (
                view,
                run(browser, "return document.activeElement.outerHTML"),
            )
            if not run(browser, LEFT):
                break
        assert run(browser, LEFT) == [], view
    assert complaints(browser) == []


def test_views_are_chosen_by_keyboard(shown: Page, browser: Chrome) -> None:
    """From the first view to each other, and back by the browser's own key."""
    open_view(browser, shown, "now")
    for name in ("devices", "alerts", "packets", "services"):
        browser.find_element("css selector", f'nav a[href="#/{name}"]').send_keys(Keys.ENTER)
        current = f'nav a[aria-current="page"][href="#/{name}"]'
        wait_for(lambda it=current: browser.find_elements("css selector", it), 10, name)
    browser.back()
    wait_for(lambda: browser.current_url.endswith("#/packets"), 10, "the view before")


def test_nothing_is_wider_than_a_phone(shown: Page, browser: Chrome) -> None:
    """No view has to be pushed sideways at 360 pixels."""
    view_of = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view_of)  # type: ignore[no-untyped-call] # selenium leaves it so
    wide = []
    for view in VIEWS:
        open_view(browser, shown, view)
        if run(browser, "return document.documentElement.scrollWidth > innerWidth"):
            wide.append(view)
    assert wide == []
