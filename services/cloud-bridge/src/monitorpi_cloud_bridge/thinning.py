"""A long backlog made short: means with the extremes kept.

After days without a network a dashboard needs the shape of what happened, not every 20 s of it, and
the yearly quota is finite. What is older than an hour is thinned to three rows per five minutes
(fifteen after a week): each field's mean, its lowest and its highest value. The rows of the lowest
and highest values stand at the seconds at which most fields had theirs, so a flood stays where it
was. Only whole stretches of time are thinned, so a mean is always one of what was measured.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FRESH_S: Final = 3600
WEEK_S: Final = 7 * 86_400
BUCKET_S: Final = 300
OLD_BUCKET_S: Final = 900
"""A multiple of the shorter one: where one of these ends, so does one of those."""
MOST_OF_A_BUCKET: Final = 3
"""Mean, lowest and highest."""


class Waiting(NamedTuple):
    """A row that waits and was never sent."""

    second: int
    fields: Mapping[str, str]


class Thinned(NamedTuple):
    """What becomes of a bucket: rows that go, and the rows that stand for them."""

    removed: list[int]
    kept: list[Waiting]


class _Point(NamedTuple):
    """One value of one field."""

    value: float
    second: int
    text: str


def edge(now_s: float) -> int:
    """Return the second before which everything is old enough, and in whole buckets."""
    return int(now_s - FRESH_S) // OLD_BUCKET_S * OLD_BUCKET_S


def thin(rows: Sequence[Waiting], now_s: float) -> list[Thinned]:
    """Return what to replace, bucket by bucket; rows come in order of time.

    Rows with a status text stay. A bucket of three rows or fewer is left alone, so thinning twice
    changes nothing.
    """
    old = [row for row in rows if row.second < edge(now_s)]
    thinned = []
    for _, bucket in groupby(old, key=lambda row: _bucket(row.second, now_s)):
        plain = [row for row in bucket if "status" not in row.fields]
        if len(plain) > MOST_OF_A_BUCKET:
            thinned.append(Thinned([row.second for row in plain], _stand_ins(plain)))
    return thinned


def _bucket(second: int, now_s: float) -> tuple[int, int]:
    old = second < int(now_s - WEEK_S) // OLD_BUCKET_S * OLD_BUCKET_S
    length = OLD_BUCKET_S if old else BUCKET_S
    return length, second // length


def _stand_ins(rows: Sequence[Waiting]) -> list[Waiting]:
    """Return the rows of means and extremes; where nothing ever changed, the means alone."""
    points: dict[str, list[_Point]] = {}
    for row in rows:
        for name, text in row.fields.items():
            points.setdefault(name, []).append(_Point(float(text), row.second, text))
    means = {name: number(sum(p.value for p in of) / len(of)) for name, of in points.items()}
    lowest = {name: min(of, key=lambda p: p.value) for name, of in points.items()}
    highest = {name: max(of, key=lambda p: p.value) for name, of in points.items()}
    moving = [name for name in points if lowest[name].value < highest[name].value]
    free = [row.second for row in rows]
    kept = []
    for extremes in (highest, lowest) if moving else ():
        of_moving = (extremes[name].second for name in moving)
        second = _where_most(second for second in of_moving if second in free) or free[0]
        free.remove(second)
        kept.append(Waiting(second, {name: point.text for name, point in extremes.items()}))
    kept.append(Waiting(free[len(free) // 2], means))
    return sorted(kept)


def _where_most(seconds: Iterable[int]) -> int | None:
    """Return the second named most often, the first of several; None: there is none."""
    counted = Counter(seconds)
    return max(counted, key=lambda second: (counted[second], -second), default=None)


def number(value: float) -> str:
    """Write a value as short as it is: ``12``, ``0.25``; at most six digits after the point."""
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0").rstrip(".")
