"""A long backlog made short: means with the extremes kept.

After days without a network a dashboard needs the shape of what happened, not every 20 s of it, and
the yearly quota is finite. Rows older than an hour are thinned to one row per five minutes (fifteen
after a week): the mean of each field, and beside it the rows that hold a field's highest and lowest
value. A row that was ever sent is never touched.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FRESH_S: Final = 3600
WEEK_S: Final = 7 * 86_400
BUCKET_S: Final = 300
OLD_BUCKET_S: Final = 900


class Waiting(NamedTuple):
    """A row that waits and was never sent."""

    second: int
    fields: Mapping[str, str]


class Thinned(NamedTuple):
    """What becomes of a bucket: rows that go, and the row that stands for them."""

    removed: list[int]
    mean: Waiting


def thin(rows: Sequence[Waiting], now_s: float) -> list[Thinned]:
    """Return what to replace, bucket by bucket; rows come in order of time.

    Rows with a status text and rows with a field's extreme stay. A bucket of which nothing would go
    is left alone, so thinning twice changes nothing.
    """
    old = [row for row in rows if row.second < now_s - FRESH_S]
    thinned = []
    for _, bucket in groupby(old, key=lambda row: _bucket(row.second, now_s)):
        members = list(bucket)
        plain = [row for row in members if "status" not in row.fields]
        keep = _extremes(plain)
        going = [row for row in plain if row.second not in keep]
        if len(going) > 1:
            thinned.append(Thinned([row.second for row in going], _mean(plain, going)))
    return thinned


def _bucket(second: int, now_s: float) -> tuple[int, int]:
    length = OLD_BUCKET_S if second < now_s - WEEK_S else BUCKET_S
    return length, second // length


def _extremes(rows: Iterable[Waiting]) -> set[int]:
    """Return the seconds of the rows with the highest and lowest value of any field."""
    lowest: dict[str, tuple[float, int]] = {}
    highest: dict[str, tuple[float, int]] = {}
    for row in rows:
        for name, text in row.fields.items():
            value = float(text)
            if name not in lowest or value < lowest[name][0]:
                lowest[name] = (value, row.second)
            if name not in highest or value > highest[name][0]:
                highest[name] = (value, row.second)
    flat = {name for name in lowest if lowest[name][0] == highest[name][0]}
    return {
        second
        for extremes in (lowest, highest)
        for name, (_, second) in extremes.items()
        if name not in flat
    }


def _mean(rows: Sequence[Waiting], going: Sequence[Waiting]) -> Waiting:
    """Return the mean of a bucket's rows, standing in the place of one that goes."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        for name, text in row.fields.items():
            sums.setdefault(name, []).append(float(text))
    fields = {name: number(sum(found) / len(found)) for name, found in sums.items()}
    return Waiting(going[len(going) // 2].second, fields)


def number(value: float) -> str:
    """Write a value as short as it is: ``12``, ``0.25``; at most six digits after the point."""
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0").rstrip(".")
