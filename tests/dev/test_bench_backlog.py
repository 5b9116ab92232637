"""A long backlog is sent in flat memory, by the bridge alone in its process."""

from __future__ import annotations

import pytest

from monitorpi_dev.bench.backlog import ROWS, main, measure

pytestmark = pytest.mark.calm

CALL_ROWS = 960
PACING_S = 16
MOST_GROWTH = 16_000_000
"""Bytes: a call's rows, its answer and the pages of the outbox, whatever waits behind them."""


@pytest.mark.parametrize("rows", [20_000, pytest.param(ROWS, marks=pytest.mark.soak)])
def test_a_whole_backlog_drains_at_the_limits_of_the_service(rows: int) -> None:
    """Every row arrives, 960 a call and 16 s apart; memory does not follow the backlog."""
    drained = measure(rows, thins=False)

    assert drained.stored == rows
    assert drained.calls <= rows / CALL_ROWS + 2
    assert drained.service_s <= drained.calls * PACING_S
    assert drained.rss_peak_bytes - drained.rss_before_bytes < MOST_GROWTH


@pytest.mark.parametrize("rows", [20_000, pytest.param(ROWS, marks=pytest.mark.soak)])
def test_a_thinned_backlog_drains_in_minutes(rows: int) -> None:
    """Eight fields that all move become three rows per bucket; memory stays flat here too."""
    drained = measure(rows, thins=True)

    assert drained.stored + drained.thinned == rows
    assert drained.stored < rows / 4
    assert drained.service_s < 300
    assert drained.rss_peak_bytes - drained.rss_before_bytes < MOST_GROWTH


def test_it_tells_both_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """With thinning and without."""
    assert main(["--rows", "2000"]) == 0

    thinned, whole = capsys.readouterr().out.splitlines()
    assert thinned.startswith("thinned  2,000 rows waiting")
    assert "2,000 stored: 4 calls" in whole
