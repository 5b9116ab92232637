"""What is known of one device -> its message. Pure."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.text import mac_text
from monitorpi_capture.inventory.load import load_of
from monitorpi_capture.inventory.serving import Serving
from monitorpi_capture.items import counts_by_name
from monitorpi_common.messages import AddressConflict, Device, DeviceTotals, HeldAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitorpi_capture.inventory.admission import Entry
    from monitorpi_capture.inventory.asking import Asked
    from monitorpi_capture.inventory.denials import Denied
    from monitorpi_capture.inventory.holding import Dispute, Holding, Space

MAX_IPS: Final = 16
"""Addresses in a message (the contract's limit)."""
MAX_VLANS: Final = 8
"""VLANs in a message in which a router advertises itself."""
_EACH: Final = MAX_IPS // 2
"""Places a family has whatever the other one needs."""
_LOCAL: Final = 0x02
_V4: Final = 4
_HAND_MADE: Final = 1 << 32
"""Interface ids below this were set by hand or handed out; random ones are not so small."""
_INTERFACE_ID: Final = (1 << 64) - 1
_EUI_64: Final = 0xFFFE
"""In the middle of an interface id that is made of the MAC (RFC 4291, appendix A)."""


_ADDRESSES: Final = 8192
"""What is worked out of an address is remembered for so many: two for each device there can be."""


def device_message(
    entry: Entry,
    at_s: float,
    *,
    held: Sequence[Holding],
    disputes: Sequence[Dispute],
    is_router_address: Callable[[Holding], bool],
    advertised: Mapping[Space, float],
    asked: Asked | None,
    denied: Denied | None,
) -> Device:
    """Return the message about a device."""
    listed = list_addresses(held)
    serving = entry.serving or Serving()
    served, networks = serving.all(), serving.networks()
    return Device(
        mac=mac_text(entry.mac),
        role=entry.role,
        ips=list(dict.fromkeys(one.ip for one in listed)),
        addresses=[
            HeldAddress(
                ip=one.ip,
                vlan=list(one.space),
                since=_time(one.since_s),
                claimed_at=_time(one.claimed_s),
                how=one.how,
                router=is_router_address(one),
                temporary=is_temporary(one.ip) and one.how != "dhcpv6",
            )
            for one in listed
        ],
        conflicts=[_conflict(one) for one in disputes[:MAX_IPS]],
        hostname=entry.marks.name or entry.hostname,
        marks=entry.marks,
        vendor=entry.vendor,
        randomised=bool(entry.mac[0] & _LOCAL),
        dhcp_server=entry.serves_dhcp,
        dhcp_routers=list(served.routers),
        dhcp_vlans=[network.vlan for network in networks],
        dhcp_options={name: list(values) for name, values in served.options.items()},
        dhcp_networks=networks,
        dhcp_at=None if entry.dhcp_s is None else _time(entry.dhcp_s),
        advertised_at=_time(max(advertised.values())) if advertised else None,
        advertised_vlans=[list(vlan) for vlan in advertised][:MAX_VLANS],
        asked_in_vain=0 if asked is None else asked.addresses,
        asked_at=None if asked is None else _time(asked.last_s),
        denied=0 if denied is None else denied.addresses,
        denied_at=None if denied is None else _time(denied.last_s),
        interface=entry.interface or None,
        first_seen=_time(entry.first_s),
        last_seen=_time(entry.last_s),
        present=entry.present,
        totals=DeviceTotals(tx=counts_by_name(entry.tx), rx=counts_by_name(entry.rx)),
        load=load_of(entry, at_s),
    )


def list_addresses(held: Sequence[Holding]) -> list[Holding]:
    """Return what a message lists, in order: each family's own first and then its latest.

    A family that needs less than half leaves its places to the other.
    """
    families = {
        version: [one for one in held if (one.version == _V4) == (version == _V4)]
        for version in (4, 6)
    }
    room = {version: max(_EACH, MAX_IPS - len(families[10 - version])) for version in families}
    listed = []
    for version, family in families.items():
        latest = sorted(family[1:], key=lambda one: -one.claimed_s)
        listed += [*family[:1], *latest][: room[version]]
    return sorted(listed, key=lambda one: (one.version, _number(one.ip), one.space))


@lru_cache(maxsize=_ADDRESSES)
def _number(address: str) -> int:
    return int(ipaddress.ip_address(address))


@lru_cache(maxsize=_ADDRESSES)
def is_temporary(address: str) -> bool:
    """Return whether an IPv6 address ends at random: it may be given up any day (RFC 8981)."""
    ip = ipaddress.ip_address(address)
    if ip.version == _V4 or ip.is_link_local:
        return False
    interface_id = int(ip) & _INTERFACE_ID
    return interface_id >= _HAND_MADE and interface_id >> 24 & 0xFFFF != _EUI_64


def _conflict(one: Dispute) -> AddressConflict:
    return AddressConflict(
        ip=one.ip,
        vlan=list(one.space),
        holder=mac_text(one.holder),
        claimant=mac_text(one.challenger),
        claims=len(one.turns),
        since=_time(one.since_s),
        last=_time(one.last_s),
        present=one.present,
        router=one.router,
        in_turns=one.in_turns,
        relation=one.relation.value,
    )


def _time(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
