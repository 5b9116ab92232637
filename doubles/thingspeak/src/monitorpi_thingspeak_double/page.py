"""The double's page: each channel's fields as small plots, drawn on the server."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from monitorpi_thingspeak_double.channels import FIELDS

if TYPE_CHECKING:
    from monitorpi_thingspeak_double.channels import Channel, Cloud

_STYLE: Final = """
body { font: 15px system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem;
  color: #1b211d; background: #f6f7f5 }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1rem }
figure { margin: 0; background: #fff; border: 1px solid #dfe4df; border-radius: 8px;
  padding: .7rem }
figcaption { display: flex; justify-content: space-between; color: #5d6860; font-size: .9rem }
svg { width: 100%; height: 80px; margin-top: .4rem } polyline { fill: none; stroke: #175a9c;
  stroke-width: 1.5; vector-effect: non-scaling-stroke } li { margin: .2rem 0 }
"""
_SHOWN: Final = 400


def page(cloud: Cloud) -> str:
    """Return the page of all channels; foreign text is escaped."""
    channels = "".join(_channel(channel) for channel in cloud.channels.values())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="5"><title>ThingSpeak double</title>'
        f"<style>{_STYLE}</style><h1>ThingSpeak double</h1>"
        "<p>A stand-in on this machine. Nothing has left it.</p>"
        f"{channels or '<p>No channel yet.</p>'}</html>"
    )


def _channel(channel: Channel) -> str:
    rows = sorted(channel.rows, key=lambda row: str(row["created_at"]))[-_SHOWN:]
    plots = "".join(
        _plot(channel.labels.get(name, name), [row for row in rows if row.get(name)], name)
        for name in FIELDS
        if any(row.get(name) for row in rows)
    )
    texts = [row for row in rows if row.get("status")][-8:]
    told = "".join(f"<li>{escape(row['created_at'])} {escape(row['status'])}" for row in texts)
    return (
        f"<h2>Channel {channel.id}: {escape(channel.name)}, {len(channel.rows)} rows</h2>"
        f'<div class="plots">{plots}</div>{f"<ul>{told}</ul>" if told else ""}'
    )


def _plot(label: str, rows: list[dict[str, Any]], name: str) -> str:
    values = [_number(row[name]) for row in rows]
    top = max([*values, 1e-9])
    step = 200 / max(len(values) - 1, 1)
    points = " ".join(
        f"{index * step:.1f},{58 - 56 * value / top:.1f}" for index, value in enumerate(values)
    )
    return (
        f"<figure><figcaption><span>{escape(label)}</span><b>{values[-1]:g}</b></figcaption>"
        f'<svg viewBox="0 0 200 60" preserveAspectRatio="none"><polyline points="{points}"/></svg>'
        "</figure>"
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
