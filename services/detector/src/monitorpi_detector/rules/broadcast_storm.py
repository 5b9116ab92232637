"""Broadcast storm: a loop or a broken device. ARP, DHCP and pings are left to their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow, Tally
    from monitorpi_detector.views.window import WindowView


def _plain(tally: Tally) -> float:
    """Return the broadcasts that no rule of their own explains, as far as the counts can tell."""
    explained = sum(tally.get(name, 0) for name in ("arp", "dhcp", "icmp_echo"))
    return max(0.0, float(tally.get("broadcast", 0) - explained))


def _sent(view: WindowView, row: DeviceWindow) -> float:
    del view
    return _plain(row.tx)


def _on_wire(view: WindowView) -> float:
    return _plain(view.traffic.counts)


_STORM: Final = storm.Storm(
    "broadcast", "broadcast storm", "broadcasts/s", _sent, _on_wire, nobody=5.0
)


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders of many broadcasts."""
    yield from storm.judge(view, limits, _STORM)


RULE: Final = Rule(
    name="broadcast-storm", title="broadcast storm", unit="broadcasts/s",
    defaults=Limits(floor=200.0, usual_after_s=storm.USUAL_AFTER_S), judge=judge,
)  # fmt: skip
