"""What the detector's rules are called where people read of them. Pure."""

from __future__ import annotations

from typing import Final

from monitorpi_common.messages import CLASSES
from monitorpi_common.topics import slug

RULE_TITLES: Final[dict[str, str]] = {
    "syn-flood": "SYN flood",
    "icmp-flood": "ICMP flood",
    "port-scan": "port scan",
    "host-sweep": "host sweep",
    "broadcast-storm": "broadcast storm",
    "igmp-storm": "IGMP storm",
    "arp-storm": "ARP storm",
    "loop": "cable loop",
    "arp-spoof": "ARP spoofing",
    "rogue-dhcp": "rogue DHCP server",
    "rogue-ra": "rogue IPv6 router",
    "address-denial": "addresses denied",
    "dhcp-starvation": "DHCP starvation",
    "mac-flood": "MAC flood",
    "new-device": "new device",
    "device-down": "device down",
    "answers-no-pings": "answers no pings",
    "cut-off": "this Pi is cut off",
    "uplink-down": "uplink down",
    "group-down": "several devices down",
    "uplink-degraded": "uplink bad",
    "group-degraded": "several devices answer badly",
    "high-loss": "packet loss",
    "high-delay": "high delay",
    "high-jitter": "high jitter",
    "sensor-blind": "sensor blind",
    "sensor-loses": "sensor loses frames",
    "service-missing": "a service is missing",
}


def rule_names() -> tuple[str, ...]:
    """Return the name of each rule there may be."""
    return (*RULE_TITLES, *(f"surge-{slug(one)}" for one in CLASSES))


def rule_title(rule: str) -> str:
    """Return what a rule is called; one that is not known goes by its own name."""
    if rule.startswith("surge-"):
        return f"surge of {rule.removeprefix('surge-').replace('_', '-')}"
    return RULE_TITLES.get(rule, rule.replace("-", " "))
