"""What everybody sees: the newest document, handed from the core's thread to those of requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitorpi_common.messages import WatchLevel


class Board:
    """The newest document, and a bell for those who wait for the next one."""

    def __init__(self) -> None:
        self._document = b"{}"
        self._level: WatchLevel = "blind"
        self._event = b""
        self._open_alerts = 0
        self._number = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, document: bytes, level: WatchLevel, open_alerts: int) -> None:
        """Show a new document, whether anybody watches, and how many alerts are open."""
        event = b"data: " + document + b"\n\n"  # once for all: megabytes, where devices are many
        with self._changed:
            self._document, self._event, self._level = document, event, level
            self._open_alerts = open_alerts
            self._number += 1
            self._changed.notify_all()

    def newest(self) -> bytes:
        """Return the document that is shown."""
        with self._changed:
            return self._document

    @property
    def level(self) -> WatchLevel:
        """Whether anybody watches."""
        return self._level

    def glance(self) -> bytes:
        """Return what stands in the title of a page that nobody looks at."""
        return b'{"state":"%b","open":%d}' % (self._level.encode(), self._open_alerts)

    def after(self, number: int, timeout_s: float) -> tuple[int, bytes | None]:
        """Wait for the event of a document newer than the given one.

        None: none came, or the end has.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._closed, timeout_s)
            if self._closed or self._number <= number:
                return number, None
            return self._number, self._event

    @property
    def closed(self) -> bool:
        """Nothing more will be shown."""
        return self._closed

    def close(self) -> None:
        """Let everybody go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
