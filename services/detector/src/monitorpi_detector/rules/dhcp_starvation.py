"""DHCP starvation: one device, or many invented ones, ask for every address there is.

A client asks a few times a minute. A server answers many clients, so its frames are explained by
what others than its best customer asked. From invented MACs the wire's count and the MACs never
seen before speak together: 200 devices that boot at once stay below that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.storm import threshold_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.views.window import WindowView

_CLASS: Final = "dhcp"
_INVENTED: Final = 10.0
"""Times the floor (300/s) on the wire, with new MACs at half that rate."""


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find askers without end, and floods of invented askers."""
    base = limits(None)
    explained = 0.0
    wire = view.traffic.counts.get(_CLASS, 0)
    for row, rate in view.senders(_CLASS, limits.least):
        if view.forwards(row.mac) or _answers(view, row, wire):
            continue
        explained += rate
        threshold, usual = threshold_of(view, row.mac, _CLASS, limits(row.mac))
        yield Finding(
            subject=mac_id(row.mac),
            value=rate,
            threshold=threshold,
            text=f"DHCP starvation from {row.mac}",
            unit="DHCP/s",
            baseline=usual,
            sources=(view.source(row, row.tx[_CLASS]),),
        )
    value, invented = view.rate(wire), view.rate(view.traffic.new_macs)
    threshold = base.floor * _INVENTED
    if explained < value / 2 and value >= threshold / 2 and invented >= threshold / 4:
        yield Finding(
            subject=view.wire_subject,
            value=value,
            threshold=threshold,
            text=f"DHCP starvation on {view.traffic.interface} from {view.traffic.new_macs} "
            "invented MAC addresses",
            unit="DHCP/s",
        )
        return
    omitted = view.omitted(_CLASS)
    if view.omitted_times(_CLASS) == 1.0 and omitted >= base.floor * base.close_ratio:
        yield Finding(
            subject=view.wire_subject,
            value=omitted,
            threshold=base.floor,
            text=f"DHCP starvation on {view.traffic.interface} from MAC addresses that are not "
            "listed",
            unit="DHCP/s",
        )


def _answers(view: WindowView, row: DeviceWindow, wire: int) -> bool:
    """Return whether a sender's frames are a server's: others asked as much."""
    known = view.inventory.get(row.mac)
    if known is not None and known.serves_dhcp:
        return True
    sent = row.tx[_CLASS]
    if row.tx.get("broadcast", 0) + row.tx.get("multicast", 0) >= sent:
        return False  # a server that capture does not know answers somebody
    best = view.best_sender(_CLASS, row.mac)
    if best is None:
        return False
    if (wire - sent - best.tx[_CLASS]) * 2 >= sent or best.tx[_CLASS] > sent:
        return True
    # as many both ways: who asks does it by broadcast, having no address yet
    asks = best.tx.get("broadcast", 0) - row.tx.get("broadcast", 0)
    if best.tx[_CLASS] != sent or asks:
        return best.tx[_CLASS] == sent and asks > 0
    # renewals and INFORMs go to the server alone: who was here long before is the server
    server, client = view.inventory.get(row.mac), view.inventory.get(best.mac)
    return server is not None and client is not None and server.since_s < client.since_s


RULE: Final = Rule(
    name="dhcp-starvation", title="DHCP starvation", unit="DHCP/s", defaults=Limits(floor=30.0),
    judge=judge,
)  # fmt: skip
