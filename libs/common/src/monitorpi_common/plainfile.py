"""Files in folders that others may write, too: whatever lies in a file's place, nobody waits. I/O.

Opening a named pipe waits until somebody opens its other end, for ever if need be (fifo(7)), and a
device such as ``/dev/zero`` has no end. Both come to be where a file should be by a slip of the
shell, a broken card or a bind mount of a container.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_bytes(path: Path, most: int) -> bytes:
    """Return a file's content.

    Raises:
        OSError: it cannot be read, is no file, or holds more than ``most`` bytes (``EFBIG``).

    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):  # /dev/null is an empty file to people
            raise _no_file(path, mode)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1) or b""
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
    return content


def open_lock(path: Path) -> IO[bytes]:
    """Open a file that is only there to be locked, and make it where it is not.

    Raises:
        OSError: it cannot be opened, or is no file.

    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _no_file(path, mode)
    return os.fdopen(descriptor, "rb+", buffering=0)


def _no_file(path: Path, mode: int) -> OSError:
    if stat.S_ISDIR(mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = "a named pipe" if stat.S_ISFIFO(mode) else "no ordinary file"
    return OSError(errno.EINVAL, f"{kind}: move it away", str(path))
