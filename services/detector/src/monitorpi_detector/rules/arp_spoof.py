"""ARP spoofing: an address that one device claims while another one holds it.

A planned move is one claim: it counts, but an ordinary address must be claimed again after its
holder insisted. A router's address is reported with the first claim, for that is what an
eavesdropper takes first. Machines with several ports answer with either one's MAC (Linux bonding),
and sleep proxies answer for who sleeps: where MACs follow each other it is one ``info``. So is a
box that answers for others and speaks from none of their addresses, while nobody else shows that it
is the router (proxy ARP).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import AddressConflict, Severity
    from monitorpi_detector.views.device import DeviceView

_ROUTER_WEIGHT: Final = 2


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find addresses of others that a device claims."""
    for one in view.conflicts:
        yield Finding(
            subject=mac_id(one.claimant),
            value=float(one.claims * (_ROUTER_WEIGHT if one.router else 1)),
            threshold=limits(one.claimant).floor,
            text=_text(one),
            unit="claims",
            sources=(Peer(mac=one.claimant, ip=one.ip),),
            victims=(Peer(mac=one.holder, ip=one.ip),),
            severity=_severity(one),
            decisive=True,
        )


def _severity(one: AddressConflict) -> Severity:
    if one.router:
        return "warning" if one.relation == "siblings" or not one.present else "critical"
    return "info" if one.is_shared else "warning"


def _text(one: AddressConflict) -> str:
    vlan = f" in VLAN {'.'.join(map(str, one.vlan))}" if one.vlan else ""
    whose = " of the router" if one.router else ""
    if one.relation == "proxy":
        return (
            f"{one.claimant} answers for others (proxy ARP), {one.ip}{vlan}{whose} that "
            f"{one.holder} holds among them"
        )
    return f"{one.claimant} claims the address {one.ip}{vlan}{whose} that {one.holder} holds"


RULE: Final = Rule(
    name="arp-spoof", title="ARP spoofing", unit="claims",
    defaults=Limits(floor=2.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
