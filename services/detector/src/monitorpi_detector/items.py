"""What the state file hands the core at the start, and is handed by it later. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field

from monitorpi_common.messages import Part, Timestamp
from monitorpi_detector.rule import LimitsChange

VERSION: Final = 1


def _with_zone(at: object) -> object:
    """Take a time without a zone as UTC, in which all of ours are."""
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.replace(tzinfo=UTC) if isinstance(at, datetime) and at.tzinfo is None else at


Moment = Annotated[Timestamp, BeforeValidator(_with_zone)]


class Override(Part):
    """Limits set at run time."""

    rule: str
    mac: str | None = None
    change: LimitsChange


class Kept(Part):
    """Everything that is kept; field names are those of the file, which earlier versions read."""

    model_config = ConfigDict(allow_inf_nan=False)

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    since: Moment | None = None
    """When this installation first saw a device or a window."""
    watched_s: Annotated[float, Field(ge=0)] = 0.0
    """How much of the time since then was watched."""
    overrides: list[Override] = Field(default_factory=list, max_length=1024)
    silences: dict[str, Moment] = Field(default_factory=dict, max_length=256)
    macs: list[str] = Field(default_factory=list, max_length=8192)
    """Devices that have been told of or were there from the beginning."""
    dhcp_servers: list[str] = Field(default_factory=list, max_length=64)
    dhcp_said: dict[str, Annotated[list[tuple[str, str]], Field(max_length=768)]] = Field(
        default_factory=dict, max_length=128
    )
    """Each known server: what it told its clients, option and value."""
    routers: list[str] = Field(default_factory=list, max_length=64)
    routers_said: dict[str, Annotated[list[tuple[str, str]], Field(max_length=768)]] = Field(
        default_factory=dict, max_length=128
    )
    """Each known router: the VLANs in which it advertises itself."""
    shared: list[str] = Field(default_factory=list, max_length=1024)
    """Two MAC addresses that were reported to share an address."""
    was_up: list[str] = Field(default_factory=list, max_length=8192)
    """Targets that answered once, as earlier versions kept them."""
    rounds_since_s: Annotated[float, Field(ge=0)] | None = None
    """Seconds watched when the first round of a prober came."""
    stays: dict[str, tuple[float, float, list[tuple[float, float]]]] = Field(
        default_factory=dict, max_length=8192
    )
    """Each target: seconds there, when last, and its absences (ended, length)."""
    told: dict[str, Annotated[list[float], Field(max_length=8)]] = Field(
        default_factory=dict, max_length=8192
    )
    """Each target: when alerts on it opened within the last twelve hours watched."""
    usual: dict[str, tuple[float, float]] = Field(default_factory=dict, max_length=8192)
    """By alert: the level that is usual, and when it was reached last (seconds watched)."""
    rates: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict, max_length=8192)
    probes: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict, max_length=8192)
