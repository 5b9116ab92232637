"""The file of a service's retained state: written without harm by a power cut, read with patience.

A record goes to the end of the records, into room that zeros hold: the file's length and place stay
as they are, so that the file system has nothing to write but the block itself (see
``docs/performance.md``). When that room is used up the file is written anew beside the old one and
takes its place, each step on the disk before the next. All of it in a thread of its own: a slow SD
card holds up nothing.
"""

from __future__ import annotations

import os
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_common.plainfile import read_bytes
from monitorpi_common.record import LaterVersionError, RecordError, RecordReading, decode

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_common.log import Log
    from monitorpi_common.retained import Write

MAX_BYTES: Final = 64 * 1024 * 1024
"""Several times what 4,096 devices take with the longest lists."""
ROOM_BYTES: Final = 64 * 1024
"""Zeros behind the records: a day of a LAN in which something changes every half hour."""
DAMAGED: Final = ".damaged"
LATER: Final = ".later"
"""What a later version wrote is kept apart from what is damaged: it can be put back."""
_STOP_S: Final = 5.0


def replace_file(path: Path, data: bytes) -> None:
    """Put data in the place of a file: whatever happens, the old one is there or the new one.

    Raises:
        OSError: the disk is full, read-only or gone.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # whatever it is: a pipe would be waited for, a link followed
    with part.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: without it a power cut may bring the old one back."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, log: Log, reason: object, suffix: str = DAMAGED) -> None:
    """Keep a copy of a file that cannot be read (the latest such), and say so."""
    aside = path.with_name(path.name + suffix)
    try:
        replace_file(aside, read_bytes(path, MAX_BYTES))
    except OSError as error:
        log.warning("state cannot be read", file=path, reason=reason, copy=error.strerror)
        return
    log.warning("state cannot be read", file=path, reason=reason, copy=aside)


@dataclass(slots=True)
class _Place:
    """Where the next record goes, and by what the file is known again."""

    inode: int
    end: int
    size: int


class RecordFile:
    """Reads the file once, and writes what it is handed."""

    def __init__(self, path: Path, log: Log) -> None:
        self.path = path
        self._log = log
        self._place: _Place | None = None
        self._waiting: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_busy = threading.Event()
        self._failed = threading.Event()
        self.error: str | None = None
        """Why the last write did not succeed; None: it did."""
        self.written_bytes = 0

    def read(self) -> RecordReading:
        """Return what the file holds; what cannot be read is reported, and a copy kept."""
        try:
            reading = decode(read_bytes(self.path, MAX_BYTES))
        except FileNotFoundError:
            return RecordReading()
        except LaterVersionError as error:
            set_aside(self.path, self._log, error, LATER)
            return RecordReading()
        except RecordError as error:
            set_aside(self.path, self._log, error)
            return RecordReading()
        except OSError as error:
            self._log.warning("state cannot be read", file=self.path, reason=error.strerror)
            return RecordReading()
        if reading.damaged:
            set_aside(self.path, self._log, f"{reading.damaged} records are damaged")
        return reading

    # --- writing ------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """A write is under way."""
        return self._is_busy.is_set()

    def take_failure(self) -> bool:
        """Tell, once, that a write did not succeed."""
        failed = self._failed.is_set()
        self._failed.clear()
        return failed

    def write(self, write: Write) -> None:
        """Write soon, in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="state", daemon=True)
            self._thread.start()
        self._is_busy.set()
        self._waiting.put(write)

    def close(self, last: Write | None) -> None:
        """Write what is left, and end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_STOP_S)
        if last is not None and not (self._thread is not None and self._thread.is_alive()):
            self.write_now(last)

    def _run(self) -> None:
        while (write := self._waiting.get()) is not None:
            self.write_now(write)
            self._is_busy.clear()

    def write_now(self, write: Write) -> None:
        """Write, and return when it is on the disk or has failed."""
        try:
            if write.whole:
                self._replace(write.data)
            else:
                self._append(write.data)
        except OSError as error:
            self._place = None
            self.error = error.strerror or str(error)
            self._failed.set()
            self._log.warning("cannot keep state", file=self.path, reason=self.error)
            return
        self.error = None
        self.written_bytes += len(write.data)

    def _replace(self, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            raise OSError(f"more than {MAX_BYTES} bytes")
        room = bytes(ROOM_BYTES)
        replace_file(self.path, data + room)
        self._place = _Place(self.path.stat().st_ino, len(data), len(data) + len(room))

    def _append(self, data: bytes) -> None:
        """Write behind the last record.

        Raises:
            OSError: it cannot be, or the file is not the one that was written.

        """
        place = self._place
        if place is None:
            raise OSError("the file is to be written anew")
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if (status.st_ino, status.st_size) != (place.inode, place.size):
                raise OSError("somebody else has changed the file: it is written anew")
            written = os.pwrite(descriptor, data, place.end)
            if written != len(data):
                raise OSError("the disk is full")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        place.end += len(data)
        place.size = max(place.size, place.end)
