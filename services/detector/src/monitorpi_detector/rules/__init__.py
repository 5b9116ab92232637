"""The rules: one file each, one signature, one map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rules import (
    address_denial,
    arp_spoof,
    arp_storm,
    broadcast_storm,
    degraded,
    device_down,
    dhcp_starvation,
    host_sweep,
    icmp_flood,
    igmp_storm,
    loop,
    mac_flood,
    new_device,
    outage,
    port_scan,
    rogue_dhcp,
    rogue_ra,
    sensor,
    slow_target,
    surge,
    syn_flood,
)

if TYPE_CHECKING:
    from monitorpi_common.conclusion import Facts
    from monitorpi_detector.rule import Rule
    from monitorpi_detector.views.device import DeviceView
    from monitorpi_detector.views.rounds import RoundView
    from monitorpi_detector.views.window import WindowView

WINDOW_RULES: Final[tuple[Rule[WindowView], ...]] = (
    loop.RULE,
    syn_flood.RULE,
    icmp_flood.RULE,
    broadcast_storm.RULE,
    arp_storm.RULE,
    dhcp_starvation.RULE,
    igmp_storm.RULE,
    mac_flood.RULE,
    port_scan.RULE,
    host_sweep.RULE,
    outage.UPLINK,
    *surge.RULES,
)
"""Rules that read what capture counted in a window. Floods first: they are the cause of others,
and a loop of floods."""

DEVICE_RULES: Final[tuple[Rule[DeviceView], ...]] = (
    new_device.RULE,
    arp_spoof.RULE,
    address_denial.RULE,
    rogue_dhcp.RULE,
    rogue_ra.RULE,
)
"""Rules that read what capture says of a device."""

ROUND_RULES: Final[tuple[Rule[RoundView], ...]] = (
    *outage.RULES,
    device_down.DOWN,
    device_down.NO_PINGS,
    *degraded.RULES,
    *slow_target.RULES,
)
"""Rules that read a round of probes. Outages first: they are the cause of others."""

WATCH_RULES: Final[tuple[Rule[Facts], ...]] = sensor.RULES
"""Rules that read what the detector concludes of the sensor."""

RULES: Final[dict[str, Rule[WindowView] | Rule[DeviceView] | Rule[RoundView] | Rule[Facts]]] = {
    **{rule.name: rule for rule in WINDOW_RULES},
    **{rule.name: rule for rule in DEVICE_RULES},
    **{rule.name: rule for rule in ROUND_RULES},
    **{rule.name: rule for rule in WATCH_RULES},
}
"""Every rule by its name."""
