"""What a process holds of the memory."""

from __future__ import annotations

import os
from pathlib import Path

from monitorpi_dev.bench.footprint import pss_mib
from monitorpi_dev.bench.processes import peak_rss


def resident_bytes(pid: int | str = "self") -> int:
    """Return the resident memory of a process, of this one if none is named (proc(5): statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_mb(pid: int) -> float:
    """Return the most resident memory a process ever had, in MiB; 0 once it is gone."""
    return peak_rss(pid) / 2**20


def pss_mb(pid: int) -> float:
    """Return a process's share of the memory in MB: what others use too is counted in parts."""
    return pss_mib(pid) * 2**20 / 1e6
