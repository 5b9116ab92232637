"""How the C library holds memory: windows of thousands of rows come and go every second.

Left to itself glibc gives each thread an arena of its own and stops giving large blocks back once
some were freed; under a flood of made-up addresses that cost capture 11 MB more, and the history,
which answers in threads, 6 MB when idle. What imports needed for a moment (5 MB) it keeps too,
until it is asked.
"""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = (-1, 128 * 1024)
_MMAP_THRESHOLD: Final = (-3, 64 * 1024)
_ARENA_MAX: Final = (-8, 1)
"""Parameters and values of mallopt(3); naming a threshold keeps glibc from moving it."""


def hold_little() -> None:
    """Use one arena and give back what is free; a C library other than glibc does as it likes."""
    library = ctypes.CDLL(None)
    mallopt, trim = getattr(library, "mallopt", None), getattr(library, "malloc_trim", None)
    if mallopt is None or trim is None:
        return
    for parameter, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX):
        mallopt(parameter, value)
    trim(0)
