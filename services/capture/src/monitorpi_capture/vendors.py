"""Who made a network card, from the registry that netaddr carries. I/O: two files of a package.

netaddr itself keeps the whole index as Python objects (12 MB); one packed array takes 300 kB, and
the names stay in the file.
"""

from __future__ import annotations

import importlib.util
from array import array
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_LOCAL = 0x02
_MAX_RECORD = 4096


def _packed(line: bytes) -> int:
    """Return an index line (OUI, offset, size; decimal) as OUI and offset in one word."""
    oui, offset = line.split(b",")[:2]
    return int(oui) << 32 | int(offset)


class Vendors:
    """Looks up the organisation an OUI (the first three bytes of a MAC) was given to."""

    def __init__(self) -> None:
        """Load the index; where the registry is missing nothing is ever found."""
        self._index = array("Q")
        self._text: BinaryIO | None = None
        spec = importlib.util.find_spec("netaddr")  # finds it without importing it
        if spec is None or spec.origin is None:
            return
        folder = Path(spec.origin).parent / "eui"
        try:
            with (folder / "oui.idx").open("rb") as lines:
                self._index = array("Q", sorted(_packed(line) for line in lines))
            self._text = (folder / "oui.txt").open("rb")
        except (OSError, ValueError, OverflowError):
            return
        self.of = lru_cache(maxsize=1024)(self._of)  # type: ignore[method-assign] # one per object

    def of(self, mac: bytes) -> str | None:
        """Return the vendor's name; None where it is unknown or the address was made up."""
        return self._of(mac)

    def _of(self, mac: bytes) -> str | None:
        if mac[0] & _LOCAL or self._text is None:
            return None
        oui = int.from_bytes(mac[:3], "big")
        place = bisect_left(self._index, oui << 32)
        if place == len(self._index) or self._index[place] >> 32 != oui:
            return None
        self._text.seek(self._index[place] & 0xFFFFFFFF)
        line = self._text.read(_MAX_RECORD).split(b"\n", 1)[0]
        name = line.split(b"(hex)")[-1].decode("utf-8", "replace").strip()
        return name[:255] or None

    def close(self) -> None:
        """Close the registry."""
        if self._text is not None:
            self._text.close()
            self._text = None
