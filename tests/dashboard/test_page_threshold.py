"""A threshold is changed on the page, with what last week would have raised by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from selenium.webdriver import Keys
from selenium.webdriver.support.ui import Select
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, Answering, complaints, look, say
from tests.history.world import mac

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.conftest import Subscriber
    from tests.dashboard.pageserver import Page

OWN = f"syn-flood {mac(1)}"


def test_a_threshold_is_tried_changed_and_taken_back(
    page: Callable[..., Page],
    browser: Chrome,
    week: None,
    subscribe: Callable[..., Subscriber],
) -> None:
    """What is certain and what only possible, of alerts and counts; by keyboard alone."""
    del week
    one = page()
    wait_for(lambda: one.get("/api/history/state")[0] == 200, 40, "the history")
    say(one)
    seen = subscribe(one.broker.port, "monitorpi/v1/lab/detector/command/+")
    look(browser, one, f"threshold/syn-flood?mac={mac(1)}")

    def shows(place: str, *words: str) -> None:
        def there() -> bool:
            ask = "return document.getElementById(arguments[0])?.innerText ?? ''"
            found = browser.execute_script(ask, place)  # type: ignore[no-untyped-call] # selenium leaves it so
            return all(word in found for word in words)

        wait_for(there, 30, f"{words} in {place}")

    shows("of-alerts", "2 alerts", "2 peaked at 100 or more", "0 would not")
    shows("of-counts", "1 stretch with seconds", "1 in which a burst")
    shows("exceedances", EVIL, "200/s")
    shows("holds", f"100 per second, for {mac(1)}")

    field = browser.find_element("id", "floor")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("160")
    shows("of-alerts", "1 peaked at 160 or more", "1 would not")
    shows("of-counts", "1 stretch with seconds", "0 in which a burst")
    assert "floor=160" in browser.current_url
    browser.find_element("css selector", "#threshold summary").send_keys(Keys.ENTER)
    shows("toml", f'[detector.devices."{mac(1)}".syn-flood]', "floor = 160")

    with Answering(one.broker.port, "detector", ""):
        browser.find_element("id", "set").send_keys(Keys.ENTER)
        shows("threshold", "160 holds for", "also after a restart")
        say(one, **{OWN: {"floor": 160.0}, "loop": {"floor": 300.0, "factor": 9.0}})
        shows("holds", "160 per second")
        shows("configured", "100")
        browser.find_element("id", "take-back").send_keys(Keys.ENTER)
        shows("threshold", "What is configured holds again")
        Select(browser.find_element("id", "whose")).select_by_value("all")
        shows("holds", "100 per second, for everybody")
        shows("toml", "[detector.rules.syn-flood]")
        browser.find_element("id", "set").send_keys(Keys.ENTER)
        shows("threshold", "160 holds for everybody")
    asked = [json.loads(each)["args"] for each in seen.of("detector/command/page-")]
    assert asked == [
        {"rule": "syn-flood", "mac": mac(1), "reset": False, "floor": 160},
        {"rule": "syn-flood", "mac": mac(1), "reset": True},
        {"rule": "syn-flood", "reset": False, "floor": 160},
    ]

    look(browser, one, "alerts?span=24h")
    shows("changed-thresholds", f"SYN flood, {mac(1)}: 160 instead of 100", "300 instead of 200")
    wait_for(lambda: browser.find_elements("css selector", "#closed summary"), 20, "last night")
    browser.find_element("css selector", "#closed summary").send_keys(Keys.ENTER)
    wait_for(lambda: browser.find_elements("css selector", "a.change"), 20, "the way to change it")
    browser.find_element("css selector", "a.change").send_keys(Keys.ENTER)
    shows("holds", "160 per second")
    assert complaints(browser) == []


def test_what_is_not_counted_is_judged_by_its_alerts(
    page: Callable[..., Page], browser: Chrome, week: None
) -> None:
    """A scan's measure is not kept: of a lower floor nothing is claimed."""
    del week
    one = page()
    wait_for(lambda: one.get("/api/history/state")[0] == 200, 40, "the history")
    say(one)

    look(browser, one, "threshold/port-scan?floor=10")
    wait_for(lambda: browser.find_elements("id", "of-alerts"), 20, "the preview")

    shown = browser.find_element("id", "threshold").text
    assert "0 alerts" in shown
    assert "of a lower floor it can tell nothing" in shown
    look(browser, one, "threshold/rogue-dhcp")
    wait_for(
        lambda: "no threshold of that name" in browser.find_element("tag name", "main").text, 9
    )
    assert complaints(browser) == []


def test_a_link_puts_no_lines_of_its_own_into_the_configuration(
    page: Callable[..., Page], browser: Chrome, week: None
) -> None:
    """What people are shown to copy holds the MAC address of an address, and nothing else of it."""
    del week
    one = page()
    say(one)

    look(browser, one, "threshold/syn-flood?floor=150&mac=%22%5D%0A%5Bdetector%5D%0Aignore%3D%5B")
    wait_for(lambda: browser.find_elements("id", "toml"), 20, "the lines")

    lines = browser.find_element("id", "toml").get_attribute("textContent")
    assert lines == "[detector.rules.syn-flood]\nfloor = 150"
