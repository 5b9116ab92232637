"""The lab for tests that need a network of their own."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def privileged() -> None:
    """Skip, and say why, where no lab can be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")
    for tool in ("ip", "tc", "ethtool", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} (apt-get install iproute2 ethtool util-linux)")


@pytest.fixture(scope="module")
def lab(privileged: None) -> Iterator[Lab]:
    """A lab of six hosts that nobody else uses."""
    del privileged
    with Lab(6) as lab:
        yield lab
