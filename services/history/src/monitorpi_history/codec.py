"""Columns of numbers as bytes, and back. Pure.

Theory of operation. A *chunk* is what one series has in one stretch: for each column a varint
``id << 2 | width`` and its values, little-endian, 1, 2, 4 or 8 bytes each (the least that holds
the largest); a column of zeros is left out. A reader that wants one column skips the others
without looking at them. A *sheet* is the chunks of many series in one stretch, each behind its id
and length (varints), compressed as one; a *block* is one chunk, compressed. zlib sees what columns
are made of, small numbers that repeat, and does the rest.
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
_SEVEN: Final = 0x7F
_MORE: Final = 0x80
_IS_BIG: Final = sys.byteorder == "big"
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of anything unpacked: 8,192 series of 80 columns in a stretch are 20 MB."""


class CodecError(ValueError):
    """Bytes that are not of this form."""


def encode_chunk(columns: Mapping[int, Sequence[int]]) -> bytes:
    """Return the chunk of columns by their ids."""
    out = bytearray()
    for number in sorted(columns):
        values = columns[number]
        largest = max(values)
        if largest == 0:
            continue
        width = sum(largest >= limit for limit in _LIMITS)
        packed = array(_CODES[width], values)
        if _IS_BIG:
            packed.byteswap()
        _put(out, number << 2 | width)
        out += packed.tobytes()
    return bytes(out)


def decode_chunk(
    data: memoryview | bytes, length: int, wanted: Collection[int] | None = None
) -> dict[int, array[int]]:
    """Return the columns of a chunk, all or the wanted ones; those of zeros are not among them.

    Raises:
        CodecError: it is damaged.

    """
    found: dict[int, array[int]] = {}
    at, end = 0, len(data)
    while at < end:
        mark, at = _get(data, at)
        width = mark & 3
        size = length << width
        if at + size > end:
            raise CodecError("a chunk ends in the middle of a column")
        if wanted is None or mark >> 2 in wanted:
            column = array(_CODES[width])
            column.frombytes(data[at : at + size])
            if _IS_BIG:
                column.byteswap()
            found[mark >> 2] = column
        at += size
    return found


def encode_sheet(chunks: Mapping[int, bytes]) -> bytes:
    """Return the sheet of chunks by the ids of their series."""
    out = bytearray()
    for number in sorted(chunks):
        _put(out, number)
        _put(out, len(chunks[number]))
        out += chunks[number]
    return zlib.compress(bytes(out), _LEVEL)


def decode_sheet(
    data: bytes, wanted: Collection[int] | None = None
) -> Iterator[tuple[int, memoryview]]:
    """Yield series and chunk of a sheet, all or the wanted ones.

    Raises:
        CodecError: it is damaged.

    """
    view = memoryview(_unpack(data))
    at, end = 0, len(view)
    while at < end:
        number, at = _get(view, at)
        size, at = _get(view, at)
        if at + size > end:
            raise CodecError("a sheet ends in the middle of a chunk")
        if wanted is None or number in wanted:
            yield number, view[at : at + size]
        at += size


def encode_block(columns: Mapping[int, Sequence[int]]) -> bytes:
    """Return the block of columns by their ids."""
    return zlib.compress(encode_chunk(columns), _LEVEL)


def decode_block(
    data: bytes, length: int, wanted: Collection[int] | None = None
) -> dict[int, array[int]]:
    """Return the columns of a block, all or the wanted ones.

    Raises:
        CodecError: it is damaged.

    """
    return decode_chunk(_unpack(data), length, wanted)


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


def _get(data: memoryview | bytes, at: int) -> tuple[int, int]:
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
