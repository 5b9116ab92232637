from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_cli.table import Terminal
from monitorpi_common.messages import Traffic
from monitorpi_lab.reporter import Reporter, sparkline, wrap


class Tty(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def window(packets: int) -> Traffic:
    """Build a window of SYNs."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Traffic.model_validate(
        {
            "epoch": "e1",
            "seq": 1,
            "start": at,
            "end": at,
            "window_s": 1.0,
            "clock_synced": True,
            "interface": "mirror0",
            "engine": "socket",
            "packets": packets,
            "bytes": 60 * packets,
            "counts": {"syn": packets},
            "totals": {},
        }
    )


def test_events_are_lines_with_a_clock() -> None:
    """Minutes and seconds, a word, and the text, wrapped under itself."""
    stream = io.StringIO()
    reporter = Reporter(stream, Terminal(50, colour=False))

    reporter.event(75, "alert", "phone floods the nas with five hundred SYNs each second", "red")

    assert stream.getvalue().splitlines() == [
        " 01:15  alert  phone floods the nas with five",
        "               hundred SYNs each second",
    ]


def test_without_a_terminal_there_is_no_live_line() -> None:
    """A log file gets events only."""
    stream = io.StringIO()

    Reporter(stream, Terminal(80, colour=False)).live(1, window(5), alerts=0)

    assert stream.getvalue() == ""


def test_the_live_line_stays_below_the_events() -> None:
    """An event takes the live line away, is written, and the live line stands again below it."""
    stream = Tty()
    reporter = Reporter(stream, Terminal(80, colour=False))
    reporter.live(1, window(500), alerts=1)

    reporter.line("hello")
    reporter.end()

    live = " 00:01  █  500 frames/s  syn 500/s  open alerts 1"
    assert stream.getvalue() == f"\r\x1b[K{live}\r\x1b[Khello\n{live}\r\x1b[K"


@pytest.mark.parametrize("width", [40, 50, 60, 80])
def test_the_live_line_fits_and_cuts_no_word(width: int) -> None:
    """What does not fit is left out whole: a line that wraps could not be taken away again."""
    stream = Tty()

    Reporter(stream, Terminal(width, colour=False)).live(1, window(500), alerts=1)

    line = stream.getvalue().removeprefix("\r\x1b[K")
    assert len(line) < width
    assert line.endswith("  open alerts 1")
    assert set(line.split("  ")) <= {" 00:01", "█", "500 frames/s", "syn 500/s", "open alerts 1"}


@pytest.mark.parametrize(("values", "drawn"), [([], ""), ([0, 0], "▁▁"), ([0, 4, 8], "▁▄█")])
def test_bars_are_drawn_to_the_greatest(values: list[int], drawn: str) -> None:
    """Nothing is flat, the greatest is full."""
    assert sparkline(values) == drawn


@given(st.text("ab ", max_size=200), st.integers(5, 40))
def test_wrapping_loses_no_word(text: str, width: int) -> None:
    """All words stay, in order, and only a word too long for itself makes a line too long."""
    lines = wrap(text, width)

    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines)
