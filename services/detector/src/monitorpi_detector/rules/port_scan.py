"""Port scan: one device tries many ports of few hosts.

The value is distinct ports per second, only while the connections come to nothing. Public scans
try 350-2,400 ports/s; ntopng calls 256 SYN/min one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.syn_flood import is_scan
from monitorpi_detector.rules.words import to_whom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.view import WindowView

_PORTS_PER_HOST: Final = 5
"""Ports per host from which it is a port scan; peers of file sharing have one port each."""


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders whose SYNs go to many ports."""
    for row, rate in view.senders("syn", limits.least):
        ports, hosts = row.spread.dst_ports, row.spread.dst_ips
        own = limits(row.mac)
        # a forwarder's ports are those of all its clients
        if view.forwards(row.mac) or ports < _PORTS_PER_HOST * max(1, hosts):
            continue
        opened = view.opened_by(row)
        if opened.open < opened.syn / 2 or not is_scan(view, row, own.floor):
            continue
        yield Finding(
            subject=mac_id(row.mac),
            value=min(view.rate(ports), rate),
            threshold=own.floor,
            text=f"port scan from {row.mac}{to_whom(row.top_peer.get('syn'))}",
            unit="ports/s",
            sources=(view.source(row, row.tx.get("syn", 0)),),
            victims=() if (peer := row.top_peer.get("syn")) is None else (peer,),
            spread=row.spread,
            answered_ratio=opened.answered_ratio,
            severity="warning",
        )


RULE: Final = Rule(
    name="port-scan", title="port scan", unit="ports/s", defaults=Limits(floor=50.0), judge=judge
)
