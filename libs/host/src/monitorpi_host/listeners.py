"""Who listens on a TCP port of this machine. I/O: /proc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTENS: Final = "0A"
"""TCP_LISTEN of Linux's net/tcp_states.h, as /proc/net/tcp writes it."""


def holder_of(port: int) -> str:
    """Return the name of the process that listens there, as far as we may know it."""
    wanted = {f"socket:[{inode}]" for inode in _listeners(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(handle.readlink()) in wanted for handle in (folder / "fd").iterdir()):
                name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} (process {folder.name})"
        except OSError:
            continue
    return "another process"


def _listeners(port: int) -> Iterator[str]:
    """Return the inodes of the sockets that listen on a port (Linux, proc_net_tcp.rst)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
