"""contracts/grafana-dashboard.json: the metrics of the page as a dashboard for Grafana, as code.

It asks Prometheus, or what answers like it. ``QUERIES`` are all it asks: each is run in a test
against real servers that have scraped the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIRE: Final = '{interface=~"$interface"}'
_SENT: Final = 'monitorpi_device_bytes_per_second{direction="tx"}'
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


_GOOD_FROM_1: Final = (("red", None), ("green", 1.0))
_BAD_FROM_1: Final = (("green", None), ("red", 1.0))
PANELS: Final = (
    Panel(
        "Watch", "stat", (("monitorpi_watch_state == 1", "{{state}}"),), 5, 4,
        note="`watching`: all that is expected is seen; `partly`; `blind`.",
    ),
    Panel(
        "Open alerts", "stat", (("monitorpi_alerts_open", ""),), 4, 4, steps=_BAD_FROM_1,
    ),
    Panel(
        "Targets up", "stat",
        (("sum(monitorpi_target_up)", "up"), ("count(monitorpi_target_up)", "of")), 5, 4,
    ),
    Panel("Devices present", "stat", (('monitorpi_devices{present="true"}', ""),), 5, 4),
    Panel(
        "Since the newest window", "stat", (("monitorpi_silent_seconds", ""),), 5, 4, unit="s",
        steps=(("green", None), ("red", 5.0)),
    ),
    Panel(
        "Frames by class", "timeseries",
        ((f"sum by (class) (rate(monitorpi_wire_class_frames_total{_WIRE}{_EACH}))", "{{class}}"),),
        12, 9, unit="pps", note="Classes overlap: their sum is more than all frames.",
    ),
    Panel(
        "Traffic", "timeseries",
        ((f"8 * sum by (interface) (rate(monitorpi_wire_bytes_total{_WIRE}{_EACH}))",
          "{{interface}}"),),
        12, 9, unit="bps", stacked=True,
    ),
    Panel(
        "Frames", "timeseries",
        ((f"sum by (interface) (rate(monitorpi_wire_frames_total{_WIRE}{_EACH}))",
          "{{interface}}"),),
        8, 8, unit="pps", stacked=True,
    ),
    Panel(
        "What was not seen", "timeseries",
        (
            (f"monitorpi_wire_lost_frames{_WIRE}", "frames lost by the sensor, {{interface}}"),
            (f"rate(monitorpi_wire_lost_windows_total{_WIRE}{_EACH})",
             "windows that never arrived, {{interface}}"),
        ),
        8, 8,
    ),
    Panel(
        "Source MAC addresses", "timeseries",
        ((f"monitorpi_wire_source_macs{_WIRE}", "{{interface}}"),), 8, 8,
    ),
    Panel(
        "Alerts that are open", "table",
        (("monitorpi_alert_open", ""),), 12, 8, note="One line for each.",
    ),
    Panel(
        "Busiest devices, sent", "timeseries",
        ((f"topk(10, 8 * sum by (name, mac) ({_SENT}))", "{{name}} {{mac}}"),),
        12, 8, unit="bps", note="With `dashboard.metrics_devices`.",
    ),
    Panel(
        "Round trips", "timeseries",
        (
            ('monitorpi_target_round_trip_seconds{statistic="p50"}', "{{name}}"),
            ('monitorpi_target_round_trip_seconds{statistic="p95"}', "{{name}}, 95 %"),
        ),
        8, 8, unit="s",
    ),
    Panel(
        "Loss", "timeseries", (("monitorpi_target_loss_ratio", "{{name}}"),), 8, 8,
        unit="percentunit",
    ),
    Panel(
        "Jitter", "timeseries", (("monitorpi_target_jitter_seconds", "{{name}}"),), 4, 8, unit="s",
    ),
    Panel("MOS", "timeseries", (("monitorpi_target_mos", "{{name}}"),), 4, 8),
    Panel(
        "Services", "stat", (("min by (service) (monitorpi_service_up)", "{{service}}"),), 8, 8,
        steps=_GOOD_FROM_1, note="1: every instance is connected.",
    ),
    Panel(
        "Their memory", "timeseries",
        (("monitorpi_service_resident_memory_bytes", "{{service}} {{instance}}"),), 8, 8,
        unit="bytes",
    ),
    Panel(
        "Messages that were not taken", "timeseries",
        tuple(
            (f"rate(monitorpi_service_messages_{what}_total{_EACH}) > 0", what + ", {{service}}")
            for what in ("rejected", "refused", "queue_dropped")
        ),
        8, 8, note="Nothing here is good news.",
    ),
)  # fmt: skip
QUERIES: Final = tuple(query for panel in PANELS for query, _ in panel.queries)


def dashboard() -> dict[str, Any]:
    """Return the whole, as Grafana imports it."""
    panels, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        panels.append(_panel(number, panel, place))
        x, tallest = x + panel.width, max(tallest, panel.height)
    interfaces = "label_values(monitorpi_wire_frames_total, interface)"
    return {
        "uid": "monitorpi",
        "title": "MonitorPi",
        "tags": ["monitorpi"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_alerts_on_the_axis()]},
        "templating": {
            "list": [
                {"name": "source", "label": "Data", "type": "datasource", "query": "prometheus"},
                {
                    "name": "interface", "label": "Interface", "type": "query",
                    "datasource": _SOURCE, "query": {"query": interfaces, "refId": "interfaces"},
                    "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels,
    }  # fmt: skip


def _alerts_on_the_axis() -> dict[str, Any]:
    return {
        "name": "Alerts", "datasource": _SOURCE, "enable": True, "iconColor": "red",
        "expr": "monitorpi_alert_open", "titleFormat": "{{rule}}", "textFormat": "{{subject}}",
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
