"""The file in which the detector keeps what it knows over a restart.

The core makes a :class:`.Kept` and hands it to a callable; this module's :class:`StateFile` is
that callable and does the writing in a thread of its own, so that a slow SD card never holds up a
window. The file is bounded by what it holds (tables of fixed size) and by a limit of its own.

An SD card wears by what is written, and the file is written as a whole: what people set, who may
serve and what is reported once is written within a minute, a new MAC address within ten, and what
is merely learned as often as :data:`BYTES_PER_S` allows. The file before stays beside it as
``.old`` and is read where the newer one is damaged.
"""

from __future__ import annotations

import json
import queue
import time
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from monitorpi_common.plainfile import read_bytes
from monitorpi_common.record import LaterVersionError
from monitorpi_common.recordfile import DAMAGED, LATER, replace_file
from monitorpi_detector.items import VERSION, Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from monitorpi_common.log import Log

MAX_BYTES: Final = 8 * 1024 * 1024
"""With every table full of the longest entries it is 4.3 MB; a LAN of 200 devices makes 0.1 MB."""
PAUSE_S: Final = 60.0
"""Between two writes of what people set, or were reported once and for all."""
NEWCOMER_S: Final = 600.0
"""Between two writes for a new MAC address."""
BYTES_PER_S: Final = 4_000_000 / 86400
"""For what is learned bit by bit: 4 MB a day."""
_END: Final = None


def pause_s(before: Kept | None, kept: Kept, size: int) -> float:
    """Return how long after the write before a write of so many bytes is worth it."""
    if before is None or _reported_once(before) != _reported_once(kept):
        return PAUSE_S
    learned_s = size / BYTES_PER_S
    return min(learned_s, NEWCOMER_S) if set(before.macs) != set(kept.macs) else learned_s


def _reported_once(kept: Kept) -> tuple[object, ...]:
    return (
        kept.overrides, kept.silences, set(kept.dhcp_servers), set(kept.routers), kept.dhcp_said,
        kept.routers_said, set(kept.shared),
    )  # fmt: skip


class StateFile:
    """Reads what was kept, and writes it when it is worth a write."""

    def __init__(self, path: Path, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._old = path.with_name(path.name + ".old")
        self._log = log
        self._clock = clock
        self._waiting: queue.SimpleQueue[Kept | None] = queue.SimpleQueue()
        self._before: Kept | None = None
        self._wrote_s: float | None = None

    # --- reading --------------------------------------------------------------------------------

    def read(self, rules: Collection[str] = ()) -> Kept:
        """Return what was kept; nothing where there is no file or it cannot be used.

        Args:
            rules: the names of all rules; limits of others are reported.

        """
        if not self._path.exists() and not self._old.exists():
            return Kept()
        kept = self._load(self._path)
        if kept is None:
            kept = self._load(self._old)
            if kept is not None:
                self._log.warning("taking what was learned from the copy", file=self._old)
        if kept is None:
            self._log.warning("starting without what was learned", file=self._path)
            return Kept()
        unknown = sorted({one.rule for one in kept.overrides if rules and one.rule not in rules})
        if unknown:
            self._log.warning("limits of unknown rules are dropped", rules=",".join(unknown))
        return kept

    def _load(self, path: Path) -> Kept | None:
        """Return what a file holds, as far as it can be used; a damaged one is kept aside."""
        try:
            data = json.loads(read_bytes(path, MAX_BYTES))
            if not isinstance(data, dict):
                raise ValueError("not of our making")  # noqa: TRY004 - the file's fault, not a caller's
            return self._sound(data)
        except FileNotFoundError:
            return None
        except LaterVersionError as error:
            self._set_aside(path, error, LATER)
        except (OSError, ValueError, RecursionError) as error:
            self._set_aside(path, error, DAMAGED)
        return None

    def _sound(self, data: dict[str, Any]) -> Kept:
        """Return the tables that are sound, and say which are not.

        Raises:
            LaterVersionError: the file is of a later version.
            ValueError: nobody knows of which version it is.

        """
        try:
            return Kept.model_validate(data)
        except ValidationError as error:
            lost = {str(one["loc"][0]) for one in error.errors(include_url=False)}
            if "version" in lost:
                version = data["version"]
                is_later = isinstance(version, int) and version > VERSION
                kind = LaterVersionError if is_later else ValueError
                raise kind(f"its version {version!r} is not {VERSION}") from None
            self._log.warning(
                "a part of what was learned is damaged",
                file=self._path,
                lost=",".join(sorted(lost)),
            )
            return Kept.model_validate({key: one for key, one in data.items() if key not in lost})

    def _set_aside(self, path: Path, reason: Exception, suffix: str) -> None:
        aside = path.with_name(path.name + suffix)
        try:
            path.replace(aside)
        except OSError as error:
            aside = path
            self._log.warning("cannot set it aside", file=path, reason=error.strerror)
        self._log.warning("what was learned cannot be read", file=path, reason=reason, copy=aside)

    # --- writing --------------------------------------------------------------------------------

    def __call__(self, kept: Kept) -> None:
        """Write when it is worth it; only the newest is written."""
        self._waiting.put(kept)

    def run(self, emit: Callable[[object], None]) -> None:
        """Write until stopped; a source that never emits."""
        del emit
        newest: Kept | None = None
        while True:
            try:
                kept = self._waiting.get(timeout=None if newest is None else PAUSE_S)
            except queue.Empty:
                kept = newest
            if kept is _END:
                if newest is not None:
                    self._write(newest)
                return
            newest = kept
            if self._waiting.empty() and self._is_worth(newest):
                self._write(newest)
                newest = None

    def _is_worth(self, kept: Kept) -> bool:
        if self._wrote_s is None:
            return True
        size = len(kept.model_dump_json(exclude_defaults=True))
        return self._clock() - self._wrote_s >= pause_s(self._before, kept, size)

    def stop(self) -> None:
        """Let the thread end after what is waiting."""
        self._waiting.put(_END)

    def flush(self) -> None:
        """Write what is still waiting: the thread is gone, the core has said its last words."""
        kept: Kept | None = None
        while not self._waiting.empty():
            kept = self._waiting.get() or kept
        if kept is not None:
            self._write(kept)

    def _write(self, kept: Kept) -> None:
        """Replace the file as a whole: a power cut leaves the old one or the new one."""
        text = kept.model_dump_json(exclude_defaults=True).encode()
        self._wrote_s = self._clock()
        try:
            if len(text) > MAX_BYTES:
                raise OSError(f"more than {MAX_BYTES} bytes")
            if self._path.exists():
                self._path.replace(self._old)
            replace_file(self._path, text)
        except OSError as error:
            self._log.warning("cannot keep what was learned", file=self._path, reason=error)
            return
        self._before = kept
