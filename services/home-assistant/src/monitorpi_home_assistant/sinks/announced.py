"""Which topics were announced, on disk: whoever comes after us takes back what is shown no more."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from monitorpi_common.plainfile import read_bytes
from monitorpi_common.recordfile import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from monitorpi_common.log import Log

FILE: Final = "announced.json"
_MOST_BYTES: Final = 1024 * 1024
_OURS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}/device/monitorpi-[a-z0-9-]{1,128}/config")
"""What is read back is taken back at the broker one day: nothing of others may be among it."""


class Announced:
    """A small file, written when something is announced for the first time or taken back."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._file = folder / FILE
        self._log = log

    def read(self) -> frozenset[str]:
        """Return the topics of ours; none where the file is missing or damaged."""
        try:
            topics = json.loads(read_bytes(self._file, _MOST_BYTES))
            if not isinstance(topics, list):
                raise ValueError("no list")  # noqa: TRY004 - the file's fault, not a caller's
            return frozenset(topic for topic in topics if _OURS.fullmatch(str(topic)))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, RecursionError) as error:
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
