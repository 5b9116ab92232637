"""What was known before each notice of capture about a device: who is new, who may serve. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded
from monitorpi_detector.hosts.conflicts import Conflicts
from monitorpi_detector.hosts.servers import ADVERTISES_S, Servers, UnknownServer
from monitorpi_detector.hosts.statements import statements_of, vlans_of
from monitorpi_detector.views.device import DeviceView

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from monitorpi_common.messages import Device
    from monitorpi_detector.hosts.servers import Changed
    from monitorpi_detector.items import Kept
    from monitorpi_detector.settings import DetectorSettings

MAX_KNOWN: Final = 8192


class Notices:
    """Known MAC addresses, servers and routers, and conflicts of addresses."""

    def __init__(self, settings: DetectorSettings, kept: Kept) -> None:
        self._learning_s = settings.learning_s
        self._macs: Bounded[None] = Bounded(MAX_KNOWN)
        """Those that are not new; times are seconds watched."""
        for mac in kept.macs:
            self._macs.restore(mac, None, kept.watched_s)
        self.conflicts = Conflicts(settings.together, kept.shared)
        self.dhcp_servers = Servers(settings.dhcp_servers, kept.dhcp_servers, kept.dhcp_said)
        self.routers = Servers(
            settings.routers, kept.routers, kept.routers_said, start_s=ADVERTISES_S
        )

    @property
    def macs(self) -> list[str]:
        """The MAC addresses that are not new."""
        return [mac for mac, _ in self._macs.items()]

    def resume(self, macs: Iterable[str | None]) -> None:
        """Take which MAC addresses the process before us told as new: its file may be older."""
        for mac in macs:
            if mac is not None:
                self._macs.restore(mac, None, 0.0)

    def view(self, device: Device, at: datetime, watched_s: float) -> DeviceView:
        """Prepare a notice for the rules; its device is known from now on."""
        learns = watched_s < self._learning_s
        view = DeviceView(
            device=device,
            now_s=at.timestamp(),
            learned=not learns,
            is_new=device.mac not in self._macs,
            conflicts=self.conflicts.see(device),
            dhcp_news=self._server(device, at, learns=learns),
            unknown_router=self._advertiser(device, at, learns=learns),
        )
        self._macs.put(device.mac, None, watched_s)
        return view

    def _server(
        self, device: Device, at: datetime, *, learns: bool
    ) -> UnknownServer | Changed | None:
        if not device.dhcp_server:
            return None
        serves_s = None if device.dhcp_at is None else device.dhcp_at.timestamp()
        claimed = {one.ip for one in device.conflicts if one.claimant == device.mac}
        return self.dhcp_servers.see(
            device.mac, serves_s, at.timestamp(), statements_of(device), learns=learns,
            holds=set(device.ips) - claimed,
        )  # fmt: skip

    def _advertiser(self, device: Device, at: datetime, *, learns: bool) -> UnknownServer | None:
        if device.advertised_at is None:
            return None
        advertised_s = device.advertised_at.timestamp()
        says = vlans_of(device.advertised_vlans)
        news = self.routers.see(device.mac, advertised_s, at.timestamp(), says, learns=learns)
        return news if isinstance(news, UnknownServer) else None
