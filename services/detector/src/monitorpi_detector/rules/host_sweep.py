"""Host sweep: one device looks for hosts, by SYNs to one port or by echo requests.

The value is distinct destinations per second, only while most of them do not answer: monitoring
and browsing reach many hosts too, and get answers. Echo sweeps in public captures reach 223/s. A
slow sweep by SYNs is known by the hosts of the last minute, one by ARP by the addresses that nobody
has of the last hour: as many as a second at the floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.port_scan import slow_scans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.views.window import WindowView

_HOSTS_PER_PORT: Final = 5
_PER_HOST: Final = 5.0
"""Frames per host and window above which it is no look but a conversation."""


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders that try many hosts in vain."""
    least = limits.least
    senders = {row.mac: row for row, _ in view.senders("syn", least)}
    senders |= {row.mac: row for row, _ in view.senders("icmp_echo", least)}
    fast: set[str] = set()
    for row in senders.values():
        own = limits(row.mac)
        sent = row.tx.get("syn", 0) + row.tx.get("icmp_echo", 0)
        hosts = row.spread.dst_ips
        if view.forwards(row.mac) or hosts == 0 or sent > _PER_HOST * hosts:
            continue
        if hosts < _HOSTS_PER_PORT * row.spread.dst_ports:
            continue
        if view.was_answered(row) or view.lost_uplink(row):
            continue  # a crawler whose answers stopped: the uplink is away, or just back
        # what one destination got is a conversation or a flood, answered or not
        one = sum(view.per_destination(row, name) for name in ("syn", "icmp_echo"))
        vain = _unanswered(view, row) - one
        if vain < (sent - one) / 2:
            continue
        value = min(view.rate(hosts), view.rate(vain))
        if value >= own.floor:
            fast.add(row.mac)
        yield Finding(
            subject=mac_id(row.mac),
            value=value,
            threshold=own.floor,
            text=f"host sweep from {row.mac}",
            unit="hosts/s",
            sources=(view.source(row, sent),),
            spread=row.spread,
            severity="warning",
        )
    yield from slow_scans(view, limits, fast, "hosts", "host sweep")
    yield from _arp_sweeps(view, limits)


def _arp_sweeps(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find hosts that ask for addresses which nobody has, at any pace."""
    for mac, addresses in view.inventory.sweepers(view.now_s):
        threshold = limits(mac).floor
        if addresses >= threshold / 2:
            yield Finding(
                subject=mac_id(mac),
                value=float(addresses),
                threshold=threshold,
                text=f"ARP sweep, or one by neighbour discovery, from {mac}",
                unit="addresses that nobody has, within an hour",
                sources=(Peer(mac=mac, ip=view.inventory.ip(mac)),),
                beyond_router=False,
                severity="warning",
                decisive=True,
            )


def _unanswered(view: WindowView, row: DeviceWindow) -> float:
    """Return the tries beyond our own probes that got neither connection nor echo reply."""
    own = view.own_echo(row.mac)
    # unreachables are ICMP too: only as many replies as the busiest answerers can have sent count
    replies = max(0, row.rx.get("icmp", 0) - row.rx.get("icmp_echo", 0))
    echo = max(0.0, row.tx.get("icmp_echo", 0) - own)
    if view.traffic.sees_replies is False:
        return view.opened_by(row).open
    return view.opened_by(row).open + max(0.0, echo - replies)


RULE: Final = Rule(
    name="host-sweep", title="host sweep", unit="hosts/s", defaults=Limits(floor=50.0), judge=judge
)
