"""Reads when a count was at a level: hours first, and only what reached it there by minutes.

A week of 256 devices by minutes is 43,000 blocks; by hours it is 1,800, and the most of any ten
seconds stands there too. Nearly nobody reaches a level worth an alert, so nearly nothing else is
read. Where the minutes have gone already, an hour is as fine as it gets.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.messages import timestamp_of
from monitorpi_history.exceedances import Exceedances
from monitorpi_history.items import HOUR_S, PEAK, SLOT_S
from monitorpi_history.sources.reader import Span, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitorpi_history.exceedances import Exceedance
    from monitorpi_history.items import Series
    from monitorpi_history.sources.reader import Reader

_MINUTE_S: Final = 60
HEAD: Final = (
    "from", "to", "precision_s", "subject", "name", "lasting", "mean_per_s", "most_per_s",
)  # fmt: skip

Steps = dict[str, tuple["array[int]", "array[int]"]]
"""By subject: of each step the most in ten seconds, of all interfaces and of the busiest."""


def exceedances(
    reader: Reader,
    series: Mapping[int, Series],
    column: str,
    level: float,
    quiet_s: float,
    between: tuple[float, float],
) -> Iterator[Exceedance]:
    """Yield the stretches in which a column was, or may have been, at a level, as they end.

    Args:
        reader: the database.
        series: whose, by number.
        column: what was counted.
        level: per second.
        quiet_s: what lies no further apart is one.
        between: from when to when, in seconds since 1970.

    Raises:
        CodecError: the file is damaged.

    """
    found = Exceedances(level, quiet_s)
    start_s, end_s = between
    whole = reader.held(span_of(start_s, end_s, HOUR_S))
    for day in _days(whole) if whole is not None else ():
        hours = _steps(reader, day, series, column)
        for at, hour_s in enumerate(range(day.start_s, day.end_s, HOUR_S)):
            reached = {who: steps for who, steps in hours.items() if found.reaches(steps[0][at])}
            yield from found.ended(hour_s)
            if not reached:
                continue
            span = Span(hour_s, hour_s + HOUR_S, _MINUTE_S)
            theirs = {
                number: one
                for number, one in series.items()
                if (one.subject or one.place) in reached
            }
            minutes = _steps(reader, span, theirs, column)
            for who, (all_, single) in sorted(reached.items()):
                fine = minutes.get(who)
                if fine is None or not found.reaches(max(fine[0])):
                    yield from found.step(who, hour_s, HOUR_S, all_[at], single[at])
                    continue
                for step, (most, one) in enumerate(zip(*fine, strict=True)):
                    begin_s = hour_s + step * _MINUTE_S
                    if begin_s + _MINUTE_S > start_s and begin_s < end_s:
                        yield from found.step(who, begin_s, _MINUTE_S, most, one)
    yield from found.rest()


def _who(series: Series) -> str:
    """Return the MAC address; of a wire its interface."""
    return series.subject or series.place


def _days(span: Span) -> Iterator[Span]:
    """Yield the parts of a span, a block of hours each."""
    block_s = span.tier.block_s
    for block in span.blocks():
        start_s = max(span.start_s, block * block_s)
        yield Span(start_s, min(span.end_s, (block + 1) * block_s), span.step_s)


def _steps(reader: Reader, span: Span, series: Mapping[int, Series], column: str) -> Steps:
    """Return the most of each step of a span within one block, by subject."""
    found: Steps = {}
    length = (span.end_s - span.start_s) // span.step_s
    for pieces in reader.pieces(span, series, {column, PEAK + column}.__contains__):
        for piece in pieces:
            if PEAK + column not in piece.columns:
                continue
            who = _who(piece.series)
            all_, single = found.setdefault(
                who, (array("Q", bytes(8 * length)), array("Q", bytes(8 * length)))
            )
            for at, most in enumerate(piece.columns[PEAK + column]):
                all_[at] += most
                single[at] = max(single[at], most)
    return found


def record(one: Exceedance, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a stretch as it is written."""
    return {
        "from": timestamp_of(one.start_s),
        "to": timestamp_of(one.end_s),
        "precision_s": one.step_s,
        "subject": one.subject,
        "name": names.get(one.subject),
        "lasting": one.lasting,
        "mean_per_s": one.most / SLOT_S,
        "most_per_s": one.most,
    }
