"""Bridges and clouds for these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make worlds that end with the test."""
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
