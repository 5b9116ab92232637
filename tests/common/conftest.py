"""What the tests of the common library share."""

from __future__ import annotations

import pytest
from tests.common.loopworld import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a loop that has not run yet."""
    return World(monkeypatch)
