"""The table ``[capture]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import from_json

from monitorpi_common.messages import WrittenMac
from monitorpi_common.settings import Section
from monitorpi_common.topics import slug
from monitorpi_common.written import InterfaceName


def _listed(value: object) -> object:
    """Take ``eth0,eth1`` of an environment variable as well as a JSON list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return from_json(value)
    return [name.strip() for name in value.split(",") if name.strip()]


def _apart(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that topics tell apart.

    Raises:
        ValueError: two would have one topic.

    """
    there: dict[str, str] = {}
    for name in names:
        id_ = slug(name)
        if there.get(id_) == name:
            raise ValueError(f"{name!r} stands there twice: once is enough")
        if id_ in there:
            raise ValueError(
                f"{there[id_]!r} and {name!r} would have one name in topics ({id_}): rename one "
                "of them"
            )
        there[id_] = name
    return names


class CaptureSettings(Section):
    """What is captured, and how much of it is published."""

    interfaces: Annotated[
        tuple[InterfaceName, ...],
        BeforeValidator(_listed),
        AfterValidator(_apart),
        Field(max_length=64),
    ] = ()
    """Network interfaces to count on; empty: the wired one that is up (health says which)."""
    engine: Literal["auto", "tcx", "ebpf", "socket"] = "auto"
    """How frames are counted: `auto` takes the best that works here."""
    max_macs: Annotated[int, Field(ge=16, le=65536)] = 4096
    """MAC addresses counted apart per interface and window; the frames of the rest are summed."""
    listed_devices: Annotated[int, Field(ge=1, le=4096)] = 256
    """MAC addresses listed in a traffic message; the rest is summed in `omitted`."""
    reporting_level: Annotated[float, Field(gt=0, le=1e6)] = 10.0
    """A MAC that sends more of one of syn, icmp_echo, arp, dhcp, igmp or broadcast is listed
    before the merely busy ones. Unit: frames/s."""
    max_devices: Annotated[int, Field(ge=1, le=4096)] = 4096
    """Devices in the inventory; beyond, those leave first that have shown least of themselves, the
    newest of them before the others."""
    absent_after_s: Annotated[float, Field(ge=10, le=86400)] = 300.0
    """A device that sent nothing for so long is absent."""
    pinned_macs: Annotated[tuple[WrittenMac, ...], Field(max_length=1024)] = ()
    """Devices that never leave the inventory and always keep counters of their own."""
    inventory_frames_per_s: Annotated[int, Field(ge=1, le=10000)] = 200
    """ARP, DHCP, NDP and mDNS frames dissected per second; more are dropped and counted."""
