"""What the tests of the page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.dashboard.pageserver import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
