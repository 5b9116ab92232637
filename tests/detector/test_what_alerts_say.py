"""What an alert of each rule says, and the limits that each rule has by itself."""

from __future__ import annotations

from typing import Final

import pytest
from tests.detector.test_limits import only, opened

from monitorpi_detector.rules import RULES

SAYS: Final = {
    "loop": (
        ("repeated frames/s", "critical", 9989.001, 200.0, 1.0, 0, 0),
        (
            "loop on eth0: broadcasts of many devices come again and again, as when a cable "
            "leads back into the same LAN: 9989 repeated frames/s over 1 s (threshold 200)"
        ),
    ),
    "syn-flood": (
        ("SYN/s", "critical", 1000.0, 100.0, 1.0, 1, 1),
        (
            "SYN flood from 04:00:00:00:00:0a to 198.18.0.11 port 80 (04:00:00:00:00:0b): 1000 "
            "SYN/s over 1 s (threshold 100), 0% answered"
        ),
    ),
    "icmp-flood": (
        ("ICMP/s", "critical", 1000.0, 50.0, 1.0, 1, 1),
        (
            "ICMP flood from 04:00:00:00:00:0a to 198.18.0.11 (04:00:00:00:00:0b): 1000 ICMP/s "
            "over 1 s (threshold 50)"
        ),
    ),
    "broadcast-storm": (
        ("broadcasts/s", "warning", 1000.0, 200.0, 1.0, 1, 0),
        "broadcast storm from 04:00:00:00:00:0a: 1000 broadcasts/s over 1 s (threshold 200)",
    ),
    "arp-storm": (
        ("ARP/s", "critical", 1000.0, 100.0, 1.0, 1, 0),
        "ARP storm or sweep from 04:00:00:00:00:0a: 1000 ARP/s over 1 s (threshold 100)",
    ),
    "dhcp-starvation": (
        ("DHCP/s", "critical", 1000.0, 30.0, 1.0, 1, 0),
        "DHCP starvation from 04:00:00:00:00:0a: 1000 DHCP/s over 1 s (threshold 30)",
    ),
    "igmp-storm": (
        ("IGMP/s", "critical", 1000.0, 50.0, 1.0, 1, 0),
        "IGMP storm from 04:00:00:00:00:0a: 1000 IGMP/s over 1 s (threshold 50)",
    ),
    "mac-flood": (
        ("new MACs/s", "critical", 9000.0, 200.0, 1.0, 0, 0),
        (
            "MAC flood on eth0, 9000 MAC addresses in one window: 9000 new MACs/s over 1 s "
            "(threshold 200)"
        ),
    ),
    "port-scan": (
        ("ports/s", "warning", 900.0, 50.0, 1.0, 1, 1),
        (
            "port scan from 04:00:00:00:00:0a to 198.18.0.11 port 80 (04:00:00:00:00:0b): 900 "
            "ports/s over 1 s (threshold 50), 0% answered"
        ),
    ),
    "host-sweep": (
        ("hosts/s", "warning", 199.0, 50.0, 1.0, 1, 0),
        "host sweep from 04:00:00:00:00:0a: 199 hosts/s over 1 s (threshold 50)",
    ),
    "uplink-down": (
        ("targets", "critical", 3.0, 1.0, 8.0, 0, 3),
        (
            "the uplink is away: nothing beyond the router answers (printer, printer, printer), "
            "2 targets on the LAN do: 3 targets (threshold 1)"
        ),
    ),
    "new-device": (
        ("devices", "info", 1.0, 1.0, 1.0, 1, 0),
        "new device 04:00:00:00:00:0a: 1 devices (threshold 1)",
    ),
    "arp-spoof": (
        ("claims", "critical", 2.0, 2.0, 1.0, 1, 1),
        (
            "04:00:00:00:00:0a claims the address 198.18.0.1 of the router that "
            "04:00:00:00:00:01 holds: 2 claims (threshold 2)"
        ),
    ),
    "address-denial": (
        ("addresses within ten minutes", "critical", 9.0, 3.0, 1.0, 1, 0),
        (
            "04:00:00:00:00:0a answers for addresses that nobody has, so that no newcomer gets "
            "one: 9 addresses within ten minutes (threshold 3)"
        ),
    ),
    "rogue-dhcp": (
        ("servers", "critical", 1.0, 1.0, 1.0, 1, 0),
        (
            "unknown DHCP server 04:00:00:00:00:0a (known: 04:00:00:00:00:01): 1 servers "
            "(threshold 1)"
        ),
    ),
    "rogue-ra": (
        ("routers", "critical", 1.0, 1.0, 1.0, 1, 0),
        (
            "04:00:00:00:00:0a advertises itself as a router or name server (known: "
            "04:00:00:00:00:01): 1 routers (threshold 1)"
        ),
    ),
    "cut-off": (
        ("targets", "critical", 5.0, 1.0, 8.0, 0, 5),
        (
            "this Pi is cut off: none of 5 targets answers since the same moment: its own link, "
            "or the switch it is on (printer, printer, printer, printer, printer): 5 targets "
            "(threshold 1)"
        ),
    ),
    "group-down": (
        ("targets", "warning", 3.0, 1.0, 8.0, 0, 3),
        (
            "3 devices went at the same moment (printer, printer, printer), 2 others answer: a "
            "switch, an access point or a fuse: 3 targets (threshold 1)"
        ),
    ),
    "device-down": (
        ("devices", "info", 1.0, 1.0, 8.0, 0, 1),
        "printer (198.18.0.11) is down: 1 devices (threshold 1)",
    ),
    "answers-no-pings": (
        ("devices", "info", 1.0, 1.0, 8.0, 0, 1),
        (
            "printer (198.18.0.11) answers no pings, but it sends frames (04:00:00:00:00:0b, 0 s "
            "ago): 1 devices (threshold 1)"
        ),
    ),
    "uplink-degraded": (
        ("targets", "info", 3.0, 1.0, 8.0, 0, 3),
        (
            "the uplink is bad (0% lost, 900 ms): printer, printer, printer answer badly since "
            "the same time, 2 targets on the LAN are well: 3 targets (threshold 1)"
        ),
    ),
    "group-degraded": (
        ("targets", "info", 3.0, 1.0, 8.0, 0, 3),
        (
            "3 devices answer badly (0% lost, 900 ms) since the same time (printer, printer, "
            "printer), 2 others are well: an access point, a switch or a full link: 3 targets "
            "(threshold 1)"
        ),
    ),
    "high-loss": (
        ("loss ratio", "info", 0.9, 0.25, 8.0, 0, 1),
        "printer (198.18.0.11) loses packets: 90 % (threshold 25)",
    ),
    "high-delay": (
        ("ms", "info", 900.0, 100.0, 8.0, 0, 1),
        "printer (198.18.0.11) has high round-trip delay: 900 ms (threshold 100)",
    ),
    "high-jitter": (
        ("ms", "info", 900.0, 30.0, 8.0, 0, 1),
        "printer (198.18.0.11) has high jitter: 900 ms (threshold 30)",
    ),
    "sensor-blind": (
        ("s without a window", "critical", 10.0, 10.0, 1.0, 0, 0),
        "nothing is seen on eth0: 10 s without a window (threshold 10)",
    ),
    "sensor-loses": (
        ("% of frames", "warning", 100.0, 1.0, 1.0, 0, 0),
        "the sensor loses frames of eth0: 100 % of frames (threshold 1)",
    ),
    "service-missing": (
        ("s away", "warning", 10.0, 10.0, 1.0, 0, 0),
        "the prober is not running: 10 s away (threshold 10)",
    ),
}
"""Unit, severity, value, threshold, length, sources and victims, and the sentence."""

LIMITS: Final = {
    "loop": ((200.0, 4.0, 2, 3, 1.5, 0.5, 15.0, True, None), "flood"),
    "syn-flood": ((100.0, 4.0, 2, 3, 1.75, 0.5, 15.0, True, None), "flood"),
    "icmp-flood": ((50.0, 4.0, 2, 3, 1.75, 0.5, 15.0, True, None), "flood"),
    "broadcast-storm": ((200.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, 86400.0), "flood"),
    "arp-storm": ((100.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, 86400.0), "flood"),
    "dhcp-starvation": ((30.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, None), "flood"),
    "igmp-storm": ((50.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, 86400.0), "flood"),
    "mac-flood": ((200.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, None), "flood"),
    "port-scan": ((50.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, None), "flood"),
    "host-sweep": ((50.0, 4.0, 2, 3, 3.0, 0.5, 15.0, True, None), "flood"),
    "uplink-down": ((1.0, 4.0, 5, 6, 3.0, 0.5, 30.0, True, None), "outage"),
    "new-device": ((1.0, 4.0, 2, 3, 3.0, 0.5, 300.0, True, None), "notice"),
    "arp-spoof": ((2.0, 4.0, 2, 3, 3.0, 0.5, 300.0, True, None), "notice"),
    "address-denial": ((3.0, 4.0, 2, 3, 3.0, 0.5, 300.0, True, None), "notice"),
    "rogue-dhcp": ((1.0, 4.0, 2, 3, 3.0, 0.5, 300.0, True, None), "notice"),
    "rogue-ra": ((1.0, 4.0, 2, 3, 3.0, 0.5, 300.0, True, None), "notice"),
    "cut-off": ((1.0, 4.0, 5, 6, 3.0, 0.5, 30.0, True, None), "outage"),
    "group-down": ((1.0, 4.0, 5, 6, 3.0, 0.5, 30.0, True, None), "outage"),
    "device-down": ((1.0, 4.0, 2, 3, 3.0, 0.5, 30.0, True, None), "effect"),
    "answers-no-pings": ((1.0, 4.0, 2, 3, 3.0, 0.5, 30.0, True, 3600.0), "effect"),
    "uplink-degraded": ((1.0, 4.0, 2, 3, 3.0, 0.5, 60.0, True, 3600.0), "effect"),
    "group-degraded": ((1.0, 4.0, 2, 3, 3.0, 0.5, 60.0, True, 3600.0), "effect"),
    "high-loss": ((0.25, 3.0, 6, 8, 1000000.0, 0.5, 60.0, True, 3600.0), "effect"),
    "high-delay": ((100.0, 3.0, 6, 8, 3.0, 0.5, 60.0, True, 3600.0), "effect"),
    "high-jitter": ((30.0, 3.0, 6, 8, 1000000.0, 0.5, 60.0, True, 3600.0), "effect"),
    "sensor-blind": ((10.0, 4.0, 2, 3, 3.0, 0.5, 3.0, True, None), "notice"),
    "sensor-loses": ((1.0, 4.0, 2, 3, 3.0, 0.5, 30.0, True, None), "notice"),
    "service-missing": ((10.0, 4.0, 2, 3, 3.0, 0.5, 3.0, True, None), "notice"),
}
"""Floor, factor, m of n, at once, close ratio, quiet time, on, when it is usual; and the kind."""

SURGES: Final = {
    "surge-arp": 1000.0,
    "surge-icmp": 2000.0,
    "surge-igmp": 500.0,
    "surge-dhcp": 500.0,
    "surge-dns": 500.0,
    "surge-mdns": 200.0,
    "surge-syn-ack": 2000.0,
    "surge-rst": 2000.0,
    "surge-fin": 2000.0,
    "surge-malformed": 100.0,
}
"""The floors of those that are on."""


@pytest.mark.parametrize("rule", [name for name in RULES if not name.startswith("surge-")])
def test_what_an_alert_says(rule: str) -> None:
    """In figures, and in one sentence."""
    detector = only(rule)
    assert opened(detector, rule)

    alert = next(one for one in detector.alerts if one.rule == rule)
    found = alert.evidence

    figures, sentence = SAYS[rule]
    counts = (found.window_s, len(found.sources), len(found.victims))
    assert (found.unit, alert.severity, found.value, found.threshold, *counts) == figures
    assert alert.summary == sentence


@pytest.mark.parametrize("rule", RULES)
def test_which_limits_a_rule_has_by_itself(rule: str) -> None:
    """As the documentation says; surges that are off have none that could be reached."""
    one = RULES[rule].defaults
    limits = (
        one.floor, one.factor, one.raise_m, one.raise_n, one.raise_at_once, one.close_ratio,
        one.quiet_s, one.enabled, one.usual_after_s,
    )  # fmt: skip

    if rule.startswith("surge-"):
        floor = SURGES.get(rule, 1e6)
        assert limits == (floor, 10.0, 3, 5, 3.0, 0.5, 15.0, rule in SURGES, 7200.0)
        assert RULES[rule].kind == "effect"
    else:
        assert (limits, RULES[rule].kind) == LIMITS[rule]
