"""The figures of the capture bench as a table, printed and in the docs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_cli.table import grouped, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_dev.bench.capture_run import EngineRow

_MARKS: Final = ("<!-- bench capture -->", "<!-- end of bench capture -->")
HEAD: Final = (
    "engine",
    "MACs",
    "offered/s",
    "sent",
    "counted",
    "omitted",
    "lost",
    "lost %",
    "process CPU",
    "process ns",
    "kernel CPU",
    "kernel ns",
    "memory",
)


def cells(row: EngineRow) -> list[str]:
    """Return a row as text, in the order of :data:`HEAD`."""

    def count(number: float | None) -> str:
        return "-" if number is None else grouped(number)

    return [
        row.engine,
        grouped(row.macs),
        f"{grouped(row.offered_fps)}{'' if row.asked_fps else ' (full speed)'}",
        grouped(row.sent),
        count(row.counted),
        count(row.omitted),
        count(row.lost),
        "-" if row.lost is None else f"{100 * row.lost / row.sent:.2f}",
        f"{100 * row.process_cpu_ratio:.1f} %",
        count(row.process_ns),
        f"{100 * row.softirq_cpu_ratio:.1f} %",
        grouped(row.kernel_ns),
        size(row.rss_bytes),
    ]


def markdown(rows: Sequence[EngineRow]) -> str:
    """Return the table of the docs."""
    lines = [list(HEAD), ["---", *["---:"] * (len(HEAD) - 1)], *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_table(text: str, table: str) -> str:
    """Return a document with another table between the marks.

    Raises:
        ValueError: it has no marks.

    """
    start, end = _MARKS
    before, found, rest = text.partition(f"{start}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no lines {start} and {end}")
    return f"{before}{found}\n{table}\n{closed}{after}"
