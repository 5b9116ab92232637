"""Rogue DHCP server: a device that hands out addresses and is not one of the known servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.view import DeviceView


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find servers nobody knows."""
    device = view.device
    if not view.serves_dhcp or device.mac in view.dhcp_servers or not view.dhcp_servers:
        return
    known = ", ".join(sorted(view.dhcp_servers)[:3])
    yield Finding(
        subject=mac_id(device.mac),
        value=1.0,
        threshold=limits(device.mac).floor,
        text=f"unknown DHCP server {device.mac} (known: {known})",
        unit="servers",
        sources=(Peer(mac=device.mac, ip=device.ips[0] if device.ips else None),),
        severity="critical",
        decisive=True,
    )


RULE: Final = Rule(
    name="rogue-dhcp", title="rogue DHCP server", unit="servers",
    defaults=Limits(floor=1.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
