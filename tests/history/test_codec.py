"""Columns as bytes: what goes in comes out, and damage is reported."""

from __future__ import annotations

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
