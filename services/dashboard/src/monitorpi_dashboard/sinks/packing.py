"""Packs a stream of events: each is sent whole at once, and knows those before it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from email.message import Message

_GZIP: Final = 16 + 13
"""A window of 8 KiB, and tables to match: 96 KiB of memory for each stream, where the most would
be 256 and save a fifth."""
_MEMORY: Final = 7
_LEVEL: Final = 5
"""Higher ones cost a Pi more than they save: events resemble the one before."""


class Packer:
    """Packs with gzip where the browser takes it (RFC 9110, 8.4.1)."""

    def __init__(self, headers: Message) -> None:
        self.encoding: str | None = "gzip" if "gzip" in headers.get("Accept-Encoding", "") else None
        self._zip = (
            zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP, _MEMORY) if self.encoding else None
        )

    def pack(self, event: bytes) -> bytes:
        """Return what to send for an event."""
        if self._zip is None:
            return event
        return self._zip.compress(event) + self._zip.flush(zlib.Z_SYNC_FLUSH)
