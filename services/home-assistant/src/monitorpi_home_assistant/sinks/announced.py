"""Which topics were announced, on disk: whoever comes after us takes back what is shown no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from monitorpi_common.recordfile import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from monitorpi_common.log import Log

FILE: Final = "announced.json"
_MOST_BYTES: Final = 1024 * 1024


class Announced:
    """A small file, written when something is announced for the first time or taken back."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._file = folder / FILE
        self._log = log

    def read(self) -> frozenset[str]:
        """Return the topics; none where the file is missing or damaged."""
        try:
            if self._file.stat().st_size > _MOST_BYTES:
                raise ValueError("too large")
            topics = json.loads(self._file.read_text(encoding="utf-8"))
            return frozenset(str(topic) for topic in topics)
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self._log.warning("what was announced cannot be read", file=self._file, reason=error)
            return frozenset()

    def keep(self, topics: Iterable[str]) -> bool:
        """Write the topics; an empty list leaves no file behind."""
        wanted = sorted(topics)
        try:
            if not wanted:
                self._file.unlink(missing_ok=True)
                return True
            replace_file(self._file, json.dumps(wanted).encode())
        except OSError as error:
            self._log.warning("what was announced cannot be kept", reason=error)
            return False
        return True
