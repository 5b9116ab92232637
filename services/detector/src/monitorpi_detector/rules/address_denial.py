"""Denial of addresses: a device that answers others' duplicate address detection.

Hosts ask whether anybody has an address before they take it, and take another one if so (RFC 4862,
RFC 5227). Who answers for addresses that nobody has keeps every newcomer off the LAN. A duplicate
is one address of a device that holds it; three that nobody held are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.views.device import DeviceView

NEWS_S: Final = 60.0
"""Older answers were news before."""


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find who keeps addresses from others."""
    device = view.device
    if device.denied_at is None or view.now_s - device.denied_at.timestamp() > NEWS_S:
        return
    yield Finding(
        subject=mac_id(device.mac),
        value=float(device.denied),
        threshold=limits(device.mac).floor,
        text=f"{device.mac} answers for addresses that nobody has, so that no newcomer gets one",
        unit="addresses within ten minutes",
        sources=(Peer(mac=device.mac, ip=device.ips[0] if device.ips else None),),
        severity="critical",
        decisive=True,
    )


RULE: Final = Rule(
    name="address-denial", title="denial of addresses", unit="addresses", judge=judge,
    defaults=Limits(floor=3.0, quiet_s=300.0), kind="notice",
)  # fmt: skip
