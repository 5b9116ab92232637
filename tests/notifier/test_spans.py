"""Spans of local time as people write them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from monitorpi_notifier.spans import covered_until, parse

ZONE = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    """Return a local time; 2026-11-30 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    ("span", "moment", "end"),
    [
        ("22:00-07:00", "2026-11-30T23:00", "2026-12-01T07:00"),
        ("22:00-07:00", "2026-12-01T06:59", "2026-12-01T07:00"),
        ("22:00-07:00", "2026-12-01T07:00", None),
        ("mon-fri 07:00-18:00", "2026-11-30T07:00", "2026-11-30T18:00"),
        ("mon-fri 07:00-18:00", "2026-11-29T12:00", None),
        ("fri-mon 20:00-21:00", "2026-11-29T20:30", "2026-11-29T21:00"),
        ("sat,sun 00:00-24:00", "2026-11-29T23:59", "2026-11-30T00:00"),
        ("sun 23:00-01:00", "2026-11-30T00:30", "2026-11-30T01:00"),
        ("mon 23:00-01:00", "2026-11-30T00:30", None),
        ("2026-12-01 22:00 - 2026-12-02 02:00", "2026-12-02T01:00", "2026-12-02T02:00"),
        ("2026-12-01 22:00 - 2026-12-02 02:00", "2026-12-08T23:00", None),
        ("2026-12-01 22:00 - 2026-12-02 02:00", "2026-12-01T22:00", "2026-12-02T02:00"),
        ("2026-12-01 22:00 - 2026-12-02 02:00", "2026-12-01T21:59", None),
        ("2026-12-01 22:00 - 2026-12-02 02:00", "2026-12-02T01:59", "2026-12-02T02:00"),
        ("2026-12-01 22:00 - 2026-12-02 02:00", "2026-12-02T02:00", None),
    ],
)
def test_a_span_covers_its_time(span: str, moment: str, end: str | None) -> None:
    """It tells until when; the beginning is part of it, the end itself is not."""
    found = parse(span).until(at(moment))

    assert found == (at(end) if end else None)


def test_of_several_spans_the_latest_end_counts() -> None:
    """Quiet hours that overlap go on until the last of them ends."""
    spans = [parse("22:00-06:00"), parse("sun 20:00-09:00"), parse("03:00-04:00")]

    assert covered_until(spans, at("2026-11-30T03:30")) == at("2026-11-30T09:00")


@pytest.mark.parametrize(
    "text", ["", "always", "25:00-26:00", "7:60-8:00", "moo 01:00-02:00", "mon 1-2", "22:00",
             "2026-12-02 02:00 - 2026-12-01 22:00", "24:01-25:00"],
)  # fmt: skip
def test_what_is_no_span_is_refused(text: str) -> None:
    """With a sentence that says how to write one, or what is wrong."""
    with pytest.raises(ValueError, match=r"write|before"):
        parse(text)
