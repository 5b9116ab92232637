"""Pieces of a span as people and programs read them: a document, lines of JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
from array import array
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.messages import CLASSES, timestamp_of
from monitorpi_history.items import (
    COVERED,
    DROPS,
    LOST,
    OMITTED,
    PEAK,
    ROUNDS,
    UNSET,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from monitorpi_history.items import Series
    from monitorpi_history.sources.reader import Piece, Span

MAX_VALUES: Final = 600_000
"""Of one document; lines have no bound, they are never held."""
_CHUNK: Final = 64 * 1024
_COUNTS: Final = ("packets", "bytes", *CLASSES)
_COVERAGE: Final = (COVERED, DROPS, LOST, UNSET)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

WIRE_COLUMNS: Final = _COUNTS
TRAFFIC_COLUMNS: Final = tuple(f"{way}_{name}" for way in ("tx", "rx") for name in _COUNTS)
_WHERE: Final = ("time", "seconds", "covered_s", "drops", "lost_windows", "clock_unset")
WIRE_HEAD: Final = (*_WHERE, "interface")
TRAFFIC_HEAD: Final = (*_WHERE, "interface", "mac", "name")
PROBE_HEAD: Final = ("time", "seconds", "instance", "address", "name")
PROBE_COLUMNS: Final = (
    "rounds", "rounds_up", "sent", "received", "unsent", "late", "altered", "loss_ratio",
    "rtt_min_ms", "rtt_avg_ms", "rtt_p50_ms", "rtt_p95_ms", "rtt_max_ms", "jitter_ms",
    "pdv_p95_ms", "mos",
)  # fmt: skip

Record = dict[str, Any]


class TooMuchError(ValueError):
    """One document cannot hold what was asked for."""


# --- lines --------------------------------------------------------------------------------------


def count_records(
    blocks: Iterable[Sequence[Piece]], step_s: int, names: Mapping[str, str], *, of_devices: bool
) -> Iterator[Record]:
    """Yield a record for each step in which a series has counts; those that are 0 are left out.

    What the wire covered stands beside each: how much of the step was covered, and what was lost.
    """
    for pieces in blocks:
        coverage = {piece.series.place: piece for piece in pieces if piece.series.kind == "wire"}
        for piece in pieces:
            covering = coverage.get(piece.series.place)
            if covering is not None and of_devices == (piece.series.kind != "wire"):
                yield from _count_records(piece, covering, step_s, names)


def _count_records(
    piece: Piece, covering: Piece, step_s: int, names: Mapping[str, str]
) -> Iterator[Record]:
    published = {name: values for name, values in piece.columns.items() if name not in _COVERAGE}
    for at in range(piece.length):
        counts = {name: values[at] for name, values in published.items() if values[at]}
        if counts or (piece is covering and _at(covering, COVERED, at)):
            yield _where(piece, covering, at, step_s, names) | counts


def _where(piece: Piece, covering: Piece, at: int, step_s: int, names: Mapping[str, str]) -> Record:
    record: Record = {
        "time": timestamp_of(piece.start_s + at * step_s),
        "seconds": step_s,
        "covered_s": _at(covering, COVERED, at) / 1000,
        "drops": _at(covering, DROPS, at),
        "lost_windows": _at(covering, LOST, at),
        "clock_unset": _at(covering, UNSET, at) > 0,
        "interface": piece.series.place,
    }
    if piece.series.kind != "wire":
        record["mac"] = piece.series.subject or "omitted"
        record["name"] = names.get(piece.series.subject)
    return record


def _at(piece: Piece, column: str, at: int) -> int:
    values = piece.columns.get(column)
    return values[at] if values is not None else 0


def probe_records(
    blocks: Iterable[Sequence[Piece]], step_s: int, names: Mapping[str, str]
) -> Iterator[Record]:
    """Yield a record for each step in which a target was probed."""
    for pieces in blocks:
        for piece in pieces:
            for at in range(piece.length):
                if _at(piece, ROUNDS, at):
                    yield {
                        "time": timestamp_of(piece.start_s + at * step_s),
                        "seconds": step_s,
                        "instance": piece.series.place,
                        "address": piece.series.subject,
                        "name": names.get(piece.series.subject),
                    } | probe_values({name: _at(piece, name, at) for name in piece.columns})


def probe_values(of: Mapping[str, int]) -> Record:
    """Return what people read of a target's columns: ratios, and means over the replies."""
    got = of.get

    def mean(total: str, over: str = "received") -> float | None:
        return round(of[total] / of[over] / 1000, 3) if got(total) and got(over) else None

    def ms(column: str) -> float | None:
        return of[column] / 1000 if got(column) else None

    sent = got("sent", 0)
    lost = sent - got("received", 0) - got("late", 0) - got("altered", 0)
    whole = {name: got(name, 0) for name in PROBE_COLUMNS[:7]}
    return whole | {
        "loss_ratio": round(max(lost, 0) / sent, 4) if sent else None,
        "rtt_min_ms": ms("rtt_min_us"),
        "rtt_avg_ms": mean("rtt_avg_us_sum"),
        "rtt_p50_ms": mean("rtt_p50_us_sum"),
        "rtt_p95_ms": ms("rtt_p95_us"),
        "rtt_max_ms": ms("rtt_max_us"),
        "jitter_ms": mean("jitter_us_sum", "jitter_received"),
        "pdv_p95_ms": ms("pdv_p95_us"),
        "mos": of["mos_centi"] / 100 if got("mos_centi") else None,
    }


def json_lines(records: Iterable[Record]) -> Iterator[bytes]:
    """Write a line of JSON for each record, in chunks."""
    dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    yield from _chunked(dumps(record) + "\n" for record in records)


def json_list(name: str, records: Iterable[Record]) -> Iterator[bytes]:
    """Write one document with a list of all records."""
    dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def parts() -> Iterator[str]:
        yield f'{{"{name}":['
        for number, record in enumerate(records):
            yield ("," if number else "") + dumps(record)
        yield "]}\n"

    yield from _chunked(parts())


def csv_lines(records: Iterable[Record], head: Sequence[str]) -> Iterator[bytes]:
    """Write CSV (RFC 4180) with a head; what a spreadsheet would take for a formula is cited.

    A count that a record does not have is 0 there, anything else is empty.
    """

    def lines() -> Iterator[str]:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(head)
        yield _drain(out)
        for record in records:
            writer.writerow([_cell(record.get(name, _ABSENT.get(name))) for name in head])
            yield _drain(out)

    yield from _chunked(lines())


_ABSENT: Final = dict.fromkeys((*WIRE_COLUMNS, *TRAFFIC_COLUMNS), 0)


def _cell(value: Any) -> Any:
    """Return a value as it stands in CSV."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() if value.startswith(_FORMULA):
            return f"'{value}"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return value


def _drain(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _chunked(lines: Iterable[str]) -> Iterator[bytes]:
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield "".join(held).encode()
            held, size = [], 0
    if held:
        yield "".join(held).encode()


# --- one document -------------------------------------------------------------------------------


def document(
    span: Span, blocks: Iterable[Sequence[Piece]], names: Mapping[str, str]
) -> Iterator[bytes]:
    """Write one document: for each series a list by column, a value a step, from the beginning.

    Raises:
        TooMuchError: it would have more than :data:`MAX_VALUES`.

    """
    found = _collect(span, blocks)
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    head = {
        "from": timestamp_of(span.start_s),
        "to": timestamp_of(span.end_s),
        "step_s": span.step_s,
    }

    def parts() -> Iterator[str]:
        yield encode(head)[:-1] + ',"series":['
        for number, (series, columns) in enumerate(sorted(found.items())):
            one = _described(series, names, columns)
            yield ("," if number else "") + encode(one)
        yield "]}\n"

    return _chunked(parts())


def _collect(span: Span, blocks: Iterable[Sequence[Piece]]) -> dict[Series, dict[str, array[int]]]:
    length = (span.end_s - span.start_s) // span.step_s
    found: dict[Series, dict[str, array[int]]] = {}
    left = MAX_VALUES
    for pieces in blocks:
        for piece in pieces:
            columns = found.setdefault(piece.series, {})
            at = (piece.start_s - span.start_s) // span.step_s
            for name, values in piece.columns.items():
                if name not in columns:
                    left -= length
                    if left < 0:
                        raise TooMuchError(
                            f"more than {MAX_VALUES} values: ask for fewer points, columns or "
                            "devices, or for jsonl or csv"
                        )
                    columns[name] = array("Q", bytes(8 * length))
                columns[name][at : at + len(values)] = array("Q", values)
    return found


def _described(
    series: Series, names: Mapping[str, str], columns: Mapping[str, array[int]]
) -> Record:
    published: dict[str, list[Any]] = {}
    if series.kind == "target":
        published = _probe_columns(columns)
    else:
        published = {
            name: values.tolist() for name, values in columns.items() if name not in _COVERAGE
        }
    one: Record = {"kind": series.kind}
    match series.kind:
        case "wire":
            one |= {"interface": series.place}
            covered = columns.get(COVERED)
            one["covered_s"] = [ms / 1000 for ms in covered] if covered is not None else []
            for column in (DROPS, LOST, UNSET):
                values = columns.get(column)
                one[column.removeprefix("_")] = values.tolist() if values is not None else []
        case "device" | "omitted":
            mac = series.subject or None
            one |= {"interface": series.place, "mac": mac, "name": names.get(series.subject)}
        case "target":
            address = series.subject
            one |= {"instance": series.place, "address": address, "name": names.get(address)}
    return one | {"columns": published}


def _probe_columns(columns: Mapping[str, array[int]]) -> dict[str, list[Any]]:
    length = max((len(values) for values in columns.values()), default=0)
    published: dict[str, list[Any]] = {name: [] for name in PROBE_COLUMNS}
    for at in range(length):
        one = probe_values({name: values[at] for name, values in columns.items()})
        for name in PROBE_COLUMNS:
            published[name].append(one[name])
    return published


def wants(
    wanted: Collection[str] | None, *, peaks: bool, prefixes: tuple[str, ...] = ("",)
) -> Callable[[str], bool]:
    """Return what tells of a column's name whether it is wanted; those of coverage always are.

    Args:
        wanted: names of columns; None: all of them.
        peaks: those of ten seconds, too.
        prefixes: how the names begin.

    """

    def keep(name: str) -> bool:
        if name in _COVERAGE or name == OMITTED:
            return True
        plain = name.removeprefix(PEAK)
        is_shown = plain == name or peaks
        return is_shown and plain.startswith(prefixes) and (wanted is None or plain in wanted)

    return keep
