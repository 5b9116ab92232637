"""Windows and rounds, summed into slots until they are written. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_history.items import (
    COVERED,
    DROPS,
    HOUR_S,
    LOST,
    MAX_VALUE,
    OMITTED,
    ROUNDS,
    SLOT_S,
    UNSET,
    Columns,
    Series,
    Stretch,
    combine,
    rule_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from monitorpi_common.messages import Omitted, Probe, ProbeResult, Traffic

UNTIMELY_S: Final = 3600.0
"""A window or round stamped further from its arrival is of a clock that is wrong."""
MAX_SLOTS: Final = 360
"""Held while nothing can be written: an hour; then the oldest are lost, and told."""
MAX_SERIES: Final = 8192
"""Kept apart in one hour: 4,096 devices and 1,024 targets, twice where there are two ports."""
MAX_UNKNOWN: Final = 1024
"""Of them MAC addresses that are no devices of the inventory: a flood invents millions."""
MAX_SENDERS: Final = 64
MAX_COLUMNS: Final = 256
"""Four times the classes there are; whoever invents more is not followed."""
_REORDERED: Final = 1000
"""A number of a message so little behind the newest is a copy; further back, a new beginning."""

Row = dict[str, int]


@dataclass(slots=True)
class _Sender:
    """Where a stream of messages is."""

    epoch: str
    seq: int


class Gathering:
    """What was counted and is not written yet."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[Series, Row]] = {}
        """By the slot's number since 1970."""
        self._senders: dict[tuple[str, str], _Sender] = {}
        self._names: dict[tuple[str, str], str] = {}
        """Of columns, made once: an hour has a million of them."""
        self._hour = 0
        self._apart: set[Series] = set()
        self._unknown = 0
        self.untimely = 0
        """Messages that were stamped too far from their arrival."""
        self.repeated = 0
        self.lost_windows = 0
        self.refused_senders = 0
        self.lost_slots = 0
        """Slots that were given up because they could not be written."""

    def __len__(self) -> int:
        return len(self._slots)

    # --- windows ----------------------------------------------------------------------------

    def window(self, window: Traffic, known: Collection[str], now: datetime | None) -> None:
        """Take a window; it belongs to the slot it began in.

        Args:
            window: the counts of one interface.
            known: MAC addresses that are devices of the inventory.
            now: the wall clock; None in a pipe.

        """
        if _is_untimely(window.start, now):
            self.untimely += 1
            return
        lost = self._follow("traffic", window.interface, window.epoch, window.seq)
        if lost is None:
            return
        self.lost_windows += lost
        slot = self._slot(window.start)
        wire = self._row(slot, Series("wire", window.interface))
        _add(wire, COVERED, round(window.window_s * 1000))
        _add(wire, DROPS, window.kernel_drops)
        _add(wire, LOST, lost)
        _add(wire, UNSET, 0 if window.clock_synced else 1)
        _add(wire, "packets", window.packets)
        _add(wire, "bytes", window.bytes)
        self._add_all(wire, window.counts, "")
        for device in window.devices:
            series = Series("device", window.interface, device.mac)
            if not self._is_apart(series, device.mac in known):
                self._omit(slot, window.interface, device.tx, 1)
                continue
            row = self._row(slot, series)
            self._add_all(row, device.tx, "tx_")
            self._add_all(row, device.rx, "rx_")
        self._omit_published(slot, window.interface, window.omitted)

    def _omit_published(self, slot: int, interface: str, omitted: Omitted) -> None:
        if omitted.devices or omitted.packets:
            counts = {"packets": omitted.packets, "bytes": omitted.bytes} | omitted.classes
            self._omit(slot, interface, counts, omitted.devices)

    def _omit(self, slot: int, interface: str, counts: Mapping[str, int], macs: int) -> None:
        row = self._row(slot, Series("omitted", interface))
        self._add_all(row, counts, "tx_")
        row[OMITTED] = max(row.get(OMITTED, 0), macs)

    def _is_apart(self, series: Series, is_known: bool) -> bool:
        """Return whether a series is kept by itself; there is a bound for each hour."""
        if series in self._apart:
            return True
        if len(self._apart) >= MAX_SERIES or (not is_known and self._unknown >= MAX_UNKNOWN):
            return False
        self._apart.add(series)
        self._unknown += not is_known
        return True

    # --- rounds -----------------------------------------------------------------------------

    def round(self, published: Probe, instance: str, now: datetime | None) -> None:
        """Take a round of probes; it belongs to the slot it ended in."""
        if _is_untimely(published.round_end, now):
            self.untimely += 1
            return
        if self._follow("probe", instance, published.epoch, published.seq) is None:
            return
        slot = self._slot(published.round_end)
        for result in published.targets:
            series = Series("target", instance, result.address)
            if not self._is_apart(series, is_known=True):
                continue
            row = self._row(slot, series)
            for column, value in _of_result(result):
                row[column] = combine(rule_of(column), row.get(column, 0), value)

    # --- slots ------------------------------------------------------------------------------

    def _follow(self, kind: str, id_: str, epoch: str, seq: int) -> int | None:
        """Return how many messages of a stream were lost before this; None: it is a copy."""
        key = (kind, id_)
        sender = self._senders.get(key)
        if sender is None:
            if len(self._senders) >= MAX_SENDERS:
                self.refused_senders += 1
                return None
            self._senders[key] = _Sender(epoch, seq)
            return 0
        before, same = sender.seq, sender.epoch == epoch
        ahead = seq - before
        if same and -_REORDERED < ahead <= 0:
            self.repeated += 1
            return None
        sender.epoch, sender.seq = epoch, seq
        return max(ahead - 1, 0) if same and ahead <= UNTIMELY_S else 0

    def _slot(self, at: datetime) -> int:
        slot = int(at.timestamp()) // SLOT_S
        hour = slot * SLOT_S // HOUR_S
        if hour != self._hour:
            self._hour = hour
            self._apart.clear()
            self._unknown = 0
        if slot not in self._slots and len(self._slots) >= MAX_SLOTS:
            del self._slots[min(self._slots)]
            self.lost_slots += 1
        return slot

    def _row(self, slot: int, series: Series) -> Row:
        rows = self._slots.get(slot)
        if rows is None:
            rows = self._slots[slot] = {}
        row = rows.get(series)
        if row is None:
            row = rows[series] = {}
        return row

    def _add_all(self, row: Row, counts: Mapping[str, int], prefix: str) -> None:
        names = self._names
        for word, value in counts.items():
            name = names.get((prefix, word))
            if name is None:
                if len(names) >= MAX_COLUMNS:
                    continue
                name = names[prefix, word] = prefix + word
            row[name] = row.get(name, 0) + value

    # --- out --------------------------------------------------------------------------------

    def stretches(self) -> list[Stretch]:
        """Return everything that was gathered, an hour a stretch; it stays until `clear`."""
        hours: dict[int, list[int]] = {}
        for slot in sorted(self._slots):
            hours.setdefault(slot * SLOT_S // HOUR_S, []).append(slot)
        return [self._stretch(hour, slots) for hour, slots in hours.items()]

    def _stretch(self, hour: int, slots: list[int]) -> Stretch:
        first, length = slots[0], slots[-1] - slots[0] + 1
        series: dict[Series, Columns] = {}
        for slot in slots:
            for one, row in self._slots[slot].items():
                columns = series.setdefault(one, {})
                for name, value in row.items():
                    if name not in columns:
                        columns[name] = [0] * length
                    columns[name][slot - first] = min(value, MAX_VALUE)
        return Stretch(hour, first - hour * HOUR_S // SLOT_S, length, series)

    def clear(self) -> None:
        """Forget what was gathered: it is written."""
        self._slots.clear()


def _is_untimely(at: datetime, now: datetime | None) -> bool:
    return now is not None and abs((at - now).total_seconds()) > UNTIMELY_S


def _add(row: Row, column: str, value: int) -> None:
    if value:
        row[column] = min(row.get(column, 0) + value, MAX_VALUE)


def _of_result(result: ProbeResult) -> Iterator[tuple[str, int]]:
    """Yield the columns of one target's round; means are kept as sums over the replies."""
    yield ROUNDS, 1
    yield "sent", result.sent
    yield "received", result.received
    yield "unsent", result.unsent
    yield "late", result.late
    yield "altered", result.altered
    yield "rounds_up", int(result.received > 0)
    if not result.received:
        return
    for column, value_ms in (
        ("rtt_min_us", result.rtt_min_ms),
        ("rtt_max_us", result.rtt_max_ms),
        ("rtt_p95_us", result.rtt_p95_ms),
        ("pdv_p95_us", result.pdv_p95_ms),
    ):
        if value_ms is not None:
            yield column, max(_whole(value_ms * 1000), 1)
    for column, value_ms in (
        ("rtt_avg_us_sum", result.rtt_avg_ms),
        ("rtt_p50_us_sum", result.rtt_p50_ms),
    ):
        if value_ms is not None:
            yield column, _whole(value_ms * 1000 * result.received)
    if result.jitter_ms is not None:
        yield "jitter_us_sum", _whole(result.jitter_ms * 1000 * result.received)
        yield "jitter_received", result.received
    if result.mos is not None:
        yield "mos_centi", round(result.mos * 100)


def _whole(value: float) -> int:
    return min(round(value), MAX_VALUE)
