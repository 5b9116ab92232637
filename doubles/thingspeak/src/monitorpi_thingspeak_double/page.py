"""The double's page: each channel's fields as plots over time, drawn on the server."""

from __future__ import annotations

import math
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from monitorpi_thingspeak_double.rows import FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_thingspeak_double.channels import Channel
    from monitorpi_thingspeak_double.cloud import Cloud

SHOWN: Final = 400
"""Rows of a channel that are plotted: the newest."""
_TEXTS: Final = 8
_WIDTH: Final = 300
_HEIGHT: Final = 80
_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f6f7f5; --card: #fff; --ink: #1b211d; --soft: #5d6860;
  --line: #dfe4df; --accent: #175a9c; --fill: #175a9c1f; --mark: #b42318 }
@media (prefers-color-scheme: dark) { :root { --ground: #101412; --card: #181e1b; --ink: #e4eae5;
  --soft: #94a298; --line: #2a332d; --accent: #8cc0f5; --fill: #8cc0f526; --mark: #ff9a90 } }
* { box-sizing: border-box }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1180px;
  padding: 1.4rem 1rem 2rem; color: var(--ink); background: var(--ground);
  font-variant-numeric: tabular-nums }
header { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline;
  justify-content: space-between }
h1 { font-size: 1.3rem; margin: 0 } p { color: var(--soft); margin: 0 }
section { margin-top: 1.4rem }
h2 { font-size: 1.05rem; margin: 0 0 .7rem } h2 span { color: var(--soft); font-weight: normal }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(265px, 1fr)); gap: .9rem }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .75rem .9rem .6rem }
figcaption { display: flex; justify-content: space-between; align-items: baseline }
figcaption b { font-size: 1.25rem }
svg { display: block; width: 100%; height: 84px; margin: .4rem 0 .25rem; overflow: visible }
svg * { vector-effect: non-scaling-stroke }
.line { fill: none; stroke: var(--accent); stroke-width: 1.6; stroke-linejoin: round }
.area { fill: var(--fill); stroke: none }
.grid { stroke: var(--line); stroke-width: 1 }
.mark { stroke: var(--mark); stroke-width: 1; stroke-dasharray: 3 3 }
.dot { stroke: var(--accent); stroke-width: 5; stroke-linecap: round }
.scale { display: flex; justify-content: space-between; color: var(--soft); font-size: .78rem }
ol { list-style: none; margin: .9rem 0 0; padding: .3rem .9rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px }
li { padding: .3rem 0; display: flex; gap: .9rem }
li + li { border-top: 1px solid var(--line) } time { color: var(--soft); white-space: nowrap }
"""


class _Point(NamedTuple):
    """One value of a field and the second it stands at."""

    at_s: float
    value: float


def page(cloud: Cloud) -> str:
    """Return the page of all channels; foreign text is escaped."""
    channels = "".join(_channel(channel) for channel in cloud.channels.values())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="refresh" content="5"><title>ThingSpeak double</title>'
        f"<style>{_STYLE}</style><header><h1>ThingSpeak double</h1>"
        "<p>A stand-in on this machine. Nothing has left it.</p></header>"
        f"{channels or '<section>No channel yet.</section>'}</html>"
    )


def _channel(channel: Channel) -> str:
    rows = sorted(channel.rows, key=lambda row: str(row["created_at"]))[-SHOWN:]
    texts = [row for row in rows if row.get("status")]
    series = {
        name: [_Point(_at_s(r), _number(r[name])) for r in rows if r.get(name)] for name in FIELDS
    }
    marks = [_at_s(row) for row in texts]
    plots = "".join(
        _plot(channel.labels.get(name, name), points, marks)
        for name, points in series.items()
        if points
    )
    return (
        f"<section><h2>{escape(channel.name)} <span>channel {channel.id}, "
        f"{len(channel.rows):,} rows</span></h2>"
        f'<div class="plots">{plots}</div>{_status_texts(texts[-_TEXTS:])}</section>'
    )


def _status_texts(texts: Sequence[dict[str, Any]]) -> str:
    """Return the status texts, the newest first."""
    if not texts:
        return ""
    items = "".join(
        f"<li><time>{_clock(_at_s(row))}</time>{escape(row['status'])}" for row in reversed(texts)
    )
    return f"<ol>{items}</ol>"


def _plot(label: str, points: Sequence[_Point], marks: Sequence[float]) -> str:
    """Draw one field from zero up, over the time its values stand at; texts are dashed lines."""
    first, last = points[0].at_s, points[-1].at_s
    highest = max(point.value for point in points)
    top = max(highest, 0.0) or 1.0
    low = min(0.0, *(point.value for point in points))

    def x(at_s: float) -> str:
        return f"{_WIDTH * (at_s - first) / max(last - first, 1.0):.1f}"

    def y(value: float) -> str:
        return f"{_HEIGHT - _HEIGHT * (value - low) / (top - low):.1f}"

    line = " ".join(f"{x(at_s)},{y(value)}" for at_s, value in points)
    ground = y(0.0)
    drawn = "".join(
        f'<path class="mark" d="M{x(at_s)} 0V{_HEIGHT}"/>'
        for at_s in marks
        if first <= at_s <= last
    )
    return (
        f"<figure><figcaption><span>{escape(label)}</span><b>{points[-1].value:,.10g}</b>"
        f'</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}, highest {highest:g}"><path class="grid" d="M0 0H{_WIDTH}M0 '
        f'{ground}H{_WIDTH}"/>{drawn}'
        f'<polygon class="area" points="{x(first)},{ground} {line} {x(last)},{ground}"/>'
        f'<polyline class="line" points="{line}"/>'
        f'<path class="dot" d="M{x(last)} {y(points[-1].value)}h0"/></svg>'
        f'<div class="scale"><span>{_clock(first)}</span><span>highest {highest:,.10g}</span>'
        f"<span>{_clock(last)}</span></div></figure>"
    )


def _at_s(row: dict[str, Any]) -> float:
    return datetime.fromisoformat(row["created_at"]).timestamp()


def _clock(at_s: float) -> str:
    """Write a moment as people here read it."""
    return f"{datetime.fromtimestamp(at_s).astimezone():%H:%M:%S}"


def _number(text: str) -> float:
    """Read a value; what is none, or none that can be drawn, is zero."""
    try:
        return float(text) if math.isfinite(float(text)) else 0.0
    except ValueError:
        return 0.0
