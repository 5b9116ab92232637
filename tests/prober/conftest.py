"""Fixtures of the prober's tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.prober.roundbench import Bench

from monitorpi_prober.sources import pinger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return a pinger whose loop is turned by hand, on a machine with one exit."""
    one = Bench()
    monkeypatch.setattr(pinger, "exits_of", one.exits_of)
    yield one
    os.close(one.pinger._wake)
