"""The outbox for the core: a full disk is an answer, not an exception."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from monitorpi_common.database import remedied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
        return self._tried(lambda: self._outbox.add(changes, reported))

    def withdraw(self, key: str, destinations: Iterable[str]) -> bool:
        """Forget changes that wait; False: not now."""
        return self._tried(lambda: self._outbox.withdraw(key, destinations))

    def amend(self, how: Callable[[NoticeChange], NoticeChange]) -> bool:
        """Put others in the place of changes that wait; False: not now."""
        return self._tried(lambda: self._outbox.amend(how))

    def expire(self, destinations: Iterable[str], before_s: float) -> None:
        """Drop what is old, or for nobody any more, if it can be done now."""
        self._tried(lambda: self._outbox.expire(destinations, before_s))

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts, if there is room."""
        self._tried(lambda: self._outbox.remember(memory))

    def _tried(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except sqlite3.Error as error:
            self._log.error("the outbox cannot be written", reason=remedied(error))
            return False
        return True
