"""Targets and times for the parts of the prober."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from monitorpi_prober.schedule import (
    ProbeTarget,
)

T0 = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
MAC = "b8:27:eb:00:00:07"


def target(key: str, **more: Any) -> ProbeTarget:
    """Return a target that can be probed."""
    return ProbeTarget(key, key, "192.0.2.1", more.pop("ip", "192.0.2.1"), **more)
