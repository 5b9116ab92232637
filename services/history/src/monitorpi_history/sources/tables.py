"""What can be asked for: a table of names, questions and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.messages import timestamp_of
from monitorpi_common.topics import mac_id
from monitorpi_history.items import PEAK, PROBE_COLUMNS
from monitorpi_history.sources import answers, levels, questions
from monitorpi_history.sources.reader import coarser_where_gone, span_of
from monitorpi_history.tiers import step_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from monitorpi_history.items import Kind, Series
    from monitorpi_history.sources.answers import Record
    from monitorpi_history.sources.reader import Reader, Span

    Answer = Callable[[Reader, Any], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """One thing that can be asked for."""

    name: str
    summary: str
    question: type[BaseModel]
    answer: Answer


# --- counts over time ---------------------------------------------------------------------------


def _span(reader: Reader, asked: questions.SeriesQuestion) -> Span:
    step_s = asked.step or step_for(asked.to - asked.from_, asked.points)
    if asked.step is None:
        step_s = coarser_where_gone(reader, asked.from_, step_s)
    return span_of(asked.from_, asked.to, step_s)


def _wire(reader: Reader, asked: questions.WireQuestion) -> Iterator[bytes]:
    series = _on(reader.series(["wire"]), asked.interface)
    keep = answers.wants(asked.wanted, peaks=asked.peaks)
    return _counts(reader, asked, series, keep, _WIRE)


def _traffic(reader: Reader, asked: questions.TrafficQuestion) -> Iterator[bytes]:
    kinds: list[Kind] = ["device"] if asked.mac else ["device", "omitted"]
    series = _on(reader.series(kinds, asked.mac), asked.interface)
    if series:
        series |= _on(reader.series(["wire"]), asked.interface)
    keep = answers.wants(asked.wanted, peaks=asked.peaks, prefixes=("tx_", "rx_"))
    return _counts(reader, asked, series, keep, _TRAFFIC)


def _on(series: dict[int, Series], interface: str | None) -> dict[int, Series]:
    return {n: one for n, one in series.items() if interface in (None, one.place)}


@dataclass(frozen=True, slots=True)
class _Sheet:
    """How counts stand in CSV."""

    head: Sequence[str]
    columns: Sequence[str]
    of_devices: bool

    def names(self, asked: questions.SeriesQuestion) -> list[str]:
        """Return the head of what was asked for."""
        plain = [name for name in self.columns if asked.wanted is None or name in asked.wanted]
        peaks = [PEAK + name for name in plain] if asked.peaks else []
        return [*self.head, *plain, *peaks]


_WIRE: Final = _Sheet(answers.WIRE_HEAD, answers.WIRE_COLUMNS, of_devices=False)
_TRAFFIC: Final = _Sheet(answers.TRAFFIC_HEAD, answers.TRAFFIC_COLUMNS, of_devices=True)


def _counts(
    reader: Reader,
    asked: questions.SeriesQuestion,
    series: Mapping[int, Series],
    keep: Callable[[str], bool],
    sheet: _Sheet,
) -> Iterator[bytes]:
    span = _span(reader, asked)
    names = _device_names(reader)
    blocks = reader.pieces(span, series, keep)
    if asked.format == "json":
        return answers.document(span, blocks, names)
    records = answers.count_records(blocks, span.step_s, names, of_devices=sheet.of_devices)
    return _lines(records, asked.format, sheet.names(asked))


def _probes(reader: Reader, asked: questions.Probes) -> Iterator[bytes]:
    span = _span(reader, asked)
    series = reader.series(["target"], asked.address)
    names = dict(reader.rows("SELECT address, name FROM target"))
    blocks = reader.pieces(span, series, PROBE_COLUMNS.__contains__)
    if asked.format == "json":
        return answers.document(span, blocks, names)
    head = [*answers.PROBE_HEAD, *answers.PROBE_COLUMNS]
    return _lines(answers.probe_records(blocks, span.step_s, names), asked.format, head)


def _exceedances(reader: Reader, asked: questions.ExceedancesQuestion) -> Iterator[bytes]:
    kind: Kind = "device" if asked.column.startswith(("tx_", "rx_")) else "wire"
    names = _device_names(reader)
    found = levels.exceedances(
        reader, reader.series([kind], asked.mac), asked.column, asked.level, asked.quiet_s,
        (asked.from_, asked.to),
    )  # fmt: skip
    records = (levels.record(one, names) for one in islice(found, asked.limit))
    return _list("exceedances", records, asked.format, levels.HEAD)


def _lines(records: Iterable[Record], format_: str, head: Sequence[str]) -> Iterator[bytes]:
    return answers.csv_lines(records, head) if format_ == "csv" else answers.json_lines(records)


def _device_names(reader: Reader) -> dict[str, str]:
    """Return what devices are called, by MAC address, as far as they have a name."""
    found = reader.rows("SELECT mac, json_extract(message, '$.hostname') FROM device")
    return {mac: name for mac, name in found if name}


# --- lists --------------------------------------------------------------------------------------

_ALERT_HEAD: Final = (
    "opened_at", "closed_at", "state", "severity", "rule", "subject", "interface", "summary",
    "value", "peak", "unit", "threshold", "close_reason", "acknowledged", "caused_by", "id", "key",
)  # fmt: skip
_CHANGE_HEAD: Final = ("at", "subject", "name", "what", "before", "after")
_DEVICE_HEAD: Final = (
    "mac", "hostname", "vendor", "role", "ips", "interface", "first_seen", "last_seen", "present",
    "forgotten",
)  # fmt: skip


def _alerts(reader: Reader, asked: questions.Alerts) -> Iterator[bytes]:
    question = "SELECT message FROM alert WHERE opened_ms < ? AND coalesce(closed_ms, ?) >= ?"
    values: list[object] = [_ms(asked.to), _ms(asked.to), _ms(asked.from_)]
    if asked.rule is not None:
        question += " AND rule = ?"
        values.append(asked.rule)
    if asked.mac is not None:
        question += " AND (instr(subject, ?) OR instr(message, ?))"
        values += [mac_id(asked.mac), f'"mac":"{asked.mac}"']
    question += " ORDER BY opened_ms DESC LIMIT ?"
    found = reader.rows(question, [*values, asked.limit])
    messages: Iterator[Record] = (json.loads(text) for (text,) in found)
    if asked.format == "csv":
        messages = (_flat(message) for message in messages)
    return _list("alerts", messages, asked.format, _ALERT_HEAD)


def _flat(alert: Record) -> Record:
    evidence = alert.get("evidence", {})
    return {name: evidence.get(name) for name in ("value", "peak", "unit", "threshold")} | alert


def _changes(reader: Reader, asked: questions.Changes) -> Iterator[bytes]:
    question = (
        'SELECT at_ms, subject, what, "before", "after" FROM change WHERE at_ms >= ? AND at_ms < ?'
    )
    values: list[object] = [_ms(asked.from_), _ms(asked.to)]
    if asked.subject is not None:
        question += " AND subject = ?"
        values.append(asked.subject)
    question += " ORDER BY at_ms DESC, id DESC LIMIT ?"
    names = _device_names(reader) | dict(reader.rows("SELECT address, name FROM target"))
    records = (
        {
            "at": timestamp_of(at_ms / 1000), "subject": subject, "name": names.get(subject),
            "what": what, "before": before, "after": after,
        }
        for at_ms, subject, what, before, after in reader.rows(question, [*values, asked.limit])
    )  # fmt: skip
    return _list("changes", records, asked.format, _CHANGE_HEAD)


def _devices(reader: Reader, asked: questions.Devices) -> Iterator[bytes]:
    found = reader.rows("SELECT message, forgotten FROM device ORDER BY seen_ms DESC")
    records = ({**json.loads(text), "forgotten": bool(gone)} for text, gone in found)
    if asked.format == "csv":
        records = ({**one, "ips": " ".join(one.get("ips", []))} for one in records)
    return _list("devices", records, asked.format, _DEVICE_HEAD)


def _list(
    name: str, records: Iterable[Record], format_: str, head: Sequence[str]
) -> Iterator[bytes]:
    if format_ == "json":
        return answers.json_list(name, records)
    return _lines(records, format_, head)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


TABLES: Final = (
    AnswerTable("wire", "What was on the wire, by class.", questions.WireQuestion, _wire),
    AnswerTable(
        "traffic", "What devices sent and were sent, by class.", questions.TrafficQuestion, _traffic
    ),
    AnswerTable(
        "exceedances", "When a count was, or may have been, at a level.",
        questions.ExceedancesQuestion, _exceedances,
    ),
    AnswerTable("probes", "Round trips and losses of targets.", questions.Probes, _probes),
    AnswerTable("alerts", "Alerts that were open in a span.", questions.Alerts, _alerts),
    AnswerTable("changes", "What changed about devices and targets.", questions.Changes, _changes),
    AnswerTable("devices", "Every device that is remembered.", questions.Devices, _devices),
)  # fmt: skip
