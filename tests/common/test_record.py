"""The form of the file of retained state: whatever a card gives back, what is whole is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.common.keptstate import WALL_S, device

from monitorpi_common.record import HEAD, RecordError, RetainedRecord, decode, encode_all

FILE = encode_all(
    RetainedRecord(f"device/{number:012x}", device().encode(), 100.0, WALL_S) for number in range(5)
)


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_one_wrong_byte_costs_one_record(where: int, by: int) -> None:
    """Whatever byte a card gives back wrong, the others are read (a line's end: two)."""
    data = bytearray(FILE)
    data[where] ^= by
    if where < len(HEAD):
        with pytest.raises(RecordError):
            decode(bytes(data))
        return

    assert len(decode(bytes(data)).records) >= 3
    assert {one.payload for one in decode(bytes(data)).records.values()} == {device().encode()}


@given(st.integers(len(HEAD), len(FILE)), st.integers(0, 9000))
def test_a_torn_write_costs_what_was_torn(length: int, zeros: int) -> None:
    """What is whole before the cut is read."""
    reading = decode(FILE[:length] + bytes(zeros))

    assert len(reading.records) == FILE[:length].count(b"\n") - 1
    assert reading.damaged == 0
    assert reading.torn == (not FILE[:length].endswith(b"\n"))


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_read_as_nothing(data: bytes) -> None:
    """No bytes whatever break the start."""
    try:
        decode(data)
    except RecordError:
        return


@given(st.binary(max_size=300))
def test_garbage_behind_the_head_is_counted(data: bytes) -> None:
    """Lines that are no record are damage; nothing of them is taken."""
    assert decode(HEAD + data).records == {}


def test_a_later_version_is_not_touched() -> None:
    """It says so instead of taking it for garbage."""
    with pytest.raises(RecordError, match="later version"):
        decode(b"monitorpi-state 2\n")


@pytest.mark.parametrize("left_s", [None, 604_800.0])
@pytest.mark.parametrize("payload", [b"", b'{"name":"a"}'])
def test_the_size_of_a_record_is_about_that_of_its_line(
    left_s: float | None, payload: bytes
) -> None:
    """Within a few bytes: it decides when the file is written anew."""
    record = RetainedRecord("device/b827eb000001", payload, left_s, left_s and WALL_S)

    assert abs(record.size - len(record.encode())) <= 32
