from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_cli.table import Terminal, grouped, rows_to_lines, size

cells = st.text("abcdefgh0123", min_size=1, max_size=12)


def table(columns: int) -> st.SearchStrategy[list[list[str]]]:
    """Return tables of so many columns; the first row is the head."""
    row = st.lists(cells, min_size=columns, max_size=columns)
    return st.lists(row, min_size=2, max_size=6)


def test_columns_are_aligned() -> None:
    """The first column is left-aligned, the numbers are right-aligned under their heads."""
    lines = rows_to_lines(["name", "n"], [["a", "1"], ["bcdef", "1,000"]], 80)

    assert list(lines) == ["name       n", "a          1", "bcdef  1,000"]


def test_what_does_not_fit_follows_below() -> None:
    """A narrow terminal gets further blocks, each with the first column again."""
    lines = rows_to_lines(["mac", "aaaa", "bbbb"], [["x", "1", "2"]], 10)

    assert list(lines) == ["mac  aaaa", "x       1", "", "mac  bbbb", "x       2"]


@given(st.integers(2, 7).flatmap(table), st.integers(30, 120))
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_lost(
    rows: list[list[str]], width: int
) -> None:
    """Whatever the cells and the width, every cell is shown and every line fits."""
    lines = list(rows_to_lines(rows[0], rows[1:], width))

    shown = [word for line in lines for word in line.split()]
    assert all(len(line) <= width for line in lines)
    assert {cell for row in rows for cell in row} == set(shown)


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets plain text, a terminal colour, and NO_COLOR is obeyed."""

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Terminal.of(io.StringIO()).paint("x", "red") == "x"
    assert Terminal.of(Tty()).paint("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal.of(Tty()).paint("x", "red") == "x"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e6, "2.5 MB"), (3e12, "3.0 TB")],
)
def test_sizes_are_written_in_the_unit_that_fits(count: float, text: str) -> None:
    """Bytes are shown as B, kB, MB, GB or TB by powers of 1000."""
    assert size(count) == text


def test_counts_are_grouped() -> None:
    """Thousands are set apart."""
    assert grouped(1234567) == "1,234,567"
