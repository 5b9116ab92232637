"""Rogue router: a device that advertises itself as an IPv6 router and is not one of the known ones.

Every host that hears a router advertisement takes its sender for a way out and its prefix for an
address of its own (RFC 4861, RFC 6104); name servers are taken from one that is no router too
(RFC 8106). How routers become known:
:mod:`monitorpi_detector.hosts.servers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.views.device import DeviceView


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find routers nobody knows."""
    device, unknown = view.device, view.unknown_router
    if unknown is None:
        return
    known = ", ".join(unknown.known[:3]) or "none"
    yield Finding(
        subject=mac_id(device.mac),
        value=1.0,
        threshold=limits(device.mac).floor,
        text=f"{device.mac} advertises itself as a router or name server (known: {known})",
        unit="routers",
        sources=(Peer(mac=device.mac, ip=device.ips[0] if device.ips else None),),
        severity=unknown.severity,
        decisive=True,
    )


RULE: Final = Rule(
    name="rogue-ra", title="rogue router", unit="routers",
    defaults=Limits(floor=1.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
