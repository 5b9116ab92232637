"""Settings of the prober."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from monitorpi_common.settings import Section


class TargetSettings(Section):
    """One address to probe, whether capture has seen it or not."""

    address: Annotated[str, Field(min_length=1, max_length=255)]
    """IP address or host name."""
    name: Annotated[str, Field(max_length=255)] | None = None
    """What to call it; by default the address."""


class ProberSettings(Section):
    """What is probed, how often and how hard."""

    targets: list[TargetSettings] = Field(default_factory=list)
    """Addresses to probe besides the devices that capture announces."""
    announced: bool = True
    """Probe the devices that capture announces."""
    interval_s: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """Length of a round."""
    probes: Annotated[int, Field(ge=1, le=100)] = 10
    """Echo requests per target and round; fewer where the rate would pass `max_rate`."""
    max_rate: Annotated[float, Field(gt=0, le=10_000)] = 250.0
    """Echo requests per second to all targets together."""
    timeout_s: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How long a reply may take."""
    down_after: Annotated[int, Field(ge=1, le=100)] = 3
    """Rounds without any reply after which a target is down."""
    max_targets: Annotated[int, Field(ge=1, le=4096)] = 1024
    """Targets at most; configured ones first, then the devices seen most recently."""
    source: str | None = None
    """Own address to send from, for a machine whose wired port only listens."""
