"""What the tests of the page share."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT
from tests.dashboard.pageserver import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome
    from tests.conftest import Broker


@pytest.fixture
def page(broker: Broker) -> Iterator[Callable[..., Page]]:
    """Start dashboards that end with the test."""
    started: list[Page] = []

    def start(**settings: str) -> Page:
        started.append(Page(broker, **settings))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stderr is not None
        one.process.stderr.close()


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """Run a real browser without a screen."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed: ./monitorpi test installs them")
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "scripts" / "screenshot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    one = module.browser()
    yield one
    one.quit()
