"""Rogue DHCP server: a device that hands out addresses and is not one of the known servers.

DHCP and DHCPv6 alike. Who answers without an address to hand out (a PXE helper, answers to INFORM)
is no server. How servers become known: :mod:`monitorpi_detector.hosts.servers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.views.window import DeviceView


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find servers nobody knows."""
    device, stranger = view.device, view.dhcp_stranger
    if stranger is None:
        return
    known = ", ".join(stranger.known[:3]) or "none"
    says = ", ".join(sorted(stranger.says)[:2])
    yield Finding(
        subject=mac_id(device.mac),
        value=1.0,
        threshold=limits(device.mac).floor,
        text=f"unknown DHCP server {device.mac}"
        + (f" tells of another router, {says}" if says else "")
        + f" (known: {known})",
        unit="servers",
        sources=(Peer(mac=device.mac, ip=device.ips[0] if device.ips else None),),
        severity=stranger.severity,
        decisive=True,
    )


RULE: Final = Rule(
    name="rogue-dhcp", title="rogue DHCP server", unit="servers",
    defaults=Limits(floor=1.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
