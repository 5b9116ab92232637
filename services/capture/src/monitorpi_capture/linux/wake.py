"""Ends another thread's wait. I/O: an eventfd(2)."""

from __future__ import annotations

import os
import threading


class Wake:
    """A descriptor that can be polled and is readable once somebody called :meth:`set`."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._open = True
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Return the descriptor, to poll it."""
        return self._descriptor

    def set(self) -> None:
        """Wake whoever polls; later waits end at once. Nothing where it is closed."""
        with self._lock:
            if self._open:
                os.eventfd_write(self._descriptor, 1)

    def close(self) -> None:
        """Give the descriptor back; it may be done twice."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._descriptor)
