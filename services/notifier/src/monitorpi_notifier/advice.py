"""What each rule is called in a message, and what to do about it at three in the morning. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple


class Advice(NamedTuple):
    """A rule for people."""

    title: str
    todo: str


BLIND: Final = "watch-blind"
"""The rule that this service itself adds: nobody watches."""

_UNPLUG: Final = "Unplug it or shut its switch port, then look at what it runs."
_LOOP: Final = "Unplug it. If many devices do it at once, look for a cable loop."

_RULES: Final[dict[str, Advice]] = {
    "syn-flood": Advice("SYN flood", _UNPLUG + " From beyond the router: limit it there."),
    "icmp-flood": Advice("ICMP flood", _UNPLUG + " From beyond the router: limit it there."),
    "port-scan": Advice("port scan", "If nobody started a scan: take the device off the LAN."),
    "host-sweep": Advice("host sweep", "If nobody started a scan: take the device off the LAN."),
    "broadcast-storm": Advice("broadcast storm", _LOOP),
    "igmp-storm": Advice("IGMP storm", _LOOP),
    "arp-storm": Advice("ARP storm", "Look what it runs: a scanner, a wrong netmask, malware."),
    "loop": Advice("cable loop", "Pull the cable that was plugged in last; switch on STP."),
    "arp-spoof": Advice(
        "ARP spoofing", "Compare both MAC addresses with the labels; unplug the stranger."
    ),
    "address-denial": Advice(
        "addresses are denied", "Unplug it: it says of every address that it is taken."
    ),
    "rogue-dhcp": Advice("rogue DHCP server", "Unplug it, or switch its DHCP off."),
    "rogue-ra": Advice("rogue IPv6 router", "Unplug it, or switch its router advertisements off."),
    "dhcp-starvation": Advice("DHCP starvation", "Shut its port; renew leases afterwards."),
    "mac-flood": Advice("MAC flood", "Find its switch port and shut it; limit MACs per port."),
    "new-device": Advice("new device", "Do you know it? If not, find its switch port."),
    "device-down": Advice("device down", "Look at its power and its cable."),
    "answers-no-pings": Advice("answers no pings", "It sends frames: probably its firewall."),
    "cut-off": Advice("this Pi is cut off", "Look at the Pi's own link first."),
    "uplink-down": Advice("uplink down", "Restart the modem, ask the provider."),
    "group-down": Advice(
        "several devices down", "Look for what they share: a switch, an access point, a fuse."
    ),
    "high-loss": Advice("packet loss", "Look at its load on the page, its cable, its Wi-Fi."),
    "high-delay": Advice("high delay", "Look at its load on the page, its cable, its Wi-Fi."),
    "high-jitter": Advice("high jitter", "Look at its load on the page, its cable, its Wi-Fi."),
    "sensor-blind": Advice("sensor blind", "Is the mirror port's cable plugged in?"),
    "sensor-loses": Advice("sensor loses frames", "Mirror fewer ports, or use the engine ebpf."),
    "service-missing": Advice("a service is missing", "Its last log lines say why."),
    BLIND: Advice("nobody watches", "Run ./monitorpi doctor on the Pi."),
}


def advice(rule: str) -> Advice:
    """Return what a rule is called and what to do; a rule of somebody else's gets its name."""
    known = _RULES.get(rule)
    if known is not None:
        return known
    if rule.startswith("surge-"):
        title = f"surge of {rule.removeprefix('surge-').replace('_', '-')}"
        return Advice(title, "Look what it does. If that is right, raise the floor of this rule.")
    return Advice(rule.replace("-", " "), "See docs/alerts.md.")
