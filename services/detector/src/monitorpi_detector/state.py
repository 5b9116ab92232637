"""What the detector keeps over a restart, and the file it is kept in.

The core makes a :class:`Kept` and hands it to a callable; this module's :class:`StateFile` is
that callable and does the writing in a thread of its own, so that a slow SD card never holds up a
window. The file is bounded by what it holds (tables of fixed size) and by a limit of its own.
"""

from __future__ import annotations

import os
import queue
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, ValidationError

from monitorpi_common.messages import Part
from monitorpi_detector.rule import Change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitorpi_common.log import Log

MAX_BYTES: Final = 8 * 1024 * 1024
"""With every table full of the longest entries it is 4.3 MB; a LAN of 200 devices makes 0.1 MB."""
_END: Final = None


class Override(Part):
    """Limits set at run time."""

    rule: str
    mac: str | None = None
    change: Change


class Kept(Part):
    """Everything that is kept."""

    version: int = 1
    since: datetime | None = None
    """When this installation first saw a device or a window."""
    watched_s: Annotated[float, Field(ge=0)] = 0.0
    """How much of the time since then was watched."""
    overrides: list[Override] = Field(default_factory=list, max_length=1024)
    silences: dict[str, datetime] = Field(default_factory=dict, max_length=256)
    macs: list[str] = Field(default_factory=list, max_length=8192)
    """Devices that have been told of or were there from the beginning."""
    dhcp_servers: list[str] = Field(default_factory=list, max_length=64)
    routers: list[str] = Field(default_factory=list, max_length=64)
    was_up: list[str] = Field(default_factory=list, max_length=8192)
    """Targets that answered once, as earlier versions kept them."""
    rounds_since_s: Annotated[float, Field(ge=0)] | None = None
    """Seconds watched when the first round of a prober came."""
    stays: dict[str, tuple[float, float, list[tuple[float, float]]]] = Field(
        default_factory=dict, max_length=8192
    )
    """Each target: seconds there, when last, and its absences (ended, length)."""
    told: dict[str, Annotated[list[float], Field(max_length=8)]] = Field(
        default_factory=dict, max_length=8192
    )
    """Each target: when alerts on it opened within the last twelve hours watched."""
    usual: dict[str, tuple[float, float]] = Field(default_factory=dict, max_length=8192)
    """By alert: the level that is usual, and when it was reached last (seconds watched)."""
    rates: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict, max_length=8192)
    probes: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict, max_length=8192)


class StateFile:
    """Reads what was kept, and writes it whenever the core says so."""

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._waiting: queue.SimpleQueue[Kept | None] = queue.SimpleQueue()

    def read(self) -> Kept:
        """Return what was kept; nothing where there is no file or it cannot be used."""
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES} bytes")
            return Kept.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError, ValidationError) as error:
            self._log.warning("starting without what was learned", file=self._path, reason=error)
            return Kept()

    def __call__(self, kept: Kept) -> None:
        """Write soon; only the newest is written."""
        self._waiting.put(kept)

    def run(self, emit: Callable[[object], None]) -> None:
        """Write until stopped; a source that never emits."""
        del emit
        while True:
            kept = self._waiting.get()
            while not self._waiting.empty():
                later = self._waiting.get()
                if later is _END and kept is not _END:
                    self._write(kept)
                kept = later
            if kept is _END:
                return
            self._write(kept)

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
        part = self._path.with_suffix(".part")
        try:
            if len(text) > MAX_BYTES:
                raise OSError(f"more than {MAX_BYTES} bytes")
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            self._log.warning("cannot keep what was learned", file=self._path, reason=error)
