"""Slow scan: one device tries many ports or hosts in vain, too slowly for a window to show it.

The value is tries within a minute (:mod:`monitorpi_detector.minute`): ntopng calls 256 SYNs a
minute a scan. A fast scan has rules of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id
from monitorpi_detector.minute import LEAST
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.words import to_whom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.view import WindowView


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders whose tries add up."""
    for row, _ in view.senders("syn", LEAST / view.span_s):
        tried = view.minute.of(row.mac, view.now_s)
        value, threshold = max(tried.ports, tried.hosts), limits(row.mac).floor
        if value < threshold * limits(row.mac).close_ratio:
            continue
        at_ports = tried.ports >= tried.hosts
        peer = row.top_peer.get("syn") if at_ports else None
        yield Finding(
            subject=mac_id(row.mac),
            value=value,
            threshold=threshold,
            text=f"slow scan of {'ports' if at_ports else 'hosts'} from {row.mac}" + to_whom(peer),
            unit="tries/min",
            sources=(view.source(row, row.tx["syn"]),),
            victims=() if peer is None else (peer,),
            spread=row.spread,
            severity="warning",
            decisive=True,
        )


RULE: Final = Rule(
    name="slow-scan", title="slow scan", unit="tries/min",
    defaults=Limits(floor=240.0, quiet_s=120.0), judge=judge, kind="effect",
)  # fmt: skip
