"""ARP spoofing: an address that moves between two present MACs.

A lease that goes to another device moves once, when the first one has left. The same address
claimed in turns by two devices that are both here is forged by one of them; at once if it is a
router's, for that is what an eavesdropper takes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.view import DeviceView

_ROUTER_WEIGHT: Final = 2


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find addresses of others that a device claims."""
    for one in view.taken:
        router = one.address in view.router_ips
        yield Finding(
            subject=mac_id(one.by),
            value=float(one.moves * (_ROUTER_WEIGHT if router else 1)),
            threshold=limits(one.by).floor,
            text=f"{one.by} and {one.holder} both claim the address {one.address}"
            + (" of the router" if router else ""),
            unit="moves",
            sources=(Peer(mac=one.by, ip=one.address),),
            victims=(Peer(mac=one.holder, ip=one.address),),
            severity="critical" if router else "warning",
            decisive=True,
        )


RULE: Final = Rule(
    name="arp-spoof", title="ARP spoofing", unit="moves",
    defaults=Limits(floor=2.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
