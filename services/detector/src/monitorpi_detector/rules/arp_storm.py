"""ARP storm: one device asks (or answers) without end. A fast ARP sweep is one too.

Benign captures stay below 26/s, sweeps reach 234-365/s. Our own discovery is subtracted.
A cluster that takes over two hundred addresses announces them in one burst, once or twice (RFC 5227
and keepalived's ``garp_master_repeat``): nobody answers an announcement, so that frames without any
answer are a storm only when they last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import DeviceWindow
    from monitorpi_detector.views.window import WindowView


def _sent(view: WindowView, row: DeviceWindow) -> float:
    """Return the ARP frames beyond our own and beyond answers to what was asked of it.

    Most ask everybody for it: then answers are what is sent to one host each, as far as others
    asked everybody at all.
    """
    sent = row.tx.get("arp", 0)
    answers = max(0, sent - row.tx.get("broadcast", 0))
    asked = row.rx.get("arp", 0)
    if answers > asked:
        by_others = view.traffic.counts.get("arp", 0) - view.directed("arp") - (sent - answers)
        asked = max(asked, min(answers, by_others))
    return max(0.0, sent - asked - view.own_arp(row.mac))


def _on_wire(view: WindowView) -> float:
    answers = min(view.directed("arp"), view.traffic.counts.get("arp", 0) - view.directed("arp"))
    ours = [view.rows[mac] for mac in view.inventory.own_macs if mac in view.rows]
    own = sum(min(view.own_arp(row.mac), row.tx.get("arp", 0)) for row in ours)
    return max(0.0, view.traffic.counts.get("arp", 0) - max(answers, 0) - 2 * own)


def _announces(view: WindowView, row: DeviceWindow) -> bool:
    """Return whether nobody answers a sender, unless answers cannot be seen."""
    return view.traffic.sees_replies is not False and not row.rx.get("arp")


_STORM: Final = storm.Storm(
    "arp", "ARP storm or sweep", "ARP/s", _sent, _on_wire, nobody=5.0, may_be_brief=_announces
)


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders of many ARP frames."""
    yield from storm.judge(view, limits, _STORM)


RULE: Final = Rule(
    name="arp-storm", title="ARP storm", unit="ARP/s", judge=judge,
    defaults=Limits(floor=100.0, usual_after_s=storm.USUAL_AFTER_S),
)  # fmt: skip
