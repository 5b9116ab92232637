"""The mailbox between threads: what comes from outside is bounded, what steers is not."""

from __future__ import annotations

import queue
import threading
from typing import Final

LIMIT: Final = 10_000
"""Foreign messages waiting at once; a broker's own queue for a slow client holds 1,000."""
_BACK_PRESSURE_S: Final = 0.005


class Inbox:
    """Where the network thread and the sources leave items for the main thread.

    Built on SimpleQueue because its ``put`` may be called from a signal handler.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._items: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._limit = limit
        self._closed = threading.Event()

    def __len__(self) -> int:
        return self._items.qsize()

    def put(self, item: object) -> None:
        """Leave a steering item: never refused, never blocks."""
        self._items.put(item)

    def offer(self, item: object) -> bool:
        """Leave a foreign item; False when the inbox is full and the item is dropped."""
        if self._items.qsize() >= self._limit:
            return False
        self._items.put(item)
        return True

    def wait_put(self, item: object) -> None:
        """Leave an item of a source, waiting for room: a file is read no faster than handled."""
        while self._items.qsize() >= self._limit and not self._closed.is_set():
            self._closed.wait(_BACK_PRESSURE_S)
        self._items.put(item)

    def take(self, timeout_s: float) -> object | None:
        """Return the next item, or None when none came in time."""
        try:
            return self._items.get(timeout=timeout_s) if timeout_s > 0 else self._items.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let no source wait any longer."""
        self._closed.set()
