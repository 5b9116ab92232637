"""How soon a page that was never loaded shows something, and how much it takes on the wire."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.support.ui import WebDriverWait
from tests.dashboard.pageserver import look

from monitorpi_dashboard.sinks.files import page_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page

LOADS = 9
PAINTED = """
    const found = performance.getEntriesByName("first-contentful-paint");
    return found.length ? found[0].startTime : null;
"""


def test_the_page_is_small() -> None:
    """All of its files, packed: scripts, style, document, icon, framework."""
    files = {id(one): one for one in page_files().values()}.values()

    assert 10_000 < sum(len(one.packed) for one in files) <= 100_000


@pytest.mark.alone
@pytest.mark.soak
def test_a_cold_load_is_painted_within_a_second(
    page: Callable[..., Page],
    new_browser: Callable[[], Chrome],
    record_property: Callable[[str, object], None],
) -> None:
    """The median of some loads, each by a browser of its own."""
    one = page()
    one.publish()
    painted_ms = []
    for _ in range(LOADS):
        browser = new_browser()
        try:
            look(browser, one)
            wait = WebDriverWait(browser, 20)
            painted_ms.append(wait.until(lambda it: it.execute_script(PAINTED)))
        finally:
            browser.quit()

    record_property("first_contentful_paint_ms", sorted(round(ms) for ms in painted_ms))
    assert statistics.median(painted_ms) <= 1000
