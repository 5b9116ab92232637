"""A ring of the kernel's for frames (BPF_MAP_TYPE_RINGBUF, Linux 5.8), read in order. I/O.

Layout (kernel/bpf/ringbuf.c): a page with the reader's position, a page with the writer's, then the
data twice in a row, so that no record is cut at its end. A record is a head of eight bytes, whose
first four are its length with two flags, and the record, to a multiple of eight bytes.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import ExitStack
from typing import Final

from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.memory import CAUGHT, LARGE_FRAME, NO_TAG
from monitorpi_capture.items import Caught

RING_BYTES: Final = 128 * 1024
"""A power of two and of pages: some 480 small frames, or 60 large ones."""
_HEAD: Final = 8
_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_LENGTH: Final = struct.Struct("@I")
_POSITION: Final = struct.Struct("@Q")
"""In the machine's own layout: one load, one store."""
_LOW: Final = 0xFFFFFFFF
"""The kernel's position is as wide as its words; what both have is compared."""
_COUNTER: Final = 8


class Bell:
    """A ring of one page that the programs of an interface write into to wake who waits."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            OSError: the kernel refused.

        """
        with ExitStack() as undone:
            self.fd = system.create_ring(mmap.PAGESIZE)
            undone.callback(os.close, self.fd)
            self._reader = undone.enter_context(mmap.mmap(self.fd, mmap.PAGESIZE))
            self._writer = mmap.mmap(
                self.fd, mmap.PAGESIZE, prot=mmap.PROT_READ, offset=mmap.PAGESIZE
            )
            undone.pop_all()

    def silence(self) -> None:
        """Take what lies in it: it is no longer readable."""
        self._reader[: _POSITION.size] = self._writer[: _POSITION.size]

    def close(self) -> None:
        """Give it back."""
        self._reader.close()
        self._writer.close()
        os.close(self.fd)


class FrameRing:
    """The frames that the program of one interface put by, and how many found no room."""

    def __init__(self, parts: int) -> None:
        """Make it, with a counter for each CPU.

        Raises:
            OSError: the kernel refused.

        """
        with ExitStack() as undone:
            self.fd = system.create_ring(RING_BYTES)
            undone.callback(os.close, self.fd)
            self._missed = system.create_array("missed", _COUNTER, parts)
            undone.callback(self._missed.close)
            missed = self._missed.mapped(0, self._missed.size)
            self._misses = undone.enter_context(missed)
            """Mapped for good: read ten times a second, and mapping costs more than that."""
            self._reader = undone.enter_context(mmap.mmap(self.fd, mmap.PAGESIZE))
            size = mmap.PAGESIZE + 2 * RING_BYTES
            self._writer = undone.enter_context(
                mmap.mmap(self.fd, size, prot=mmap.PROT_READ, offset=mmap.PAGESIZE)
            )
            self._open = undone.pop_all()
        self._position = 0
        self._reported = 0

    @property
    def descriptors(self) -> dict[str, int]:
        """The file descriptors of its maps by name."""
        return {"ring": self.fd, "missed": self._missed.fd}

    def take(self) -> Caught | None:
        """Return the next frame, None where none waits."""
        while (
            not self._writer.closed
            and self._position & _LOW != _LENGTH.unpack_from(self._writer)[0]
        ):
            at = mmap.PAGESIZE + self._position % RING_BYTES
            (head,) = _LENGTH.unpack_from(self._writer, at)
            if head & _BUSY:  # it is being written: the frames behind it wait, too
                return None
            end = at + _HEAD + (head & ~_DISCARDED)
            record = self._writer[at + _HEAD : end]
            self._position += (end - at + 7) // 8 * 8
            _POSITION.pack_into(self._reader, 0, self._position)
            if not head & _DISCARDED:
                length, tag = CAUGHT.layout.unpack_from(record)
                data = record[CAUGHT.size : CAUGHT.size + min(length, LARGE_FRAME - 1)]
                return Caught(data, length, None if tag == NO_TAG else tag)
        return None

    def missed(self) -> int:
        """Return how many frames found no room since the last call."""
        if self._writer.closed:
            return 0
        total: int = sum(count for (count,) in _POSITION.iter_unpack(self._misses))
        missed, self._reported = total - self._reported, total
        return missed

    def close(self) -> None:
        """Give it back; the kernel frees it when no program uses it either."""
        self._open.close()
