"""The outbox as the core sees it, and the wait for another bridge that holds it."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_common.database import remedied

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_common.log import Log

_STANDBY_LOOK_S: Final = 1.0


class GuardedRowOutbox:
    """The outbox for the core: a full disk is an answer, not an exception."""

    def __init__(self, outbox: RowOutbox, interval_s: int, log: Log) -> None:
        self._outbox = outbox
        self._interval_s = interval_s
        self._log = log

    def add(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows; False: not now."""
        try:
            dropped = self._outbox.add(rows, memory, self._interval_s)
        except sqlite3.Error as error:
            self._log.error(
                "the outbox cannot be written: rows are kept in memory", reason=remedied(error)
            )
            return False
        if dropped:
            self._log.warning("rows were dropped: their seconds are taken", rows=dropped)
        return True

    def add_urgent(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows that take the next slot; False: not now."""
        try:
            self._outbox.add_urgent(rows, self._interval_s, memory)
        except sqlite3.Error as error:
            self._log.error("an alert could not be written to the outbox", reason=remedied(error))
            return False
        return True

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts, if there is room."""
        try:
            self._outbox.remember(memory)
        except sqlite3.Error as error:
            self._log.error("the outbox cannot be written", reason=remedied(error))


def open_outbox(file: Path, log: Log) -> RowOutbox:
    """Open the outbox; while another bridge holds it, wait: we are the standby."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return RowOutbox(file)
    except BlockingIOError:
        log.info("standing by: another bridge holds the outbox", file=file)
        return _stand_by(file)


def _stand_by(file: Path) -> RowOutbox:
    """Wait until the outbox is free; a signal ends the process, there is nothing to close yet."""
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            time.sleep(_STANDBY_LOOK_S)
            with suppress(BlockingIOError):
                return RowOutbox(file)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
