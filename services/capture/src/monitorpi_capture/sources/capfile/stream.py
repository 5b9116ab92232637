"""A file or standard input as a stream that can be ended while it waits. I/O."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

from monitorpi_common.service import ResourceError

_STANDARD_INPUT = 0


class Stream:
    """Reads a descriptor of its own, what is there as it comes.

    ``stop`` ends it from another thread: a pipe may have nothing to say for hours.
    """

    def __init__(self, name: str) -> None:
        """Open a file; ``-`` is standard input.

        Raises:
            ResourceError: it cannot be opened.

        """
        try:
            # a descriptor of our own: Python aborts at exit when a thread still reads sys.stdin
            self._fd = os.dup(_STANDARD_INPUT) if name == "-" else _open(Path(name))
        except OSError as error:
            shown = "standard input" if name == "-" else name
            raise ResourceError(
                f"{shown} cannot be read ({error.strerror}): give a capture file that can"
            ) from None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll = select.poll()
        for fd in (self._fd, self._wake_read):
            self._poll.register(fd, select.POLLIN)

    @property
    def is_live(self) -> bool:
        """Whether somebody still writes it as we read: a pipe, a socket."""
        return not stat.S_ISREG(os.fstat(self._fd).st_mode)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end or when stopped."""
        ready = [fd for fd, _ in self._poll.poll()]
        return b"" if self._wake_read in ready else os.read(self._fd, size)

    def stop(self) -> None:
        """End the stream now, from another thread: a read that waits returns nothing."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Close the stream's descriptors; standard input itself stays open."""
        for fd in (self._fd, self._wake_read, self._wake_write):
            os.close(fd)


def _open(path: Path) -> int:
    if path.is_dir():
        raise IsADirectoryError(0, "it is a directory")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
