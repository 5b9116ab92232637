"""A double that the tests of this folder call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.thingspeak_double.calls import Clock

from monitorpi_thingspeak_double import Double

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def double(clock: Clock) -> Iterator[Double]:
    """Run a double on that clock."""
    with Double(clock=clock) as one:
        yield one
