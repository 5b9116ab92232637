"""The kernel's memory seen from Python: places for known devices, estimates, votes put together."""

from __future__ import annotations

import pytest

from monitorpi_capture.engine.ebpf.layout import ROW_BYTES, Geometry, seeds


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

    placed = seeds(geometry(factor=factor), macs)

    assert frozenset(macs) == placed.macs


def test_rows_do_not_share_cache_sets() -> None:
    """Rows are an odd number of cache lines apart: 10,000 of them fit where a quarter would."""
    assert ROW_BYTES % 64 == 0
    assert ROW_BYTES // 64 % 2 == 1
