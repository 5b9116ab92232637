"""The outbox for the core: a full disk is an answer, not an exception."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

    from monitorpi_common.log import Log
    from monitorpi_notifier.items import NoticeChange, ReportedAlert
    from monitorpi_notifier.sinks.outbox import Outbox


class GuardedOutbox:
    """What :class:`monitorpi_notifier.items.Store` promises, kept by an outbox."""

    def __init__(self, outbox: Outbox, log: Log) -> None:
        self._outbox = outbox
        self._log = log

    def add(self, changes: Iterable[NoticeChange], reported: Iterable[ReportedAlert]) -> bool:
        """Keep changes; False: not now."""
        try:
            self._outbox.add(changes, reported)
        except sqlite3.Error as error:
            self._refused(error)
            return False
        return True

    def withdraw(self, key: str, destinations: Iterable[str]) -> bool:
        """Forget changes that wait; False: not now."""
        try:
            self._outbox.withdraw(key, destinations)
        except sqlite3.Error as error:
            self._refused(error)
            return False
        return True

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts, if there is room."""
        try:
            self._outbox.remember(memory)
        except sqlite3.Error as error:
            self._refused(error)

    def _refused(self, error: sqlite3.Error) -> None:
        self._log.error("the outbox cannot be written: is the disk full?", reason=error)
