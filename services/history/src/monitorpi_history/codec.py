"""Columns of numbers as bytes, and back. Pure.

Theory of operation. A *block* is what one series has in an hour of minutes or a day of hours: for
each column a varint ``id << 2 | width`` and its values, 1, 2, 4 or 8 bytes each (the least that
holds the largest); a column of zeros is left out. A *sheet* is what all series have in one short
stretch: their ids, and for each column a varint as above, a bitmap of the series that have it, and
their values one behind the other. Both are compressed by zlib. What it finds is little unless like
stands beside like, so values go column by column, and of each value first all low bytes, then all
next ones. A reader that wants one series or one column skips the others without looking at them.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_CODES: Final = "BHIQ"
_LIMITS: Final = (1 << 8, 1 << 16, 1 << 32)
_LEVEL: Final = 6
_MEMORY: Final = 9
"""As much as zlib can use: 256 kB for as long as it packs."""
_SEVEN: Final = 0x7F
_MORE: Final = 0x80
_IS_BIG: Final = sys.byteorder == "big"
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of anything unpacked: 8,192 series of 80 columns in a stretch are 20 MB."""


class CodecError(ValueError):
    """Bytes that are not of this form."""


Columns = dict[int, "array[int]"]


# --- blocks -------------------------------------------------------------------------------------


def encode_block(columns: Mapping[int, Sequence[int]]) -> bytes:
    """Return the block of columns by their ids."""
    out = bytearray()
    for number in sorted(columns):
        width = _width(columns[number])
        if width is not None:
            _put(out, number << 2 | width)
            out += _planes(columns[number], width)
    return zlib.compress(bytes(out), _LEVEL)


def decode_block(data: bytes, length: int, wanted: Collection[int] | None = None) -> Columns:
    """Return the columns of a block, all or the wanted ones; those of zeros are not among them.

    Raises:
        CodecError: it is damaged.

    """
    plain = _unpack(data)
    found: Columns = {}
    at = 0
    while at < len(plain):
        mark, at = _get(plain, at)
        width, size = mark & 3, length << (mark & 3)
        if wanted is None or mark >> 2 in wanted:
            found[mark >> 2] = _values(plain[at : at + size], length, width)
        at += size
    if at != len(plain):
        raise CodecError("a block ends in the middle of a column")
    return found


# --- sheets -------------------------------------------------------------------------------------


def encode_sheet(series: Mapping[int, Mapping[int, Sequence[int]]]) -> bytes:
    """Return the sheet of columns by series; all columns are of one length."""
    numbers = sorted(series)
    held: dict[int, tuple[int, list[int]]] = {}
    for place, number in enumerate(numbers):
        for column, values in series[number].items():
            if any(values):
                bits, all_values = held.get(column, (0, []))
                all_values.extend(values)
                held[column] = (bits | 1 << place, all_values)
    out = bytearray()
    _put(out, len(numbers))
    before = 0
    for number in numbers:
        _put(out, number - before)
        before = number
    for column in sorted(held):
        bits, values = held[column]
        width = _width(values) or 0
        _put(out, column << 2 | width)
        out += bits.to_bytes(_bitmap_bytes(len(numbers)), "little")
        out += _planes(values, width)
    return _pack(bytes(out))


class Sheet:
    """A sheet, unpacked.

    Raises:
        CodecError: it is damaged.

    """

    def __init__(self, data: bytes, length: int) -> None:
        self._plain = _unpack(data)
        self._length = length
        count, at = _get(self._plain, 0)
        self._places: dict[int, int] = {}
        number = 0
        for place in range(count):
            ahead, at = _get(self._plain, at)
            number += ahead
            self._places[number] = place
        self._begin = at

    @property
    def series(self) -> Collection[int]:
        """The ids of those that are in it."""
        return self._places.keys()

    def columns(
        self, series: Collection[int], wanted: Collection[int] | None = None
    ) -> Iterator[tuple[int, int, array[int]]]:
        """Yield series, column and values: all columns of some series, or the wanted ones.

        Raises:
            CodecError: it is damaged.

        """
        some = [(number, self._places[number]) for number in series if number in self._places]
        plain, at = self._plain, self._begin
        map_bytes = _bitmap_bytes(len(self._places))
        while at < len(plain):
            mark, at = _get(plain, at)
            bits = int.from_bytes(plain[at : at + map_bytes], "little")
            at += map_bytes
            width, length = mark & 3, self._length * bits.bit_count()
            size = length << width
            if wanted is None or mark >> 2 in wanted:
                yield from self._of(some, mark >> 2, bits, plain[at : at + size], width)
            at += size
        if at != len(plain):
            raise CodecError("a sheet ends in the middle of a column")

    def _of(
        self, some: Sequence[tuple[int, int]], column: int, bits: int, packed: bytes, width: int
    ) -> Iterator[tuple[int, int, array[int]]]:
        length = self._length
        there = [one for one in some if bits >> one[1] & 1]
        if not there:
            return
        values = _values(packed, length * bits.bit_count(), width)
        for number, place in there:
            first = (bits & (1 << place) - 1).bit_count() * length
            yield number, column, values[first : first + length]


def _bitmap_bytes(series: int) -> int:
    return -(-series // 8)


# --- numbers ------------------------------------------------------------------------------------


def _width(values: Sequence[int]) -> int | None:
    """Return how values are packed, as a power of two of bytes; None: all are 0."""
    largest = max(values)
    return sum(largest >= limit for limit in _LIMITS) if largest else None


def _planes(values: Sequence[int], width: int) -> bytes:
    """Return values with all their low bytes first, then all next ones."""
    packed = array(_CODES[width], values)
    if _IS_BIG:
        packed.byteswap()
    plain = packed.tobytes()
    size = 1 << width
    return plain if size == 1 else b"".join(plain[plane::size] for plane in range(size))


def _values(planes: bytes, length: int, width: int) -> array[int]:
    size = 1 << width
    if len(planes) != length * size:
        raise CodecError("it ends in the middle of a column")
    plain = bytearray(len(planes))
    for plane in range(size):
        plain[plane::size] = planes[plane * length : (plane + 1) * length]
    values = array(_CODES[width])
    values.frombytes(bytes(plain))
    if _IS_BIG:
        values.byteswap()
    return values


def _pack(plain: bytes) -> bytes:
    """Return the smaller of two: counts that come again, and counts that are small and at random.

    ``Z_FILTERED`` is for the latter (zlib's manual, deflateInit2): a twelfth less of a busy LAN's
    sheets, nothing of blocks. Both read alike.
    """
    packed = []
    for strategy in (zlib.Z_FILTERED, zlib.Z_DEFAULT_STRATEGY):
        packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY, strategy)
        packed.append(packing.compress(plain) + packing.flush())
    return min(packed, key=len)


def _unpack(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise CodecError(str(error)) from None
    if not unpacking.eof:
        raise CodecError("it is not whole, or too large")
    return plain


def _put(out: bytearray, number: int) -> None:
    """Append a varint: seven bits a byte, the low ones first (LEB128)."""
    while number > _SEVEN:
        out.append(number & _SEVEN | _MORE)
        number >>= 7
    out.append(number)


def _get(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where the next begins."""
    number = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            number |= (byte & _SEVEN) << shift
            if byte < _MORE:
                return number, at
            shift += 7
    except IndexError:
        raise CodecError("it ends in the middle of a number") from None
