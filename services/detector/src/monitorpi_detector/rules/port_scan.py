"""Port scan: one device tries many ports of one or several hosts.

The value is ports tried per second (of each host, where there are several), only while the
connections come to nothing. Public scans try 350-2,400 ports/s; ntopng calls 256 SYN/min one. A
slow scan is known by the ports of the last minute: as many as four seconds at the floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.syn_flood import is_scan
from monitorpi_detector.rules.words import to_whom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.views.window import WindowView

SLOW_S: Final = 4.0
"""Seconds at the floor that a minute's ports or hosts must come to: 200 where the floor is 50."""
_PORTS_PER_HOST: Final = 5
"""Tries per host beyond which it is a port scan; a peer of file sharing gets one to three."""


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders whose SYNs go to many ports, at once or slowly."""
    fast: set[str] = set()
    through: set[str | None] = set()
    rows = [row for row, _ in view.senders("syn", limits.least)]
    # hosts first: a scan that passes a router on the same wire is reported once, at the host
    for row in sorted(rows, key=lambda row: view.forwards(row.mac)):
        beyond = view.forwards(row.mac)
        if not _tries_ports(row) or (beyond and row.mac in through):
            continue
        opened, own = view.opened_by(row), limits(row.mac)
        if opened.open < opened.syn / 2 or not is_scan(view, row, own.floor):
            continue
        peer = row.top_peer.get("syn")
        if peer is not None:
            through.add(peer.mac)
        value = view.rate(min(opened.syn, row.spread.dst_ports * max(1, row.spread.dst_ips)))
        if value >= own.floor:
            fast.add(row.mac)
        yield Finding(
            subject=mac_id(row.mac),
            value=value,
            threshold=own.floor,
            text=f"port scan from {f'beyond the router {row.mac}' if beyond else row.mac}"
            + to_whom(peer),
            unit="ports/s",
            sources=(view.source(row, opened.syn),),
            victims=() if peer is None else (peer,),
            spread=row.spread,
            answered_ratio=opened.answered_ratio,
            beyond_router=beyond,
            severity="warning",
        )

    yield from slow_scans(view, limits, fast, "ports", "port scan")


def slow_scans(
    view: WindowView, limits: LimitsOf, fast: set[str], of: Literal["ports", "hosts"], title: str
) -> Iterator[Finding]:
    """Find senders that tried many ports, or hosts, in vain within a minute."""
    if view.traffic.sees_replies is False:
        return
    for row in view.vain_senders:
        if row.mac in fast:
            continue
        tried = view.inventory.slow_scans.within_a_minute(row.mac, view.now_s)
        value = tried.ports if of == "ports" else tried.hosts
        threshold = SLOW_S * limits(row.mac).floor
        if value < threshold / 2 or view.forwards(row.mac):
            continue
        peer = row.top_peer.get("syn") if of == "ports" else None
        yield Finding(
            subject=mac_id(row.mac),
            value=value,
            threshold=threshold,
            text=f"slow {title} from {row.mac}{to_whom(peer)}",
            unit=f"{of} within a minute",
            sources=(view.source(row, row.tx.get("syn", 0)),),
            victims=() if peer is None else (peer,),
            spread=row.spread,
            beyond_router=False,
            severity="warning",
        )


def _tries_ports(row: DeviceWindow) -> bool:
    """Return whether hosts are tried at several ports each: peers of file sharing have one each."""
    ports, hosts, sent = row.spread.dst_ports, row.spread.dst_ips, row.tx.get("syn", 0)
    return ports >= _PORTS_PER_HOST and max(ports, sent) > _PORTS_PER_HOST * hosts


RULE: Final = Rule(
    name="port-scan", title="port scan", unit="ports/s", defaults=Limits(floor=50.0), judge=judge
)
