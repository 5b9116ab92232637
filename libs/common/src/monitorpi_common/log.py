"""Logs: one line, key=value, on standard error, each message at most once a minute.

Messages of one event may differ without end (an address, a reason): of each event at most
:data:`MOST_PER_EVENT` are written in a minute, and the rest is counted.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

REPEAT_S: Final = 60.0
MOST_PER_EVENT: Final = 20
_MAX_EVENTS: Final = 256
_MAX_VALUE: Final = 300
_PLAIN: Final = re.compile(r"[\w.:/+@%-]+")
_LEVELS: Final = {logging.WARNING: "warning", logging.ERROR: "error", logging.DEBUG: "debug"}


class _Event:
    """What was written of one event lately."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}
        """When each message was written last, and how often it came since."""
        self._unwritten = 0

    def take(self, message: str, now_s: float) -> dict[str, object] | None:
        """Return what to add to a message that may be written now; None: it may not."""
        at_s, repeated = self._since.get(message, (now_s - REPEAT_S, 0))
        if now_s - at_s < REPEAT_S:
            self._since[message] = (at_s, repeated + 1)
            return None
        if message not in self._since and len(self._since) >= MOST_PER_EVENT:
            self._since = {
                text: (at_s, count)
                for text, (at_s, count) in self._since.items()
                if now_s - at_s < REPEAT_S
            }
            if len(self._since) >= MOST_PER_EVENT:
                self._unwritten += 1
                return None
        self._since[message] = (now_s, 0)
        others, self._unwritten = self._unwritten, 0
        hidden = {"repeated": repeated, "others": others}
        return {name: count for name, count in hidden.items() if count}


class Log:
    """The log of one service.

    Foreign text is cut, and control characters in it are escaped, so that a hostile host name
    can neither forge a line nor fill the disk.
    """

    def __init__(self, service: str, level: str = "info") -> None:
        self._logger = logging.getLogger(f"monitorpi.{service}")
        self._logger.setLevel(level.upper())
        self._logger.propagate = False
        if not self._logger.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(message)s"))
            self._logger.addHandler(handler)
        self._service = service
        self._clock: Callable[[], float] = time.monotonic
        self._events: dict[str, _Event] = {}

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to see."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log something that went as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something an administrator may want to look at; each message once a minute."""
        self._limited(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log something that needs a person; each message once a minute."""
        self._limited(logging.ERROR, event, fields)

    def _limited(self, level: int, event: str, fields: dict[str, object]) -> None:
        recent = self._events.get(event)
        if recent is None:
            if len(self._events) >= _MAX_EVENTS:
                self._events.clear()
            recent = self._events[event] = _Event()
        hidden = recent.take(_text(fields), self._clock())
        if hidden is not None:
            self._write(level, event, fields | hidden)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        pairs = {"level": _LEVELS.get(level, "info"), "service": self._service, "event": event}
        self._logger.log(level, "%s %s", at, _text(pairs | fields))


def _text(fields: dict[str, object]) -> str:
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: object) -> str:
    """Write one value so that it stays one word or one quoted string."""
    text = str(value)
    if len(text) > _MAX_VALUE:
        text = text[:_MAX_VALUE] + "..."
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
