"""The capture bench: the same flood for every tap, held against the sender's own count."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitorpi_dev.bench.capture import ENGINES, main, measure
from monitorpi_dev.bench.capture_run import FULL_SPEED, Effort, EngineRow
from monitorpi_dev.bench.capture_table import HEAD, cells, markdown, with_table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone

PAGE = """# Performance

<!-- bench capture -->
| old |
<!-- end of bench capture -->

What it means.
"""
ROW = EngineRow(
    engine="ebpf",
    macs=50,
    asked_fps=148_800,
    offered_fps=148_790,
    sent=148_800,
    counted=148_000,
    omitted=700,
    lost=100,
    process_cpu_ratio=0.004,
    softirq_cpu_ratio=0.0179,
    process_ns=27.4,
    kernel_ns=120.4,
    bare_ns=270.0,
    tapped_ns=390.4,
    rss_bytes=43_100_000,
)


def test_the_table_replaces_the_old_one() -> None:
    """The page keeps its words, before and after the marks."""
    found = with_table(PAGE, markdown([ROW]))

    assert "| old |" not in found
    assert found.startswith("# Performance\n\n<!-- bench capture -->\n\n| engine | MACs |")
    assert found.endswith("\n<!-- end of bench capture -->\n\nWhat it means.\n")
    assert with_table(found, markdown([ROW])) == found


def test_a_page_without_marks_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that has no place for the table is refused before anything is measured."""
    page = tmp_path / "page.md"
    page.write_text("# Performance\n", encoding="utf-8")

    assert main(["--write", str(page)]) == 3

    assert "no lines <!-- bench capture -->" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "# Performance\n"


def test_a_row_as_text() -> None:
    """Numbers are grouped, shares are percents; what an empty filter cannot tell is a dash."""
    shown = dict(zip(HEAD, cells(ROW), strict=True))
    empty = replace(ROW, asked_fps=FULL_SPEED, counted=None, lost=None, process_ns=None)

    assert (shown["offered/s"], shown["lost"], shown["lost %"]) == ("148,790", "100", "0.07")
    assert (shown["process CPU"], shown["kernel CPU"]) == ("0.4 %", "1.8 %")
    shown = dict(zip(HEAD, cells(empty), strict=True))
    assert shown["offered/s"] == "148,790 (full speed)"
    assert (shown["counted"], shown["lost"], shown["process ns"]) == ("-", "-", "-")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--macs", "0"], "--macs: give 1 to 16777216"),
        (["--rate", "999"], "--rate: give 1000 to 10000000, or 0"),
        (["--seconds", "0"], "--seconds: give 0.01 to 60"),
        (["--bursts", "0"], "--bursts: give 2 to 1000"),
        (["--max-macs", "1"], "--max-macs: give 16 to 65536"),
    ],
)
def test_wrong_options(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is refused in one line that says what to give."""
    assert main(words) == 2
    assert capsys.readouterr().err == f"monitorpi bench capture: {said}\n"


@pytest.mark.lab
@pytest.mark.usefixtures("privileged")
@pytest.mark.parametrize("engine", ENGINES)
def test_every_tap_is_held_against_the_sender(engine: str) -> None:
    """Each tap runs; what it did not count is what the sender sent beyond it, none made up."""
    (row,) = measure([engine], [50], [1_000], Effort(seconds=0.2, bursts=2), lambda _: None)

    assert (row.engine, row.macs, row.asked_fps, row.sent) == (engine, 50, 1_000, 200)
    assert row.rss_bytes > 1_000_000
    assert row.tapped_ns > 0 < row.bare_ns
    if engine == "empty-filter":
        assert (row.counted, row.omitted, row.lost) == (None, None, None)
    else:
        assert row.counted is not None
        assert row.lost == 200 - row.counted >= 0
        assert row.counted > 0


@pytest.mark.lab
@pytest.mark.usefixtures("privileged")
def test_the_kernel_loses_nothing_at_any_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command as people call it: 0 lost at every rate, frames of surplus MACs are omitted."""
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    words = ["--engine", "ebpf", "--macs", "50", "10000", "--seconds", "0.2", "--bursts", "2"]

    assert main([*words, "--json", "--write", str(page)]) == 0

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["asked_fps"] for row in rows] == [1_000, 148_800, 1_488_000, FULL_SPEED] * 2
    assert [row["lost"] for row in rows] == [0] * 8
    for row in rows:
        assert row["sent"] == row["counted"] + row["omitted"]
        assert (row["omitted"] > 0) == (row["macs"] > 4096 and row["sent"] > 4096)
    assert page.read_text(encoding="utf-8").count("| ebpf |") == 8


@pytest.mark.lab
@pytest.mark.soak
@pytest.mark.usefixtures("privileged")
@pytest.mark.parametrize(("macs", "most"), [(1, 2.0), (50, 2.0), (10_000, 3.5)])
def test_counting_costs_little_more_than_an_empty_filter(macs: int, most: float) -> None:
    """At 1 to 50 addresses at most twice what any tap costs, 3.5 times with rows for 10,000."""
    effort = Effort(seconds=0.1, max_macs=16_384)

    rows = measure(["ebpf", "empty-filter"] * 5, [macs], [1_000], effort, lambda _: None)

    counting, empty = rows[::2], rows[1::2]
    assert {(row.lost, row.omitted) for row in counting} == {(0, 0)}
    ours, any_taps = (
        statistics.median(row.kernel_ns for row in some) for some in (counting, empty)
    )
    assert ours <= most * any_taps
