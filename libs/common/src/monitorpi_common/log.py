"""Logs: one line, key=value, on standard error, each cause at most once a minute."""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

REPEAT_S: Final = 60.0
_MAX_CAUSES: Final = 256
_MAX_VALUE: Final = 300
_PLAIN: Final = re.compile(r"[\w.:/+@%-]+")
_LEVELS: Final = {logging.WARNING: "warning", logging.ERROR: "error", logging.DEBUG: "debug"}


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
        self._last: dict[str, tuple[float, int]] = {}

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to see."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log something that went as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something an administrator may want to look at; once a minute per event."""
        self._limited(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log something that needs a person; once a minute per event."""
        self._limited(logging.ERROR, event, fields)

    def _limited(self, level: int, event: str, fields: dict[str, object]) -> None:
        now = self._clock()
        at, hidden = self._last.get(event, (now - REPEAT_S, 0))
        if now - at < REPEAT_S:
            self._last[event] = (at, hidden + 1)
            return
        if len(self._last) >= _MAX_CAUSES:
            self._last.clear()
        self._last[event] = (now, 0)
        self._write(level, event, fields | ({"repeated": hidden} if hidden else {}))

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        pairs = {"level": _LEVELS.get(level, "info"), "service": self._service, "event": event}
        text = " ".join(f"{key}={_value(value)}" for key, value in (pairs | fields).items())
        self._logger.log(level, "%s %s", at, text)


def _value(value: object) -> str:
    """Write one value so that it stays one word or one quoted string."""
    text = str(value)
    if len(text) > _MAX_VALUE:
        text = text[:_MAX_VALUE] + "..."
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
