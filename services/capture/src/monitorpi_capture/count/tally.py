"""Counts classified frames into one window's rows. Pure; the engines without a kernel use it.

Theory of operation. A frame costs one look-up: (both MACs, class mask) -> [frames, bytes]. Those
few pairs are folded into rows when the window is closed, or earlier when unknown senders make too
many. Who gets a row when there are more MACs than rows: see
:mod:`monitorpi_capture.count.contenders`.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import nsmallest
from operator import add
from typing import TYPE_CHECKING, Final, TypeAlias

from monitorpi_capture.count.contenders import (
    FLOOD_CLASSES,
    PROMOTE,
    Guests,
    kept_rows,
    most_pinned,
)
from monitorpi_capture.count.sketch import Distinct, Frequent, Vote
from monitorpi_capture.frame.classify import FLOOD, SYN, Classified, flood_ends
from monitorpi_capture.items import (
    BYTES,
    CLASS_BIT,
    FIRST_CLASS,
    MAX_ROWS,
    PACKETS,
    WIDTH,
    FloodSums,
    Instant,
    MacCounts,
    SpreadCounts,
    WindowCounts,
    flood_sums,
)
from monitorpi_common.messages import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MAX_PAIRS: Final = 8192
"""Pairs waiting to be folded; about 2 MB."""
_GROUP: Final = 0x01
_HEAD: Final = 12
_FLOODS: Final = sum(CLASS_BIT[name] for name in FLOOD_CLASSES)
_SUMS: Final = tuple(CLASS_BIT[name] for name in FloodSums._fields)
_SUMMED: Final = sum(_SUMS)
_Refused: TypeAlias = "tuple[dict[bytes, list[int]], bytes, int, int, int]"
"""Frames that found no row: the side, the MAC, the classes' mask, frames, bytes."""


@lru_cache(maxsize=4096)
def columns_of(mask: int) -> tuple[int, ...]:
    """Return the columns a frame with this class mask counts in, beside packets and bytes."""
    return tuple(FIRST_CLASS + bit for bit in range(len(CLASSES)) if mask >> bit & 1)


def _count(row: list[int], mask: int, frames: int, size: int) -> None:
    row[PACKETS] += frames
    row[BYTES] += size
    for column in columns_of(mask):
        row[column] += frames


class _Flood:
    """What one MAC's SYNs and echo requests were aimed at."""

    __slots__ = ("dst_ips", "dst_ports", "echo", "src_ips", "syn")

    def __init__(self) -> None:
        self.src_ips = Distinct()
        self.dst_ips = Distinct()
        self.dst_ports = Distinct()
        self.syn: Vote | None = None
        self.echo: Vote | None = None

    def spread(self, src_ip: bytes, dst_ip: bytes, port: int, *, syn: bool) -> None:
        """Take the ends of one SYN or echo request."""
        self.src_ips.add(src_ip)
        self.dst_ips.add(dst_ip)
        if syn:
            self.dst_ports.add(port.to_bytes(2, "big"))

    def counts(self) -> SpreadCounts:
        """Return how many different ends there were."""
        return SpreadCounts(self.src_ips.count(), self.dst_ips.count(), self.dst_ports.count())


class Tally:
    """One interface's counts of the open window."""

    def __init__(self, interface: str, engine: str, max_rows: int = MAX_ROWS) -> None:
        self._interface = interface
        self._engine = engine
        self._max_rows = max_rows
        self._kept = kept_rows(max_rows)
        self._known: frozenset[bytes] = frozenset()
        self._guests = Guests(self._kept)
        self._pinned: frozenset[bytes] = frozenset()
        """The known devices and the guests."""
        self._clear()

    def _clear(self) -> None:
        self._pairs: dict[tuple[bytes, int], list[int]] = {}
        self._unlinked: dict[int, list[int]] = {}
        self._tx: dict[bytes, list[int]] = {}
        self._rx: dict[bytes, list[int]] = {}
        self._unknown: set[bytes] = set()
        self._promoted: set[bytes] = set()
        self._contenders = Frequent(self._max_rows)
        self._flooders = Frequent(self._max_rows)
        self._floods: dict[bytes, _Flood] = {}
        self._nobodys: _Flood | None = None
        self._wire = [0] * WIDTH
        self._overflow_tx = [0] * WIDTH
        self._overflow_rx = [0] * WIDTH
        self._overflown = Distinct()
        self.merged = 0

    @property
    def empty(self) -> bool:
        """No frame was counted in the open window."""
        return not (self._pairs or self._unlinked or self._wire[PACKETS])

    def pin(self, macs: Iterable[bytes]) -> None:
        """Keep room for these MACs; takes effect at once, best first, at most a share of all."""
        self._known = frozenset(list(macs)[: most_pinned(self._max_rows)])
        self._pinned = self._known.union(self._guests.macs)

    def add(self, data: bytes, classified: Classified, size: int, frames: int = 1) -> None:
        """Count a frame that has an Ethernet header at hand.

        Args:
            data: the frame, at least 14 bytes.
            classified: what :func:`classify` returned for it.
            size: bytes on the wire, of all ``frames`` together.
            frames: how many it was on the wire.

        """
        mask = classified[0]
        self.add_pair(data[:_HEAD], mask, size, frames)
        if mask & FLOOD:
            ends = flood_ends(data, classified)
            self.add_flood(data[:_HEAD], ends, syn=bool(mask & SYN))

    def add_pair(self, macs: bytes, mask: int, size: int, frames: int) -> None:
        """Count frames of the same addresses and classes, but for what they were aimed at.

        Args:
            macs: destination and source, 12 bytes.
            mask: their classes.
            size: bytes on the wire, of all together.
            frames: how many.

        """
        key = (macs, mask)
        pair = self._pairs.get(key)
        if pair is None:
            if len(self._pairs) >= _MAX_PAIRS:
                self._fold()
            self._pairs[key] = [frames, size]
        else:
            pair[0] += frames
            pair[1] += size

    def add_unlinked(self, mask: int, size: int, frames: int = 1) -> None:
        """Count a frame that has no MAC addresses: for the wire only."""
        count = self._unlinked.setdefault(mask, [0, 0])
        count[0] += frames
        count[1] += size

    def add_packet(self, data: bytes, classified: Classified, size: int) -> None:
        """Count a packet that has no MAC addresses, and what it was aimed at."""
        self.add_unlinked(classified[0], size)
        if classified[0] & FLOOD:
            self._nobodys = self._nobodys or _Flood()
            self._nobodys.spread(*flood_ends(data, classified), syn=bool(classified[0] & SYN))

    def add_flood(
        self, macs: bytes, ends: tuple[bytes, bytes, int], frames: int = 1, *, syn: bool
    ) -> None:
        """Take what SYNs or echo requests were aimed at, which all had the same ends.

        Args:
            macs: destination and source, 12 bytes.
            ends: source address, destination address and destination port.
            frames: how many; a frame that was merged of several is one.
            syn: they are SYNs.

        """
        source = macs[6:]
        flood = self._floods.get(source)
        if flood is None:
            if len(self._floods) >= self._max_rows and not self._is_followed(source, frames):
                return
            flood = self._floods[source] = _Flood()
        src_ip, dst_ip, port = ends
        flood.spread(src_ip, dst_ip, port, syn=syn)
        if syn:
            vote = flood.syn = flood.syn or Vote()
        else:
            vote = flood.echo = flood.echo or Vote()
        vote.add(macs[:6], dst_ip, port, frames)

    def _is_followed(self, source: bytes, frames: int) -> bool:
        """Return whether there is room to follow one more sender; counts who asks, how often."""
        if source in self._pinned:
            return True
        votes = self._flooders.add(source, frames)
        return votes >= PROMOTE and len(self._floods) < self._max_rows + self._kept

    def _fold(self) -> None:
        """Add the waiting pairs to wire and rows; who finds no row contends for one."""
        wire, tx, rx = self._wire, self._tx, self._rx
        refused: list[_Refused] = []
        for (head, mask), (frames, size) in self._pairs.items():
            _count(wire, mask, frames, size)
            source = head[6:]
            row = self._row(tx, source)
            if row is None:
                refused.append((tx, source, mask, frames, size))
            else:
                _count(row, mask, frames, size)
            if not head[0] & _GROUP:
                row = self._row(rx, head[:6])
                if row is None:
                    refused.append((rx, head[:6], mask, frames, size))
                else:
                    _count(row, mask, frames, size)
        if refused:  # behind all others: the frames of a MAC are weighed together
            self._contend(refused)
        for mask, (frames, size) in self._unlinked.items():
            _count(wire, mask, frames, size)
        self._pairs.clear()
        self._unlinked.clear()

    def _contend(self, refused: Sequence[_Refused]) -> None:
        """Give rows to those that flood; the frames of the others are summed."""
        # all votes before any row: who comes first among the frames of a window has no advantage
        votes = self._contenders
        for _, mac, mask, frames, _ in refused:
            if mask & _FLOODS:
                votes.add(mac, frames)
        for side, mac, mask, frames, size in refused:
            if votes.votes(mac) >= PROMOTE and len(self._promoted) < self._kept:
                self._promoted.add(mac)
            row = self._row(side, mac)
            if row is None:
                if side is self._tx:
                    self._overflown.add(mac)
                    row = self._overflow_tx
                else:
                    row = self._overflow_rx
            _count(row, mask, frames, size)

    def _row(self, side: dict[bytes, list[int]], mac: bytes) -> list[int] | None:
        """Return the counts of a MAC on one side, None where there is no room for it."""
        row = side.get(mac)
        if row is None:
            if not (mac in self._pinned or mac in self._unknown or mac in self._promoted):
                if len(self._unknown) >= self._max_rows - len(self._pinned):
                    return None
                self._unknown.add(mac)
            row = side[mac] = [0] * WIDTH
        return row

    def close_window(
        self,
        start: Instant,
        end: Instant,
        length_s: float,
        losses: Mapping[str, int] | None = None,
    ) -> WindowCounts:
        """Close the window and return it; the next one begins."""
        self._fold()
        overflown = bool(self._promoted or any(self._overflow_tx) or any(self._overflow_rx))
        senders = len(self._tx)
        self._drop_surplus()
        rows = [self._counts(mac) for mac in (self._tx | self._rx)]
        window = WindowCounts(
            interface=self._interface,
            engine=self._engine,
            start=start,
            end=end,
            length_s=length_s,
            wire=self._wire,
            rows=rows,
            overflow_tx=self._overflow_tx,
            overflow_rx=self._overflow_rx,
            spread=self._nobodys.counts() if self._nobodys else None,
            source_macs=senders + self._overflown.count(),
            losses=losses or {},
            merged=self.merged,
        )
        refused = self._contenders.over(PROMOTE)
        if self._guests.learn(rows, refused, self._known, overflown=overflown):
            self._pinned = self._known.union(self._guests.macs)
        self._clear()
        return window

    def sums(self) -> FloodSums:
        """Return what the open window holds so far of what floods are made of."""
        totals = list(flood_sums(self._wire))
        for pairs in (self._pairs.items(), self._unlinked.items()):
            for key, (frames, _) in pairs:
                mask = key if isinstance(key, int) else key[1]
                if mask & _SUMMED:
                    for which, bit in enumerate(_SUMS):
                        totals[which] += frames if mask & bit else 0
        return FloodSums(*totals)

    def peek(self, start: Instant, end: Instant, length_s: float) -> WindowCounts:
        """Return what the open window holds so far; it goes on."""
        self._fold()
        return WindowCounts(
            interface=self._interface,
            engine=self._engine,
            start=start,
            end=end,
            length_s=length_s,
            wire=tuple(self._wire),
            rows=[
                row._replace(tx=tuple(row.tx), rx=tuple(row.rx))
                for row in map(self._counts, self._tx | self._rx)
            ],
            overflow_tx=tuple(self._overflow_tx),
            overflow_rx=tuple(self._overflow_rx),
            source_macs=len(self._tx) + self._overflown.count(),
        )

    def _drop_surplus(self) -> None:
        """Make room among the unknown senders for those that were promoted."""
        surplus = len(self._tx.keys() | self._rx.keys()) - self._max_rows
        if surplus <= 0:
            return
        nothing = [0] * WIDTH
        sides = ((self._tx, self._overflow_tx), (self._rx, self._overflow_rx))

        def frames(mac: bytes) -> int:
            return sum(side.get(mac, nothing)[PACKETS] for side, _ in sides)

        for mac in nsmallest(surplus, self._unknown - self._promoted, key=frames):
            for side, overflow in sides:
                overflow[:] = map(add, overflow, side.pop(mac, nothing))

    def _counts(self, mac: bytes) -> MacCounts:
        flood = self._floods.get(mac)
        return MacCounts(
            mac,
            self._tx.get(mac, ()),
            self._rx.get(mac, ()),
            flood.counts() if flood else None,
            flood.syn.winner(with_port=True) if flood and flood.syn else None,
            flood.echo.winner(with_port=False) if flood and flood.echo else None,
            flood.syn.any_target() if flood and flood.syn else None,
        )
