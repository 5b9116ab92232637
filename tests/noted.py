"""A log that keeps what it is told, for tests of who says what."""

from __future__ import annotations

from typing import Any


class Noted:
    """Stands for a :class:`monitorpi_common.log.Log`, whose lines come once a minute at most."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[str] = []

    def warning(self, event: str, **fields: Any) -> None:
        """Keep a warning."""
        self.warnings.append((event, fields))

    def error(self, event: str, **_: Any) -> None:
        """Keep an error."""
        self.errors.append(event)
