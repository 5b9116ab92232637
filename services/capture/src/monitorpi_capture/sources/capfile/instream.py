"""The bytes of a capture stream: buffered, counted, unpacked where they are gzip's.

No more is held than was asked for and one chunk, whatever a file claims.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

_CHUNK: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS
"""zlib's number for a gzip header (zlib.h, inflateInit2)."""
GZIP_MAGIC: Final = b"\x1f\x8b"


class ByteStream(Protocol):
    """Where a capture comes from: a file or a pipe."""

    def read(self, size: int, /) -> bytes:
        """Return some bytes, at most ``size``; none at the end."""
        ...


class InStream:
    """A buffer over a stream. Parsers read ``buffer`` from ``at`` on and move ``at``."""

    def __init__(self, stream: ByteStream) -> None:
        self.buffer = b""
        self.at = 0
        self.failure: str | None = None
        """Why the stream ended, if not because it was over."""
        self._stream = stream
        self._before = 0

    @property
    def offset(self) -> int:
        """Bytes of the stream before the current position."""
        return self._before + self.at

    def fill(self, size: int) -> bool:
        """Make ``size`` bytes available from the current position; False at the end."""
        left = len(self.buffer) - self.at
        if left >= size:
            return True
        parts = [self.buffer[self.at :]]
        self._before += self.at
        self.at = 0
        while left < size:
            part = self._more(max(_CHUNK, size - left))
            if not part:
                break
            parts.append(part)
            left += len(part)
        self.buffer = b"".join(parts)
        return left >= size

    def _more(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            self.failure = error.strerror or str(error)
        except zlib.error:
            self.failure = "its gzip data is broken"
        return b""

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` of the next bytes."""
        self.fill(size)
        return self.buffer[self.at : self.at + size]

    def take(self) -> bytes:
        """Return what comes next, some bytes or, at the end, none."""
        self.fill(1)
        taken, self.at = self.buffer[self.at :], len(self.buffer)
        return taken

    def skip(self, size: int) -> bool:
        """Move on without keeping what is passed; False when the stream ended before."""
        while size:
            if not self.fill(1):
                return False
            step = min(size, len(self.buffer) - self.at)
            self.at += step
            size -= step
        return True

    def skip_zeros(self) -> int:
        """Move behind all zeros that come next and return how many they were."""
        passed = 0
        while self.fill(1):
            left = len(self.buffer) - self.at
            rest = len(self.buffer[self.at :].lstrip(b"\0"))
            self.at += left - rest
            passed += left - rest
            if rest:
                break
        return passed


class Unpacked:
    """The content of a gzip stream, one or several members (RFC 1952), never all of it at once."""

    def __init__(self, packed: InStream) -> None:
        self._packed = packed
        self._waiting = b""
        self._gzip = zlib.decompressobj(_GZIP)

    def read(self, size: int) -> bytes:
        """Return some bytes, at most ``size``; none at the end.

        Raises:
            OSError: the stream ends early or cannot be read.
            zlib.error: it is no gzip.

        """
        while True:
            if self._gzip.eof:
                self._waiting = (self._gzip.unused_data or self._packed.take()).lstrip(b"\0")
                if not self._waiting:
                    return self._end()
                self._gzip = zlib.decompressobj(_GZIP)
            self._waiting = self._waiting or self._packed.take()
            if not self._waiting:
                return self._end() or _cut()
            unpacked = self._gzip.decompress(self._waiting, size)
            self._waiting = self._gzip.unconsumed_tail
            if unpacked:
                return unpacked

    def _end(self) -> bytes:
        if self._packed.failure is not None:
            raise OSError(0, self._packed.failure)
        return b""


def _cut() -> bytes:
    raise OSError(0, "its gzip data ends early")
