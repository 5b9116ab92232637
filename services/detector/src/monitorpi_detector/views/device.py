"""What the rules look at in a notice about a device. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitorpi_common.messages import AddressConflict, Device
    from monitorpi_detector.hosts.servers import Changed, UnknownServer


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One notice of capture about one device, beside what was known before."""

    device: Device
    now_s: float
    learned: bool
    """The time in which everything is taken as known is over."""
    is_new: bool
    conflicts: tuple[AddressConflict, ...] = ()
    """Claims of addresses that others hold, each once."""
    dhcp_news: UnknownServer | Changed | None = None
    """It hands out addresses, and is none of those that may; or it may, and sends clients to what
    it did not send them to before."""
    unknown_router: UnknownServer | None = None
    """It advertises itself as a router, and is none of those that may."""
