"""New device: a MAC address that was never here before. The first day of watching all are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.views.device import DeviceView


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Tell of a device that is new."""
    device = view.device
    if not view.is_new or not view.learned or device.marks.known:
        return
    words = [word for word in (device.hostname, device.vendor) if word]
    if device.randomised:
        words.append("private address")
    yield Finding(
        subject=mac_id(device.mac),
        value=1.0,
        threshold=limits(device.mac).floor,
        text=f"new device {device.mac}" + (f" ({', '.join(words)})" if words else ""),
        unit="devices",
        sources=(Peer(mac=device.mac, ip=device.ips[0] if device.ips else None),),
        severity="info",
        decisive=True,
    )


RULE: Final = Rule(
    name="new-device", title="new device", unit="devices",
    defaults=Limits(floor=1.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
