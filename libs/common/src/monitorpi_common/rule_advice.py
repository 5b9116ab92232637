"""What to do about an alert of each rule, in one line, at three in the morning. Pure."""

from __future__ import annotations

from typing import Final

_UNPLUG: Final = "Unplug it or shut its switch port, then look at what it runs."
_LOOP: Final = "Unplug it. If many devices do it at once, look for a cable loop."

_ADVICE: Final[dict[str, str]] = {
    "syn-flood": _UNPLUG + " From beyond the router: limit it there.",
    "icmp-flood": _UNPLUG + " From beyond the router: limit it there.",
    "port-scan": "If nobody started a scan: take the device off the LAN.",
    "host-sweep": "If nobody started a scan: take the device off the LAN.",
    "broadcast-storm": _LOOP,
    "igmp-storm": _LOOP,
    "arp-storm": "Look what it runs: a scanner, a wrong netmask, malware.",
    "loop": "Pull the cable that was plugged in last; switch on STP.",
    "arp-spoof": "Compare both MAC addresses with the labels; unplug the stranger.",
    "rogue-dhcp": "Unplug it, or switch its DHCP off.",
    "rogue-ra": "Unplug it, or switch its router advertisements off.",
    "address-denial": "Unplug it: it says of every address that it is taken.",
    "dhcp-starvation": "Shut its port; renew leases afterwards.",
    "mac-flood": "Find its switch port and shut it; limit MACs per port.",
    "new-device": "Do you know it? If not, find its switch port.",
    "device-down": "Look at its power and its cable.",
    "answers-no-pings": "It sends frames: probably its firewall.",
    "cut-off": "Look at the Pi's own link first.",
    "uplink-down": "Restart the modem, ask the provider.",
    "group-down": "Look for what they share: a switch, an access point, a fuse.",
    "uplink-degraded": "Look at its load on the page; else ask the provider.",
    "group-degraded": "Look for what they share: an access point, a switch, a full link.",
    "high-loss": "Look at its load on the page, its cable, its Wi-Fi.",
    "high-delay": "Look at its load on the page, its cable, its Wi-Fi.",
    "high-jitter": "Look at its load on the page, its cable, its Wi-Fi.",
    "sensor-blind": "Is the mirror port's cable plugged in?",
    "sensor-loses": "Mirror fewer ports, or use the engine ebpf.",
    "service-missing": "Its last log lines say why.",
}


def rule_advice(rule: str) -> str:
    """Return what to do; of a rule that is not known, where to read on."""
    if rule.startswith("surge-"):
        return "Look what it does. If that is right, raise the floor of this rule."
    return _ADVICE.get(rule, "See docs/alerts.md.")
