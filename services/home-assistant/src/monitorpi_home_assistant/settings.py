"""Settings of the service for Home Assistant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from monitorpi_common.messages import WrittenMac
from monitorpi_common.settings import Section
from monitorpi_common.written import WebAddress, either


class HomeAssistantSettings(Section):
    """What Home Assistant is shown; nothing until this table has a key, such as `enabled`."""

    enabled: bool = True
    """Show it; `false` takes back what was shown."""
    devices: Annotated[
        Literal["none", "named", "all"] | list[WrittenMac],
        either("'none', 'named', 'all' or a list of MAC addresses: ['b8:27:eb:12:34:56']"),
    ] = "none"
    """A device of its own for none, for each target with a name, for all devices, or for some MAC
    addresses."""
    most_devices: Annotated[int, Field(ge=1, le=1024)] = 256
    """At most so many of them, the first that were seen."""
    buttons: bool = False
    """Buttons that acknowledge, and silence for an hour, all open alerts."""
    interval_s: Annotated[int, Field(ge=1, le=300)] = 10
    """Seconds between two values of the rates: Home Assistant keeps each."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "homeassistant"
    """Home Assistant's discovery prefix."""
    page: WebAddress | None = None
    """Address of the page, for the link at the device."""
