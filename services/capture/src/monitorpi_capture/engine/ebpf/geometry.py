"""How large the kernel's tables are, and which rows are pinned before a window begins. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_capture.engine.ebpf.memory import (
    BUCKET_BYTES,
    CELLS,
    CONTENDER,
    CONTROL,
    NEVER,
    PINNED,
    REGISTER_WORD,
    ROW,
    SHARE,
    SKETCH_BYTES,
    SKETCHES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD_BITS: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """How large everything is, per part."""

    parts: int
    rows: int
    """MACs of one interface and window that find room by coming first, or are pinned."""
    floods: int
    """MACs whose spread and top peers are kept."""
    factor: int
    """Of the hash; secret and odd, so that nobody outside can aim at one bucket."""
    salt: int
    """Of the sketches; secret."""
    reserve: int = 0
    """Rows beyond these, for those without one who flood."""

    @property
    def all_rows(self) -> int:
        """Open and pinned rows, and those reserved for contenders."""
        return self.rows + self.reserve

    @property
    def contenders(self) -> int:
        """Cells in which MACs without a row contend for one."""
        return self.buckets * CELLS

    @property
    def buckets(self) -> int:
        """A power of two, so that full tables have a quarter of their cells taken."""
        return 1 << max((self.rows // 2 - 1).bit_length(), 1)

    @property
    def register_words(self) -> int:
        """Words of the registers of the flood blocks' sketches, then of the share's."""
        return (self.floods * len(SKETCHES) + 1) * SKETCH_BYTES // REGISTER_WORD

    @property
    def entries(self) -> dict[str, int]:
        """Entries of a part of each map, by its name."""
        return {
            "buckets": self.buckets,
            "contenders": self.contenders,
            "rows": self.all_rows,
            "floods": self.floods,
            "registers": self.register_words,
            "shares": 1,
        }

    @property
    def _shift(self) -> int:
        return 65 - self.buckets.bit_length()

    def control(self) -> bytes:
        """Return the control block; epoch 0 is live."""
        return CONTROL.pack(
            epoch=0,
            cpus=self.parts,
            rows=self.all_rows,
            buckets=self.buckets,
            floods=self.floods,
            unknown_floods=self.floods // 2,
            shift=self._shift,
            open=self.rows,
            factor=self.factor,
            salt=self.salt,
        )

    def home(self, mac: bytes) -> int:
        """Return the bucket of a MAC, as the kernel's program finds it."""
        mixed = int.from_bytes(mac, "little") * self.factor & _WORD_BITS
        return ((mixed ^ mixed >> 32) * self.factor & _WORD_BITS) >> self._shift


@dataclass(frozen=True, slots=True)
class PinnedRows:
    """What a part looks like before its window begins: rows of known MACs and their cells."""

    buckets: bytes
    rows: bytes
    share: bytes
    macs: frozenset[bytes]


def pin_rows(geometry: Geometry, macs: Sequence[bytes], guests: Sequence[bytes] = ()) -> PinnedRows:
    """Place MACs in an empty part, best first, as many as there is room for.

    Args:
        geometry: how large it is.
        macs: the known devices.
        guests: who flooded in the windows before; known ones are left out.

    """
    cells: dict[int, list[int]] = {}
    rows: list[bytes] = []
    kinds = dict.fromkeys(guests, CONTENDER) | dict.fromkeys(macs, PINNED)
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
    heads = b"".join(
        (mac + kinds[mac].to_bytes(2, "little")).ljust(ROW.size, b"\0") for mac in rows
    )
    share = bytearray(SHARE.size)
    struct.pack_into("<I", share, SHARE.offsets()["rows"], len(rows))
    struct.pack_into("<I", share, SHARE.offsets()["rings_at"], NEVER)
    return PinnedRows(bytes(image), heads, bytes(share), frozenset(rows))
