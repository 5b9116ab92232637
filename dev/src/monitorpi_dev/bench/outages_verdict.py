"""Holds what a centre has against what its sites have sent. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cloud_bridge.mapping import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_NAMED: Final = 5
"""Differences of one kind that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A row as the stream has it."""

    site: str
    channel: str
    id: str
    second: int
    """By the site's clock."""
    values: Mapping[str, Any]
    arrived_s: float
    """By the clock of the servers."""


@dataclass(slots=True)
class Differences:
    """What is not as it was sent."""

    named: list[str] = field(default_factory=list)
    number: int = 0

    def add(self, *texts: str) -> None:
        """Add some of one kind."""
        self.number += len(texts)
        self.named += texts[:MOST_NAMED]


def count_differences(site: str, counts: Mapping[str, int], rows: Sequence[StreamRow]) -> list[str]:
    """Return which frames of a site the rows do not count, or count twice."""
    sums: Counter[str] = Counter()
    for row in rows:
        if (row.site, row.channel) == (site, "traffic"):
            sums.update({name: value for name, value in row.values.items() if name != "status"})
    wrong = []
    for entry in DEFAULTS:
        if entry.channel == "traffic":
            sent = sum(counts[path.removeprefix("totals.")] for path in entry.paths)
            if sums[entry.label] != sent:
                wrong.append(f"{site}: {entry.label}: sent {sent}, in rows {sums[entry.label]}")
    return wrong


def doubled(rows: Sequence[StreamRow]) -> list[str]:
    """Return which rows the stream has more than once."""
    return [f"{id_} is there {n} times" for id_, n in Counter(r.id for r in rows).items() if n > 1]


def overtaken(rows: Sequence[StreamRow]) -> int:
    """Return how many rows stand behind a newer one of their channel.

    After an outage the newest row goes first: a page is live again before the backlog is through.
    """
    newest: dict[tuple[str, str], int] = {}
    behind = 0
    for row in rows:
        lane = (row.site, row.channel)
        behind += row.second < newest.get(lane, row.second)
        newest[lane] = max(newest.get(lane, row.second), row.second)
    return behind


def name_of(label: str) -> str:
    """Return what VictoriaMetrics calls a field of a row."""
    return "monitorpi_" + re.sub(r"[^A-Za-z0-9_]", "_", label)


def expected(rows: Sequence[StreamRow]) -> dict[tuple[str, str, str], list[tuple[int, float]]]:
    """Return the series that rows are: seconds and values by site, channel and name."""
    found: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        for label, value in row.values.items():
            if label != "status":
                series = (row.site, row.channel, name_of(label))
                found[series].append((row.second, float(value)))
    return {series: sorted(samples) for series, samples in found.items()}


def store_differences(
    rows: Sequence[StreamRow], series: Mapping[tuple[str, str, str], list[tuple[int, float]]]
) -> list[str]:
    """Return which samples the store lacks, has twice, or has besides."""
    wrong = []
    sent = expected(rows)
    for name in sorted(set(sent) | set(series)):
        was, is_ = Counter(sent.get(name, ())), Counter(series.get(name, ()))
        wrong += [f"{'/'.join(name)} at {at}: not stored" for at, _ in was - is_]
        wrong += [f"{'/'.join(name)} at {at}: stored, not sent" for at, _ in is_ - was]
    return wrong


def retained_differences(states: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return which last words of a site are not what the central broker keeps."""
    return [
        f"{topic}: {'is another' if topic in there else 'is missing'}"
        for topic, text in states.items()
        if "/health/" not in topic and there.get(topic) != text
    ]


def order_differences(
    published: Mapping[str, Sequence[str]], received: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return which topics did not arrive at the centre word by word, in order.

    A bridge of Mosquitto says what is retained at each connection, before what has waited, and
    again with it: such words stand between the others. The last word is the last one all the same.
    """
    return [
        f"{topic}: {len(words)} sent, {len(set(received.get(topic, ())) & set(words))} received"
        for topic, words in published.items()
        if not _has_in_order(received.get(topic, ()), words)
    ]


def _has_in_order(received: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether words were received in their order, and the last one last."""
    rest = iter(received)
    return all(word in rest for word in words) and list(received[-1:]) == list(words[-1:])
