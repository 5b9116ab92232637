"""Bounds, times and shares of the detector's parts: the figures that hold, in one place.

Each has its reason beside it in the code, and several are told of in the documentation. Most are
held by what they do as well; the others only show after hours, or where much comes at once.
"""

from __future__ import annotations

from typing import Final

import pytest
from tests.figures import assert_unchanged

FIGURES: Final[dict[str, dict[str, float]]] = {
    "alerts.closed": {
        "MAX_CLOSED": 512,
    },
    "alerts.evidence": {
        "COPIES_REPORTED": 0.1, "_MAX_SUMMARY": 400, "_MAX_PEERS": 32,
    },
    "alerts.overflow": {
        "MAX_OPEN": 32, "MAX_SUBJECTS": 8192,
    },
    "alerts.raising": {
        "CUSUM_DRIFT": 0.5, "CUSUM_RAISES": 3.0, "LASTS_M": 3, "LASTS_N": 4, "MAX_TRIGGERS": 8192,
        "_FORGET_S": 60.0, "_FEW": 64, "_SLACK": 0.5,
    },
    "alerts.silences": {
        "MAX_SILENCES": 256,
    },
    "alerts.stories": {
        "MAX_STORIES": 8192, "NIGHT_S": 43200.0, "_MAX_OPENED": 8,
    },
    "alerts.table": {
        "REFRESH_S": 10.0, "SENSOR_S": 10.0,
    },
    "alerts.usual": {
        "MAX_HABITS": 4096, "FADES_S": 86400.0, "FORGET_S": 604800.0, "MARGIN": 1.5,
        "_QUANTILE": 0.9, "_STEP": 1.1, "_PAUSE_S": 120.0,
    },
    "baseline": {
        "TAU_S": 3600.0, "MATURE_S": 600.0, "MAX_DEVICES": 4096, "_LONGEST_PAUSE_S": 300.0,
        "_FORGET_S": 2592000.0,
    },
    "bounded": {
        "STALE_S": 600.0, "RESIDENT_S": 60.0, "_YOUNG_SHARE": 8,
    },
    "core": {
        "_LONGEST_TICK_S": 5.0,
    },
    "eventtime": {
        "WATCHED_S": 60.0,
    },
    "hosts.conflicts": {
        "MAX_CONFLICTS": 8192, "MAX_SHARED": 1024, "PORTS": 8, "_LAST_MAC": 281_474_976_710_655,
        "INSISTS": 2, "NEWS_S": 60.0,
    },
    "hosts.inventory": {
        "MAX_DEVICES": 4096, "FORWARDS_S": 3600.0, "SPOOFS_FROM": 8, "KNOWN_AFTER_S": 60.0,
        "PROBE_VALID_S": 120.0, "OWN_MARGIN": 1.2, "ERRORS_WITHIN_S": 5.0, "FAST_ARP": 100.0,
        "_STILL_ASKED": 0.75, "_MAY_BE_STORM_S": 3.0, "_MAX_OWN": 32,
    },
    "hosts.servers": {
        "MAX_SERVERS": 64, "START_S": 60.0, "ADVERTISES_S": 1800.0, "NEWS_S": 60.0,
        "MAX_VALUES": 64, "MAX_STATEMENTS": 768, "_MAX_SEEN": 4096,
    },
    "hosts.slowscans": {
        "MINUTE_S": 60.0, "MAX_SCANNERS": 1024, "_MAX_SAMPLES": 64, "_LEAST_SAMPLES": 5,
        "_AS_MANY": 3.0, "_BEHIND": 4,
    },
    "hosts.sweeps": {
        "GOES_ON_S": 120.0, "MAX_SWEEPS": 1024, "_WORTH": 8,
    },
    "interfaces": {
        "MAX_INTERFACES": 64, "REPEATS": 64, "MAX_LOST": 86_400, "_STEP_S": 2.0,
    },
    "items": {
        "VERSION": 1,
    },
    "learning": {
        "LEARN_EACH": 10,
    },
    "limits": {
        "MAX_OVERRIDES": 1024,
    },
    "notices": {
        "MAX_KNOWN": 8192,
    },
    "rounds": {
        "MAX_PROBERS": 64, "WITNESS_AFTER_S": 10.0, "LEAVES_S": 40.0, "UNSURE_S": 60.0,
        "WITNESS_S": 120.0,
    },
    "rule": {
        "RAISE_AT_ONCE": 3.0, "FLOOD_AT_ONCE": 1.75, "CRITICAL_AT": 10.0,
    },
    "rules.address_denial": {
        "NEWS_S": 60.0,
    },
    "rules.arp_spoof": {
        "_ROUTER_WEIGHT": 2,
    },
    "rules.crowd": {
        "_MAX_SOURCES": 32,
    },
    "rules.degraded": {
        "_PEERS": 32, "_A_NIGHT": 2, "_KNOWN_S": 7200.0,
    },
    "rules.device_down": {
        "_A_NIGHT": 2, "_KNOWN_S": 3600.0, "_USUAL_AFTER_S": 3600.0,
    },
    "rules.dhcp_starvation": {
        "_INVENTED": 10.0,
    },
    "rules.host_sweep": {
        "_HOSTS_PER_PORT": 5, "_PER_HOST": 5.0,
    },
    "rules.icmp_flood": {
        "_ONE_DESTINATION": 0.2, "_MAINLY": 0.5, "_UNCLEAR": 3.0, "_PIECES": 45,
    },
    "rules.igmp_storm": {
        "_ANSWERS": 20,
    },
    "rules.mac_flood": {
        "_FIRST_TIMES": 20.0,
    },
    "rules.outage": {
        "_PEERS": 32, "_A_NIGHT": 4, "_WITNESSES": 0.2, "_LOST": 5.0,
    },
    "rules.port_scan": {
        "SLOW_S": 4.0, "_PORTS_PER_HOST": 5,
    },
    "rules.rogue_dhcp": {
        "_SHOWN": 2,
    },
    "rules.slow_target": {
        "_USUAL_AFTER_S": 3600.0, "_KNOWN_S": 7200.0, "_NEVER_AT_ONCE": 1000000.0,
        "_NAMED_A_NIGHT": 2, "_OTHERS_A_NIGHT": 1,
    },
    "rules.storm": {
        "USUAL_AFTER_S": 86400.0,
    },
    "rules.surge": {
        "_OFF": 1000000.0, "_USUAL_AFTER_S": 7200.0, "_FACTOR": 10.0,
    },
    "rules.syn_flood": {
        "_ONE_DESTINATION": 0.2, "_SCANS_BELOW": 5000.0, "_SCAN_SHARE": 0.25, "_SCAN_LEAST": 10,
        "_DECOYS": 16, "_ALIKE": 2.0,
    },
    "sinks.state_file": {
        "MAX_BYTES": 8_388_608, "PAUSE_S": 60.0, "NEWCOMER_S": 600.0,
        "BYTES_PER_S": 46.2962962962963,
    },
    "targets.cause": {
        "GROUP": 3, "MAX_RESUMED": 32, "_NAMES": 5,
    },
    "targets.line": {
        "ROUNDS": 8, "LIKELY": 4, "_UNKNOWN": 255,
    },
    "targets.outage": {
        "TOGETHER": 1.5, "SILENT_ROUNDS": 2, "FEW": 5, "_NEARLY_ALL": 0.9, "_MANY": 10,
        "_LASTS": 0.5, "_GRACE_S": 600.0, "_FRESH_S": 120.0,
    },
    "targets.presence": {
        "MAX_TARGETS": 8192, "DAY_S": 86400.0, "NIGHT_S": 43200.0, "WEEK_S": 604800.0,
        "DOWN_ROUNDS": 3, "_MOSTLY": 0.5, "_MADE_UP_S": 300.0, "_LOCAL_BIT": 2, "_HABIT": 3,
        "_LONGER": 2.0, "_SETTLED_S": 300.0, "_DOZES_S": 1800.0, "_PAUSE_S": 300.0,
        "STARTS_S": 180.0, "_ANSWERED_S": 120.0, "STARTS_SLOWLY_S": 600.0,
    },
    "targets.quality": {
        "SURE": 6, "TOGETHER": 4, "LATER": 12, "PAIR": 2, "_ALL": 0.9,
    },
    "views.frames": {
        "LOOPS_FROM": 0.5, "LOOPS_SENDERS": 3,
    },
    "views.handshakes": {
        "CLOSES_FROM": 1000.0, "BURST": 5200,
    },
    "views.window": {
        "LEAST_SPAN_S": 1.0, "_STRONG": 4.0, "_LOOKS": 3.0, "_BEYOND_CLIENTS": 20.0,
        "_NOBODY": 3.0, "_YOUNG_S": 10.0, "MIN_SOURCES": 3, "WAS_ANSWERED": 0.3,
        "_LAST_ANSWERS_S": 60.0, "_MOMENT_S": 3.0,
    },
    "views.wires": {
        "_KEPT": 3, "_OVERLAP": 0.5, "_MAX_PORTS": 16, "_FEW": 4, "_MAX_NAMES": 3, "_NEW_MACS": 20,
    },
    "watching": {
        "REPEAT_S": 3.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("part", FIGURES)
def test_a_figure_changes_on_purpose_only(part: str) -> None:
    """Here, and where it is told of."""
    assert_unchanged("monitorpi_detector", part, FIGURES[part])
