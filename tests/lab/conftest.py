"""The lab for tests that need a network of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitorpi_lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def lab(privileged: None) -> Iterator[Lab]:
    """A lab of six hosts that nobody else uses."""
    del privileged
    with Lab(6) as lab:
        yield lab
