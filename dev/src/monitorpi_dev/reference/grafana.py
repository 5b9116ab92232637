"""contracts/grafana-*.json: the metrics of the page as dashboards for Grafana, as code.

``SITE`` shows one site, ``SITES`` many side by side. They ask Prometheus, or what answers like it:
each query is run in a test against real servers that have scraped the page. Where a site is alone
its series have no label ``site``, which the choice of all of them takes, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_CHOSEN: Final = 'site=~"$site"'
_EACH: Final = "[$__rate_interval]"
_WIDTH: Final = 24
"""Columns of a dashboard's grid."""
_SCHEMA: Final = 36
"""Of Grafana 9 and newer, which bring an older dashboard to their own form."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a dashboard: queries, each with the text of its legend."""

    title: str
    kind: str
    queries: tuple[tuple[str, str], ...]
    width: int
    height: int
    unit: str = "short"
    note: str = ""
    stacked: bool = False
    steps: tuple[tuple[str, float | None], ...] = ()
    """Colours, each from a value on."""


@dataclass(frozen=True, slots=True)
class GrafanaBoard:
    """A dashboard."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str, str], ...]
    """Name, label, and the query for what can be chosen, several at a time."""
    alerts: str
    """Legend of the alerts on the axis of time."""

    @property
    def queries(self) -> tuple[str, ...]:
        """All it asks."""
        return tuple(query for panel in self.panels for query, _ in panel.queries)


def _of(metric: str, *labels: str) -> str:
    """Return the selector of a metric's series of the sites that are chosen."""
    return f"monitorpi_{metric}{{{','.join([_CHOSEN, *labels])}}}"


def _wire(metric: str) -> str:
    return _of(f"wire_{metric}", 'interface=~"$interface"')


_GOOD_FROM_1: Final = (("red", None), ("green", 1.0))
_BAD_FROM_1: Final = (("green", None), ("red", 1.0))
_SENT: Final = _of("device_bytes_per_second", 'direction="tx"')
_PANELS: Final = (
    Panel(
        "Watch", "stat", ((f"{_of('watch_state')} == 1", "{{state}}"),), 5, 4,
        note="`watching`: all that is expected is seen; `partly`; `blind`.",
    ),
    Panel(
        "Open alerts", "stat", ((_of("alerts_open"), ""),), 4, 4, steps=_BAD_FROM_1,
    ),
    Panel(
        "Targets up", "stat",
        ((f"sum({_of('target_up')})", "up"), (f"count({_of('target_up')})", "of")), 5, 4,
    ),
    Panel("Devices present", "stat", ((_of("devices", 'present="true"'), ""),), 5, 4),
    Panel(
        "Since the newest window", "stat", ((_of("silent_seconds"), ""),), 5, 4, unit="s",
        steps=(("green", None), ("red", 5.0)),
    ),
    Panel(
        "Frames by class", "timeseries",
        ((f"sum by (class) (rate({_wire('class_frames_total')}{_EACH}))", "{{class}}"),),
        12, 9, unit="pps", note="Classes overlap: their sum is more than all frames.",
    ),
    Panel(
        "Traffic", "timeseries",
        ((f"8 * sum by (interface) (rate({_wire('bytes_total')}{_EACH}))",
          "{{interface}}"),),
        12, 9, unit="bps", stacked=True,
    ),
    Panel(
        "Frames", "timeseries",
        ((f"sum by (interface) (rate({_wire('frames_total')}{_EACH}))",
          "{{interface}}"),),
        8, 8, unit="pps", stacked=True,
    ),
    Panel(
        "What was not seen", "timeseries",
        (
            (_wire("lost_frames"), "frames lost by the sensor, {{interface}}"),
            (f"rate({_wire('lost_windows_total')}{_EACH})",
             "windows that never arrived, {{interface}}"),
        ),
        8, 8,
    ),
    Panel(
        "Source MAC addresses", "timeseries",
        ((_wire("source_macs"), "{{interface}}"),), 8, 8,
    ),
    Panel(
        "Alerts that are open", "table",
        ((_of("alert_open"), ""),), 12, 8, note="One line for each.",
    ),
    Panel(
        "Busiest devices, sent", "timeseries",
        ((f"topk(10, 8 * sum by (name, mac) ({_SENT}))", "{{name}} {{mac}}"),),
        12, 8, unit="bps", note="With `dashboard.metrics_devices`.",
    ),
    Panel(
        "Round trips", "timeseries",
        (
            (_of("target_round_trip_seconds", 'statistic="p50"'), "{{name}}"),
            (_of("target_round_trip_seconds", 'statistic="p95"'), "{{name}}, 95 %"),
        ),
        8, 8, unit="s",
    ),
    Panel(
        "Loss", "timeseries", ((_of("target_loss_ratio"), "{{name}}"),), 8, 8,
        unit="percentunit",
    ),
    Panel(
        "Jitter", "timeseries", ((_of("target_jitter_seconds"), "{{name}}"),), 4, 8, unit="s",
    ),
    Panel("MOS", "timeseries", ((_of("target_mos"), "{{name}}"),), 4, 8),
    Panel(
        "Services", "stat", ((f"min by (service) ({_of('service_up')})", "{{service}}"),), 8, 8,
        steps=_GOOD_FROM_1, note="1: every instance is connected.",
    ),
    Panel(
        "Their memory", "timeseries",
        ((_of("service_resident_memory_bytes"), "{{service}} {{instance}}"),), 8, 8,
        unit="bytes",
    ),
    Panel(
        "Messages that were not taken", "timeseries",
        tuple(
            (f"rate({_of(f'service_messages_{what}_total')}{_EACH}) > 0", what + ", {{service}}")
            for what in ("rejected", "refused", "queue_dropped")
        ),
        8, 8, note="Nothing here is good news.",
    ),
)  # fmt: skip
_NAMES: Final = "label_values(monitorpi_silent_seconds, site)"
_INTERFACES: Final = 'label_values(monitorpi_wire_frames_total{site=~"$site"}, interface)'
SITE: Final = GrafanaBoard(
    "monitorpi", "MonitorPi", _PANELS,
    (("site", "Site", _NAMES), ("interface", "Interface", _INTERFACES)), "{{rule}}",
)  # fmt: skip


def _by_site(how: str, series: str) -> tuple[str, str]:
    return f"{how} by (site) ({series})", "{{site}}"


def _classes(*names: str) -> str:
    chosen = "|".join(names)
    return f"rate({_of('wire_class_frames_total', f'class=~{chr(34)}{chosen}{chr(34)}')}{_EACH})"


_SIDE_BY_SIDE: Final = (
    Panel(
        "Watch", "stat", ((f"max by (site, state) ({_of('watch_state')}) == 1",
                           "{{site}}: {{state}}"),), 12, 6,
        note="`watching`: all that is expected is seen; `partly`; `blind`.",
    ),
    Panel(
        "Open alerts", "stat", (_by_site("sum", _of("alerts_open")),), 6, 6, steps=_BAD_FROM_1,
    ),
    Panel(
        "Since the newest window", "stat", (_by_site("max", _of("silent_seconds")),), 6, 6,
        unit="s", steps=(("green", None), ("red", 5.0)),
        note="A site that is gone has none: the rules over sites tell of it.",
    ),
    Panel(
        "Alerts that are open", "table", ((_of("alert_open"), ""),), 12, 9,
        note="One line for each; one attacker at two sites stands there twice.",
    ),
    Panel(
        "Targets that are down", "timeseries",
        (_by_site("sum", f"1 - {_of('target_up')}"),), 6, 9,
    ),
    Panel(
        "Devices present", "timeseries", (_by_site("sum", _of("devices", 'present="true"')),), 6, 9,
    ),
    Panel(
        "Traffic", "timeseries",
        (_by_site("8 * sum", f"rate({_of('wire_bytes_total')}{_EACH})"),), 12, 9, unit="bps",
    ),
    Panel(
        "Frames", "timeseries", (_by_site("sum", f"rate({_of('wire_frames_total')}{_EACH})"),),
        12, 9, unit="pps",
    ),
    Panel("SYN", "timeseries", (_by_site("sum", _classes("syn")),), 8, 8, unit="pps"),
    Panel("ICMP", "timeseries", (_by_site("sum", _classes("icmp")),), 8, 8, unit="pps"),
    Panel(
        "Broadcast and ARP", "timeseries", (_by_site("sum", _classes("broadcast", "arp")),), 8, 8,
        unit="pps", note="A broadcast of ARP counts in both.",
    ),
    Panel(
        "Slowest round trip", "timeseries",
        (_by_site("max", _of("target_round_trip_seconds", 'statistic="p95"')),), 8, 8, unit="s",
    ),
    Panel(
        "Loss", "timeseries", (_by_site("avg", _of("target_loss_ratio")),), 8, 8,
        unit="percentunit", note="Mean over the targets.",
    ),
    Panel(
        "What was not seen", "timeseries",
        (
            (f"sum by (site) ({_of('wire_lost_frames')})", "frames lost, {{site}}"),
            (f"sum by (site) (rate({_of('wire_lost_windows_total')}{_EACH}))",
             "windows that never arrived, {{site}}"),
        ),
        8, 8,
    ),
    Panel(
        "Services that are away", "timeseries",
        (_by_site("sum", f"1 - {_of('service_up')}"),), 12, 8,
    ),
    Panel(
        "Memory of the sites' services", "timeseries",
        (_by_site("sum", _of("service_resident_memory_bytes")),), 12, 8, unit="bytes",
    ),
)  # fmt: skip
SITES: Final = GrafanaBoard(
    "monitorpi-sites", "MonitorPi: sites", _SIDE_BY_SIDE, (("site", "Sites", _NAMES),),
    "{{site}}: {{rule}}",
)  # fmt: skip


def dashboard(board: GrafanaBoard) -> dict[str, Any]:
    """Return the whole, as Grafana imports it."""
    panels, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(board.panels, 1):
        if x + panel.width > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        panels.append(_panel(number, panel, place))
        x, tallest = x + panel.width, max(tallest, panel.height)
    source = {"name": "source", "label": "Data", "type": "datasource", "query": "prometheus"}
    other = {
        "title": "MonitorPi", "type": "dashboards", "tags": ["monitorpi"], "asDropdown": True,
        "includeVars": True, "keepTime": True,
    }  # fmt: skip
    return {
        "uid": board.uid,
        "title": board.title,
        "tags": ["monitorpi"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_alerts_on_the_axis(board.alerts)]},
        "links": [other],
        "templating": {"list": [source, *(_variable(*one) for one in board.variables)]},
        "panels": panels,
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "label": label, "type": "query", "datasource": _SOURCE,
        "query": {"query": query, "refId": name}, "refresh": 2, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def _alerts_on_the_axis(title: str) -> dict[str, Any]:
    return {
        "name": "Alerts", "datasource": _SOURCE, "enable": True, "iconColor": "red",
        "expr": _of("alert_open"), "titleFormat": title, "textFormat": "{{subject}}",
        "step": "15s",
    }  # fmt: skip


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    is_table = panel.kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + n), "datasource": _SOURCE, "expr": query,
            "legendFormat": legend or "__auto",
            "instant": is_table, "range": not is_table, "format": "table" if is_table else
            "time_series",
        }
        for n, (query, legend) in enumerate(panel.queries)
    ]  # fmt: skip
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.steps:
        steps = [{"color": color, "value": value} for color, value in panel.steps]
        defaults |= {
            "color": {"mode": "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
        }
    if panel.stacked:
        defaults["custom"] = {"fillOpacity": 30, "stacking": {"mode": "normal"}}
    made: dict[str, Any] = {
        "id": number, "title": panel.title, "type": panel.kind, "description": panel.note,
        "datasource": _SOURCE, "gridPos": place, "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }  # fmt: skip
    if panel.kind == "stat":
        name_too = any(legend for _, legend in panel.queries)
        made["options"] = {"textMode": "value_and_name" if name_too else "value"}
    return made
