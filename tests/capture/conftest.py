"""What tests of capture share: a network namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitorpi_dev.sender import INTERFACE
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """Return a network namespace with its loopback up and quiet."""
    made = Namespace("ebpf-test")
    made.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    made.run(["ip", "link", "set", INTERFACE, "up"])
    yield made
    made.close()
