"""The memory the kernel's program and Python share: one table, and rows pinned in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitorpi_capture.engine.ebpf.geometry import Geometry, pin_rows
from monitorpi_capture.engine.ebpf.memory import (
    CONTROL,
    FLOOD,
    PINNED,
    RECORDS,
    ROW,
    SHARE,
    VOTE,
    Record,
)
from monitorpi_capture.engine.ebpf.parts import share_of
from monitorpi_dev import bpf_build, bpf_header

if TYPE_CHECKING:
    from pathlib import Path


def geometry(rows: int = 4096, factor: int = 0x9E3779B97F4A7C15) -> Geometry:
    """Return the memory of one CPU."""
    return Geometry(parts=1, rows=rows, floods=rows // 8, factor=factor, salt=1)


@pytest.mark.parametrize(
    "factor",
    [0x9E3779B97F000001, 0x9E3779B97F800001, 0x9E3779B97F555555, 0xD1B54A32D1000003],
)
def test_numbered_devices_find_room_with_every_factor(factor: int) -> None:
    """Addresses in a row spread over the buckets, also where factor times step is round."""
    macs = [b"\x02\0" + number.to_bytes(4, "big") for number in range(4096)]

    pinned = pin_rows(geometry(factor=factor), macs)

    assert frozenset(macs) == pinned.macs


def test_pinned_rows_are_read_as_they_were_written() -> None:
    """A row's MAC and kind stand where the table says."""
    macs = [b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"]

    pinned = pin_rows(geometry(), macs)
    rows = list(ROW.layout.iter_unpack(pinned.rows))

    assert macs == [row[ROW.at("mac")] for row in rows]
    assert [row[ROW.at("kind")] for row in rows] == [PINNED, PINNED]


def test_rows_do_not_share_cache_sets() -> None:
    """Rows are an odd number of cache lines apart: 10,000 of them fit where a quarter would."""
    assert ROW.size % 64 == 0
    assert ROW.size // 64 % 2 == 1


def test_what_nobody_reads_takes_no_place_among_the_values() -> None:
    """Offsets count bytes, places count values: the padding is in one and not in the other."""
    assert ROW.offsets()["rx"] == 128
    assert ROW.at("rx") == 3 + 25
    assert FLOOD.values("echo") == slice(7, 14)
    assert VOTE.offsets()["ip"] == 8


def test_where_members_lie_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each processor at each of twenty looks a second."""
    values = SHARE.layout.unpack(bytes(SHARE.size))
    data = SHARE.layout.pack(*range(len(values)))
    places = {name: SHARE.at(name) for name in ("rows", "floods", "promoted", "overflown")}
    for name in ("at", "values", "offsets"):
        monkeypatch.setattr(Record, name, None)

    share = share_of(data)

    used = {"rows": share.rows, "floods": share.floods, "promoted": share.promoted}
    assert used | {"overflown": share.overflown[0]} == places


def test_a_control_block_is_packed_by_name() -> None:
    """A member that got no value is noticed, not shifted."""
    packed = geometry().control()

    assert packed[CONTROL.offsets()["factor"] :][:8] == (0x9E3779B97F4A7C15).to_bytes(8, "little")
    with pytest.raises(KeyError, match="salt"):
        CONTROL.pack(**dict.fromkeys([member.name for member in CONTROL.members][:-1], 0))


@pytest.mark.calm
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_the_compiler_proves_each_record(record: Record, tmp_path: Path) -> None:
    """A record that Python reads otherwise than C lays it out does not compile."""
    source = tmp_path / bpf_build.SOURCE.name
    source.write_bytes(bpf_build.SOURCE.read_bytes())
    header = tmp_path / bpf_header.HEADER.name
    begins = f"struct {record.name} {{\n"

    header.write_text(bpf_header.header().replace(begins, f"{begins}\t__u8 odd;\n"))

    with pytest.raises(bpf_build.BuildError, match="not where Python reads it"):
        bpf_build.compile_object(source, tmp_path / "odd.o")


@pytest.mark.calm
def test_a_source_that_was_copied_finds_its_header(tmp_path: Path) -> None:
    """Beside itself first, else where it is kept."""
    source = tmp_path / bpf_build.SOURCE.name
    source.write_bytes(bpf_build.SOURCE.read_bytes())

    bpf_build.compile_object(source, tmp_path / "same.o")

    assert bpf_build.programs(tmp_path / "same.o") == bpf_build.programs(bpf_build.OBJECT)
