"""The memory of ``count.bpf.c`` seen from Python: where what lies, and what it means. Pure.

All maps are arrays of parts, ``[epoch 0..1][CPU]``. A part is written by one CPU alone while its
epoch is the live one, and by nobody else than us while it is not. Only systems with more than
:data:`MAX_PARTS` possible CPUs get fewer parts than CPUs: those that come up later share the last.
"""

from __future__ import annotations

import math
import operator
import struct
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from monitorpi_capture.count.contenders import PROMOTE
from monitorpi_capture.items import COLUMNS, PACKETS, MacCounts, Sample, SpreadCounts, TopPeer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_PARTS: Final = 16
MAX_ROWS: Final = 65_535
"""A cell of a bucket keeps the row number in 16 bits."""

WORDS: Final = 12
_PLACES: Final = {
    "packets": (0, 0), "ipv4": (0, 1), "ipv6": (1, 0), "tcp": (1, 1), "udp": (2, 0),
    "syn": (2, 1), "https": (3, 0), "http": (3, 1), "icmp": (4, 0), "icmp_echo": (4, 1),
    "broadcast": (5, 0), "multicast": (5, 1), "arp": (6, 0), "igmp": (6, 1), "dhcp": (7, 0),
    "dns": (7, 1), "fin": (8, 0), "syn_ack": (8, 1), "mdns": (9, 0), "vlan": (9, 1),
    "rst": (10, 0), "fragment": (10, 1), "malformed": (11, 0),
}  # fmt: skip
"""Word of a side and half of the word (0 the lower one) of each counter, as in the C source."""

CELLS: Final = 8
_SIDE: Final = f"Q{2 * WORDS}I"
SIDE_BYTES: Final = struct.calcsize("<" + _SIDE)
_ROW: Final = struct.Struct(f"<6sHII{_SIDE}8x{_SIDE}88x")
ROW_BYTES: Final = _ROW.size
"""Five cache lines; see the C source for why not four."""
BUCKET_BYTES: Final = 8 * CELLS
SKETCH_REGISTERS: Final = 1024
SKETCH_BYTES: Final = SKETCH_REGISTERS // 2
REGISTER_WORD: Final = 8
"""Bytes of an entry of the map of the registers."""
SKETCHES: Final = 3
"""Of a flood block: source addresses, destination addresses, destination ports."""
_VOTE: Final = "6sH16sIIII"
_FLOOD: Final = struct.Struct(f"<{_VOTE}{_VOTE}16x6I8x")
FLOOD_BYTES: Final = _FLOOD.size
_SCORE: Final = 3
"""Where a vote says how far it is ahead."""
_SYN_VOTE: Final = slice(0, 7)
_ECHO_VOTE: Final = slice(7, 14)
_FILLS: Final = (14, 16, 18)
"""Where a flood block says how full each of its sketches is: two numbers."""
_SHARE_HEAD: Final = struct.Struct("<IIII")
_SHARE_SIDES: Final = struct.Struct("<" + 3 * _SIDE)
_SHARE_FILL: Final = struct.Struct("<II")
SHARE_BYTES: Final = _SHARE_HEAD.size + _SHARE_SIDES.size + _SHARE_FILL.size
CONTROL: Final = struct.Struct("<8IQQ")

Bytes: TypeAlias = bytes | memoryview
_Vote: TypeAlias = tuple[Any, ...]
"""MAC, IP version, address, score, hits, port, score of the port."""
_Flood: TypeAlias = tuple["Part", int]
"""Where one CPU kept what it saw of a MAC's SYNs and echo requests: the number of its block."""
_Sketch: TypeAlias = tuple[Bytes, int, int]
"""Registers; how many are filled, and what is gone of the sum: see :func:`estimate`."""
_NUMBERS: Final = 1 + 2 * WORDS
_KNOWN: Final = b"\x01\x00"
_CONTENDER: Final = b"\x02\x00"
"""What a row says of its MAC's kind."""
CONTENDER_BYTES: Final = 8
_PROMOTED: Final = 0x8000
_WORD_BITS: Final = (1 << 64) - 1
_ALPHA: Final = 0.7213 / (1 + 1.079 / SKETCH_REGISTERS)
"""Flajolet et al. 2007, figure 3."""
_REGISTER_TOP: Final = 15


def _positions(start: int) -> tuple[int, ...]:
    """Return where the columns of a side stand in its unpacked numbers, which begin at start."""
    places = {name: start + 1 + 2 * word + half for name, (word, half) in _PLACES.items()}
    return tuple(start if name == "bytes" else places[name] for name in COLUMNS)


_TX: Final = operator.itemgetter(*_positions(4))
_RX: Final = operator.itemgetter(*_positions(4 + _NUMBERS))
_TX_PACKETS: Final = _positions(4)[PACKETS]
_RX_PACKETS: Final = _positions(4 + _NUMBERS)[PACKETS]
_SIDES: Final = tuple(operator.itemgetter(*_positions(i * _NUMBERS)) for i in range(3))


def class_names(returned: int) -> list[str]:
    """Return the classes the program ``socket/classify`` told with its return value."""
    found = {
        name
        for name, (word, half) in _PLACES.items()
        if returned >> (word + WORDS * half) & 1 and name != "packets"
    }
    return [name for name in COLUMNS if name in found]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How large everything is."""

    parts: int
    rows: int
    """Per part: MACs of one interface and window that find room by coming first, or are known."""
    floods: int
    """Per part: MACs whose spread and top peers are kept."""
    factor: int
    salt: int
    reserve: int = 0
    """Per part: rows beyond these, for those without one who flood."""

    @property
    def all_rows(self) -> int:
        """Per part: the reserved ones too."""
        return self.rows + self.reserve

    @property
    def contenders(self) -> int:
        """Per part: cells in which MACs without a row contend for one."""
        return self.buckets * CELLS

    @property
    def buckets(self) -> int:
        """Per part; a power of two, so that full tables have a quarter of their cells taken."""
        return 1 << max((self.rows // 2 - 1).bit_length(), 1)

    @property
    def register_words(self) -> int:
        """Per part: the registers of the flood blocks' sketches, then of the share's."""
        return (self.floods * SKETCHES + 1) * SKETCH_BYTES // REGISTER_WORD

    @property
    def _shift(self) -> int:
        return 65 - self.buckets.bit_length()

    def control(self) -> bytes:
        """Return the control block; epoch 0 is live."""
        return CONTROL.pack(
            0,
            self.parts,
            self.all_rows,
            self.buckets,
            self.floods,
            self.floods // 2,
            self._shift,
            self.rows,
            self.factor,
            self.salt,
        )

    def home(self, mac: bytes) -> int:
        """Return the bucket of a MAC."""
        mixed = int.from_bytes(mac, "little") * self.factor & _WORD_BITS
        return ((mixed ^ mixed >> 32) * self.factor & _WORD_BITS) >> self._shift


@dataclass(frozen=True, slots=True)
class Seeds:
    """What a part looks like before its window begins: rows of known MACs and their cells."""

    buckets: bytes
    rows: bytes
    share: bytes
    macs: frozenset[bytes]


def seeds(geometry: Geometry, macs: Sequence[bytes], guests: Sequence[bytes] = ()) -> Seeds:
    """Place MACs in an empty part, best first, as many as there is room for.

    Args:
        geometry: how large it is.
        macs: the known devices.
        guests: who flooded in the windows before; known ones are left out.

    """
    cells: dict[int, list[int]] = {}
    rows: list[bytes] = []
    kinds = dict.fromkeys(guests, _CONTENDER) | dict.fromkeys(macs, _KNOWN)
    for mac in dict.fromkeys([*macs, *guests]):
        if len(rows) >= geometry.rows:
            break
        home = geometry.home(mac)
        for index in (home, home ^ 1):
            bucket = cells.setdefault(index, [])
            if len(bucket) < CELLS:
                rows.append(mac)
                bucket.append(int.from_bytes(mac, "little") << 16 | len(rows))
                break
    image = bytearray(geometry.buckets * BUCKET_BYTES)
    for index, bucket in cells.items():
        struct.pack_into(f"<{len(bucket)}Q", image, index * BUCKET_BYTES, *bucket)
    heads = b"".join((mac + kinds[mac]).ljust(ROW_BYTES, b"\0") for mac in rows)
    share = _SHARE_HEAD.pack(len(rows), 0, 0, 0).ljust(SHARE_BYTES, b"\0")
    return Seeds(bytes(image), heads, share, frozenset(rows))


@dataclass(frozen=True, slots=True)
class Share:
    """What a CPU keeps beside its rows."""

    rows: int
    floods: int
    promoted: int
    overflow_tx: tuple[int, ...]
    overflow_rx: tuple[int, ...]
    unlinked: tuple[int, ...]
    overflown: tuple[int, int]
    """How full the sketch of the sources is that found no row."""

    @property
    def is_contended(self) -> bool:
        """Some frame found no row at first."""
        return bool(self.promoted or self.overflow_tx[PACKETS] or self.overflow_rx[PACKETS])


def share_of(data: Bytes) -> Share:
    """Decode a share."""
    rows, floods, _, promoted = _SHARE_HEAD.unpack_from(data)
    numbers = _SHARE_SIDES.unpack_from(data, _SHARE_HEAD.size)
    tx, rx, unlinked = (side(numbers) for side in _SIDES)
    filled, gone = _SHARE_FILL.unpack_from(data, _SHARE_HEAD.size + _SHARE_SIDES.size)
    return Share(rows, floods, promoted, tx, rx, unlinked, (filled, gone))


@dataclass(frozen=True, slots=True)
class Part:
    """What one CPU counted in one window."""

    share: Share
    rows: Bytes
    promoted: Bytes
    """The rows of those who found none at first."""
    floods: Bytes
    registers: Bytes
    """Of the flood blocks' sketches, three each, and at last of the share's."""
    contenders: Bytes = b""

    def block(self, number: int) -> tuple[Any, ...]:
        """Return what a flood block holds, by its number, from 0."""
        return _FLOOD.unpack_from(self.floods, number * FLOOD_BYTES)

    def sketch(self, number: int, which: int) -> _Sketch:
        """Return one of the three sketches of a flood block."""
        at = (number * SKETCHES + which) * SKETCH_BYTES
        fill = _FILLS[which]
        filled, gone = self.block(number)[fill : fill + 2]
        return self.registers[at : at + SKETCH_BYTES], filled, gone

    def refused(self) -> Counter[bytes]:
        """Return who deserved a row and got none, with its votes."""
        cells = memoryview(self.contenders).cast("Q") if self.share.is_contended else ()
        return Counter(
            {
                (cell >> 16).to_bytes(6, "little"): cell & _PROMOTED - 1
                for cell in cells
                if PROMOTE <= cell & _PROMOTED * 2 - 1 < _PROMOTED
            }
        )

    @property
    def overflown(self) -> _Sketch:
        """The sources that found no row."""
        return (self.registers[-SKETCH_BYTES:], *self.share.overflown)


@dataclass(frozen=True, slots=True)
class Reading:
    """What all CPUs together counted on one interface in one window."""

    rows: list[MacCounts]
    wire: Sequence[int]
    overflow_tx: Sequence[int]
    overflow_rx: Sequence[int]
    source_macs: int
    refused: Mapping[bytes, int]
    """Votes of those who deserved a row and got none."""
    overflown: bool
    """Some MAC did not find a row at once."""


def _added(*rows: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))


def reading(parts: Sequence[Part], max_rows: int, seeded: frozenset[bytes]) -> Reading:
    """Put the parts of one window together."""
    rows: dict[bytes, tuple[Sequence[int], Sequence[int], tuple[_Flood, ...]]] = {}
    for part in parts:
        for number in chain(_ROW.iter_unpack(part.rows), _ROW.iter_unpack(part.promoted)):
            sent, got = number[_TX_PACKETS], number[_RX_PACKETS]
            if not sent and not got:
                continue
            tx, rx = _TX(number) if sent else (), _RX(number) if got else ()
            at = number[2]
            flood = ((part, at - 1),) if at else ()
            mac = number[0]
            if mac in rows:
                old = rows[mac]
                rows[mac] = (
                    _added(old[0], tx) if old[0] and sent else (tx or old[0]),
                    _added(old[1], rx) if old[1] and got else (old[1] or rx),
                    old[2] + flood,
                )
            else:
                rows[mac] = (tx, rx, flood)
    return _bounded(parts, rows, max_rows, seeded | _promoted(parts))


def _promoted(parts: Sequence[Part]) -> frozenset[bytes]:
    return frozenset(
        row[0] for part in parts if part.share.promoted for row in _ROW.iter_unpack(part.promoted)
    )


def _bounded(
    parts: Sequence[Part],
    rows: dict[bytes, tuple[Sequence[int], Sequence[int], tuple[_Flood, ...]]],
    max_rows: int,
    kept: frozenset[bytes],
) -> Reading:
    """Keep as many rows as one window may have; the CPUs together may have found more."""
    overflow_tx = [part.share.overflow_tx for part in parts]
    overflow_rx = [part.share.overflow_rx for part in parts]
    overflown = _merged([part.overflown for part in parts])
    sources = sum(1 for row in rows.values() if row[0])
    surplus = len(rows) - max_rows
    if surplus > 0:
        strangers = [mac for mac in rows if mac not in kept]
        for mac in nsmallest(surplus, strangers, key=lambda mac: _frames(*rows[mac][:2])):
            tx, rx, _ = rows.pop(mac)
            overflow_tx.append(tuple(tx) or (0,) * len(COLUMNS))
            overflow_rx.append(tuple(rx) or (0,) * len(COLUMNS))
    lost_tx = _added(*overflow_tx)
    sent = [row[0] for row in rows.values() if row[0]]
    return Reading(
        rows=[_counts(mac, *row) for mac, row in rows.items()],
        wire=_added(lost_tx, *(part.share.unlinked for part in parts), *sent),
        overflow_tx=lost_tx,
        overflow_rx=_added(*overflow_rx),
        source_macs=sources + overflown,
        refused=sum((part.refused() for part in parts), Counter[bytes]()),
        overflown=surplus > 0 or any(part.share.is_contended for part in parts),
    )


def _frames(tx: Sequence[int], rx: Sequence[int]) -> int:
    return (tx[PACKETS] if tx else 0) + (rx[PACKETS] if rx else 0)


def _counts(
    mac: bytes, tx: Sequence[int], rx: Sequence[int], floods: tuple[_Flood, ...]
) -> MacCounts:
    if not floods:
        return MacCounts(mac, tx, rx)
    blocks = [part.block(number) for part, number in floods]
    if len(blocks) == 1:  # one CPU saw it: nothing is to be merged
        spread = [estimate(*blocks[0][fill : fill + 2]) for fill in _FILLS]
    else:
        spread = [
            _merged([part.sketch(number, which) for part, number in floods])
            for which in range(SKETCHES)
        ]
    return MacCounts(
        mac,
        tx,
        rx,
        SpreadCounts(*spread),
        _winner([block[_SYN_VOTE] for block in blocks], with_port=True),
        _winner([block[_ECHO_VOTE] for block in blocks], with_port=False),
        _sample([block[_SYN_VOTE] for block in blocks]),
    )


@lru_cache(maxsize=4096)
def estimate(filled: int, gone: int) -> int:
    """Return how many distinct items a sketch saw.

    HyperLogLog (Flajolet et al. 2007) with linear counting while registers are empty.

    Args:
        filled: registers that are not 0.
        gone: sum over the registers of ``2^15 - 2^(15 - register)``.

    """
    empty = SKETCH_REGISTERS - filled
    if empty:
        linear = SKETCH_REGISTERS * math.log(SKETCH_REGISTERS / empty)
        if linear < 2.5 * SKETCH_REGISTERS:
            return round(linear)
    total = SKETCH_REGISTERS - gone / (1 << _REGISTER_TOP)
    return round(_ALPHA * SKETCH_REGISTERS * SKETCH_REGISTERS / total)


def _merged(sketches: Sequence[_Sketch]) -> int:
    """Return the estimate of several CPUs' sketches together."""
    seen = [sketch for sketch in sketches if sketch[1]]
    if len(seen) <= 1:
        return estimate(*seen[0][1:]) if seen else 0
    if all(one[0] == seen[0][0] for one in seen):
        return estimate(*seen[0][1:])
    low = map(max, *((byte & 15 for byte in one[0]) for one in seen))
    high = map(max, *((byte >> 4 for byte in one[0]) for one in seen))
    registers = [*low, *high]
    filled = sum(1 for register in registers if register)
    gone = sum((1 << _REGISTER_TOP) - (1 << _REGISTER_TOP - register) for register in registers)
    return estimate(filled, gone)


def _sample(votes: Sequence[_Vote]) -> Sample | None:
    """Return what the first CPU's vote ended with, won or not."""
    for _, version, address, _, hits, port, _ in votes:
        if hits:
            return Sample(_address(version, address), port)
    return None


def _address(version: int, address: bytes) -> bytes:
    return address[8:12] if version == 4 else address  # noqa: PLR2004 - the IP version


def _winner(votes: Sequence[_Vote], *, with_port: bool) -> TopPeer | None:
    """Return whom the CPUs' votes together leave standing."""
    candidates = [vote for vote in votes if vote[_SCORE]]
    winner = candidates[0] if len(candidates) == 1 else _elected(candidates)
    if winner is None:
        return None
    mac, version, address, _, hits, port, port_score = winner
    return TopPeer(
        mac, _address(version, address), port if with_port and port_score else None, hits
    )


def _elected(candidates: Sequence[_Vote]) -> _Vote | None:
    """Return the candidate that is left when they are set against each other."""
    standing: dict[tuple[bytes, int, bytes], tuple[int, int, int, int]] = {}
    for mac, version, address, score, hits, port, port_score in candidates:
        who = (mac, version, address)
        if who in standing:
            old = standing[who]
            if old[2] == port:
                ports = (port, old[3] + port_score)
            else:
                ports = max((old[2:], (port, port_score)), key=operator.itemgetter(1))
                ports = (ports[0], abs(old[3] - port_score))
            standing[who] = (old[0] + score, old[1] + hits, *ports)
        else:
            standing[who] = (score, hits, port, port_score)
    best = max(standing, key=lambda who: standing[who][0], default=None)
    if best is None or 2 * standing[best][0] <= sum(entry[0] for entry in standing.values()):
        return None
    return (*best, *standing[best])
