"""From messages to rows: what one interval counted and measured.

Theory of operation. Time is cut into intervals that begin at multiples of their length (Unix
time). The row of second T covers what ended in (T - interval, T]. A counter's value is the
difference between the totals of the last message of this interval and those of the last one before
it, so a message that was lost on the way loses no count; totals begin anew with a new epoch. A
message that comes after its row was finished counts for the next one: a row is never changed.

What was said while the clock could not be trusted is held apart, on the clock it was said on. When
the clock is set, the step is added to its seconds and it joins the rows.

A clock that was trusted may be set back all the same. Rows then go on at the time it shows, and
what was not finished counts for the first of them; that their seconds may be taken is the outbox's
matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from monitorpi_cloud_bridge.mapping import counter
from monitorpi_cloud_bridge.paths import values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.mapping import MappingEntry

DRILL: Final = "drill0"
"""The interface of ``./monitorpi drill``."""
_MAX_SOURCES: Final = 256
"""Topics with counters whose totals are remembered."""
MAX_OPEN: Final = 4320
"""Intervals that can be open at once: a day at 20 s. More come of a broken clock only."""
SKEW_S: Final = 10
"""Clocks of one site differ by less: what is stamped further ahead comes of one that was wrong."""
NO_ROOM_S: Final = 3600
"""How long rows of a second wait where the clock was set back: there is none between two."""


class Sample(NamedTuple):
    """The values of one field in one interval, folded."""

    number: int
    total: float
    least: float
    most: float
    last: float

    def plus(self, value: float) -> Sample:
        """Fold in one more value."""
        return Sample(
            self.number + 1,
            self.total + value,
            min(self.least, value),
            max(self.most, value),
            value,
        )

    def joined(self, later: Sample) -> Sample:
        """Fold in another interval's."""
        return Sample(
            self.number + later.number,
            self.total + later.total,
            min(self.least, later.least),
            max(self.most, later.most),
            later.last,
        )


Samples = dict[tuple[str, int], Sample]
"""The samples of one interval, by channel and field."""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One row of one channel: the second it is of, and its values by field."""

    channel: str
    second: int
    values: Mapping[int, float]


@dataclass(slots=True)
class RowBuilder:
    """Turns messages into rows. Messages of one topic come in order of time."""

    entries: Sequence[MappingEntry]
    interval_s: int
    closed: int = 0
    """The second of the newest finished row."""
    _marks: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)
    """Epoch and totals up to which everything stands in rows, by topic."""
    _samples: dict[int, Samples] = field(default_factory=dict)
    _held: dict[int, Samples] = field(default_factory=dict)
    """By second of a clock that was not yet set."""

    def wants(self, topic: str) -> bool:
        """Return whether any field comes from a topic."""
        return any(entry.covers(topic) for entry in self.entries)

    def add(
        self, topic: str, at_s: float, payload: Mapping[str, Any], *, synced: bool = True
    ) -> None:
        """Take one message: its topic below the site, when it ended, and what it says.

        ``synced`` says whether the clock it was stamped with could be trusted.
        """
        if topic.endswith(f"/{DRILL}"):
            return  # a rehearsal is no traffic
        wanted = [entry for entry in self.entries if entry.covers(topic)]
        if not wanted:
            return
        base = self._base(topic, payload) if any(entry.counts for entry in wanted) else {}
        samples = self._open(at_s) if synced else _interval(self._held, self._second_of(at_s))
        for entry in wanted:
            for value in self._values(entry, payload, base):
                place = (entry.channel, entry.field)
                scaled = value * entry.scale
                known = samples.get(place)
                first = Sample(1, scaled, scaled, scaled, scaled)
                samples[place] = known.plus(scaled) if known else first

    @property
    def holds(self) -> bool:
        """Something waits for the clock to be set."""
        return bool(self._held)

    def release(self, step_s: float) -> None:
        """Let what was held join the rows: the clock was set, by this step."""
        held, self._held = self._held, {}
        for second in sorted(held):
            _join(self._open(second + step_s), held[second])

    def shift(self, step_s: float) -> None:
        """Move what is held: the clock was set, but is not to be trusted yet."""
        held, self._held = self._held, {}
        for second in sorted(held):
            _join(_interval(self._held, self._second_of(second + step_s)), held[second])

    def _open(self, at_s: float) -> Samples:
        """Return the samples of the interval a moment belongs to; a finished one is over."""
        second = max(self._second_of(at_s), self.closed + self.interval_s)
        return _interval(self._samples, second)

    def _second_of(self, at_s: float) -> int:
        return math.ceil(at_s / self.interval_s) * self.interval_s

    def _values(
        self, entry: MappingEntry, payload: Mapping[str, Any], base: Mapping[str, int]
    ) -> list[float]:
        if entry.counts:
            totals = payload.get("totals", {})
            return [max(counter(totals, entry.paths) - counter(base, entry.paths), 0)]
        found = [values(payload, path) for path in entry.paths]
        if len(found) == 1:
            return found[0]
        return [sum(value for several in found for value in several)]

    def _base(self, topic: str, payload: Mapping[str, Any]) -> Mapping[str, int]:
        """Return the totals before a message, and remember those of the message."""
        epoch, totals = str(payload.get("epoch", "")), dict(payload.get("totals", {}))
        mark = self._marks.get(topic)
        if mark is None and len(self._marks) >= _MAX_SOURCES:
            return totals
        self._marks[topic] = (epoch, totals)
        if mark is None:
            # the first message ever seen counts for itself only: what was before is not ours
            here = {**payload.get("counts", {}), "packets": payload.get("packets", 0)}
            here["bytes"] = payload.get("bytes", 0)
            return {name: total - here.get(name, 0) for name, total in totals.items()}
        return mark[1] if mark[0] == epoch else {}

    def finished(self, now_s: float) -> list[ChannelRow]:
        """Return and forget the rows whose interval ended at or before a moment."""
        self.come_back(now_s)
        rows = []
        for second in sorted(second for second in self._samples if second <= now_s):
            self.closed = max(self.closed, second)
            samples = self._samples.pop(second)
            for channel in dict.fromkeys(name for name, _ in samples):
                fields = {
                    entry.field: self._fold(entry, samples[channel, entry.field])
                    for entry in self.entries
                    if entry.channel == channel and (channel, entry.field) in samples
                }
                rows.append(ChannelRow(channel, second, fields))
        return rows

    def come_back(self, now_s: float) -> bool:
        """Leave a future that a wrong clock made; True: finished rows stand there.

        What is not finished counts now. A step of less than half an interval is waited out.
        """
        waited_s = self.interval_s / 2 if self.interval_s > 1 else NO_ROOM_S
        back = self.closed > now_s + waited_s
        if back:
            self.closed = min([self._second_of(now_s), *self._held]) - self.interval_s
        last = now_s + waited_s + self.interval_s + SKEW_S
        for second in sorted(second for second in self._samples if second > last):
            samples = self._samples.pop(second)
            _join(self._open(now_s), samples)
        return back

    def _fold(self, entry: MappingEntry, sample: Sample) -> float:
        match entry.aggregate:
            case "last":
                return sample.last
            case "sum":
                return sample.total
            case "rate":
                return sample.total / self.interval_s
            case "mean":
                return sample.total / sample.number
            case "min":
                return sample.least
            case "max":
                return sample.most

    # --- memory over restarts ---------------------------------------------------------------

    def memory(self) -> dict[str, JsonValue]:
        """Return what must be remembered with the rows, as JSON."""
        marks: dict[str, JsonValue] = {
            topic: [epoch, dict(totals)] for topic, (epoch, totals) in self._marks.items()
        }
        samples: list[JsonValue] = [
            [second, channel, number, list(sample)]
            for second, places in self._samples.items()
            for (channel, number), sample in places.items()
        ]
        return {"closed": self.closed, "marks": marks, "samples": samples}

    def remember(self, memory: Any) -> None:
        """Go on where an earlier process stood; memory of another shape is forgotten."""
        try:
            marks = {
                str(topic): (str(epoch), {str(k): int(v) for k, v in totals.items()})
                for topic, (epoch, totals) in memory["marks"].items()
            }
            samples: dict[int, Samples] = {}
            for second, channel, number, sample in memory["samples"]:
                place = (str(channel), int(number))
                samples.setdefault(int(second), {})[place] = Sample(*map(float, sample))  # type: ignore[arg-type] # the number of values is whole in JSON too
            closed = int(memory["closed"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return
        self._marks, self._samples, self.closed = marks, samples, closed


def _interval(open_: dict[int, Samples], second: int) -> Samples:
    """Return an interval's samples; where too many are open, the newest one takes them."""
    if second not in open_ and len(open_) >= MAX_OPEN:
        second = max(open_)
    return open_.setdefault(second, {})


def _join(into: Samples, more: Samples) -> None:
    for place, sample in more.items():
        known = into.get(place)
        into[place] = known.joined(sample) if known else sample
