"""Columns as bytes: what goes in comes out, and damage is reported."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_history import codec

COLUMNS = st.integers(1, 40).flatmap(
    lambda length: st.tuples(
        st.just(length),
        st.dictionaries(
            st.integers(1, 500),
            st.lists(st.integers(0, 2**63 - 1), min_size=length, max_size=length)
            | st.lists(st.integers(0, 300), min_size=length, max_size=length),
            max_size=8,
        ),
    )
)


def told(columns: dict[int, list[int]]) -> dict[int, list[int]]:
    """Return what is worth a byte: columns that are not all zeros."""
    return {number: values for number, values in columns.items() if any(values)}


@given(COLUMNS)
def test_what_goes_in_comes_out(made: tuple[int, dict[int, list[int]]]) -> None:
    """All but columns of zeros, which are left out."""
    length, columns = made

    found = codec.decode_block(codec.encode_block(columns), length)

    assert told(columns) == {number: list(values) for number, values in found.items()}


@given(COLUMNS)
def test_some_columns_alone(made: tuple[int, dict[int, list[int]]]) -> None:
    """Others are skipped without a look."""
    length, columns = made
    wanted = set(list(columns)[:2])

    found = codec.decode_block(codec.encode_block(columns), length, wanted)

    assert {n: v for n, v in told(columns).items() if n in wanted} == {
        number: list(values) for number, values in found.items()
    }


@given(
    st.integers(1, 4).flatmap(
        lambda length: st.tuples(
            st.just(length),
            st.dictionaries(
                st.integers(0, 70_000),
                st.dictionaries(
                    st.integers(1, 300),
                    st.lists(st.integers(0, 2**63 - 1), min_size=length, max_size=length),
                    max_size=4,
                ),
                max_size=12,
            ),
        )
    ),
    st.data(),
)
def test_a_sheet_gives_back_each_series(
    made: tuple[int, dict[int, dict[int, list[int]]]], data: st.DataObject
) -> None:
    """All of them, and those that are wanted alone, with the columns that are wanted."""
    length, series = made
    some = data.draw(st.sets(st.sampled_from(sorted(series)))) if series else set()

    sheet = codec.Sheet(codec.encode_sheet(series), length)

    assert set(sheet.series) == set(series)
    expected = {(n, c, tuple(v)) for n in some for c, v in series[n].items() if any(v)}
    assert expected == {(n, c, tuple(v)) for n, c, v in sheet.columns(some)}
    assert {one for one in expected if one[1] < 100} == {
        (n, c, tuple(v)) for n, c, v in sheet.columns(some, range(100))
    }


@given(st.binary(max_size=60), st.integers(0, 60))
def test_damage_is_told(noise: bytes, at: int) -> None:
    """Whatever stands there: an error of ours, or columns."""
    good = codec.encode_block({1: [1, 2, 3], 2: [500, 600, 700]})
    for data in (noise, good[:at] + noise + good[at:], good[:at]):
        try:
            codec.decode_block(data, 3)
            sheet = codec.Sheet(data, 3)
            list(sheet.columns(sheet.series))
        except codec.CodecError:
            pass


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody unpacks more than a whole site can have."""
    monkeypatch.setattr(codec, "MOST_BYTES", 1000)

    with pytest.raises(codec.CodecError, match="too large"):
        codec.decode_block(codec.encode_block({1: list(range(1, 2000))}), 1999)


def test_a_block_is_written_as_ever() -> None:
    """What was kept years ago is read: ids and widths, low bytes first, column by column."""
    columns = {3: [0, 0], 200: [1, 0x0102], 2: [255, 1], 4: [1 << 32, 2], 1: [1 << 16, 0x0A0B0C]}

    plain = zlib.decompress(codec.encode_block(columns))

    assert plain.hex(" ") == (
        "06 00 0c 00 0b 01 0a 00 00 "  # column 1, four bytes
        "08 ff 01 "  # column 2, one
        "13 00 02 00 00 00 00 00 00 01 00 00 00 00 00 00 00 "  # column 4, eight
        "a1 06 01 02 00 01"  # column 200, two
    )


def test_a_sheet_is_written_as_ever() -> None:
    """How many series and how far apart, then each column with those that have it."""
    series = {7: {1: [1], 3: [0]}, 300: {2: [256]}, 5: {1: [2]}, **{400 + n: {} for n in range(6)}}

    plain = zlib.decompress(codec.encode_sheet(series))

    assert plain.hex(" ") == (
        "09 05 02 a5 02 64 01 01 01 01 01 "  # nine series: 5, 7, 300, 400 ...
        "04 03 00 02 01 "  # column 1: of the first two
        "09 04 00 00 01"  # column 2: of the third
    )


@pytest.mark.parametrize("value", [1, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, 2**63 - 1])
def test_a_value_takes_as_many_bytes_as_it_needs(value: int) -> None:
    """One, two, four or eight; all are given back."""
    plain = zlib.decompress(codec.encode_block({1: [value, 0]}))

    assert (len(plain) - 1) // 2 == next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size)
    assert list(codec.decode_block(codec.encode_block({1: [value, 0]}), 2)[1]) == [value, 0]
