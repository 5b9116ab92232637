"""The folder in which ``up`` keeps what must outlive it, and why none can be kept there. I/O."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_common.settings import ENV_PREFIX

if TYPE_CHECKING:
    from monitorpi_common.settings import CommonSettings

_PROBE: Final = bytes(64 * 1024)
"""What is written to see whether anything can be: more than a file system keeps inside an inode."""
_ELSEWHERE: Final = f"set another one (state_dir, {ENV_PREFIX}STATE_DIR)"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Unwritable:
    """Why nothing can be written to a folder, and what to do."""

    why: str
    remedy: str
    is_full: bool
    """It will be writable again once there is room."""


def state_dir(common: CommonSettings) -> Path:
    """Return where `up` keeps its state: as configured, or in the home of an ordinary user."""
    if "state_dir" in common.model_fields_set or os.geteuid() == 0:
        return common.state_dir
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "monitorpi"


def secrets_folder(common: CommonSettings) -> Path:
    """Return where `up` keeps the secrets of its own broker's users, a folder for each."""
    return state_dir(common) / "secrets"


def nearest(folder: Path) -> Path:
    """Return the folder, or that of its parents in which it would be made.

    Raises:
        OSError: a name is too long, or links lead in circles.

    """
    return next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))


def try_to_write(folder: Path) -> Unwritable | None:
    """Write a file that has no name all the way to the disk, where the folder is or would be made.

    Returns: why it cannot be done; None: it can, and nothing is left behind.

    """
    place = folder
    try:
        place = nearest(folder)
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=place, prefix=".monitorpi-") as stream:
            stream.write(_PROBE)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return _explained(place, error)
    return None


def _explained(place: Path, error: OSError) -> Unwritable:
    match error.errno:
        case errno.ENOTDIR:
            why, remedy = f"{place} is no folder", _ELSEWHERE
        case errno.ENOSPC | errno.EDQUOT:
            why, remedy = f"the disk of {place} is full", f"make room on it, or {_ELSEWHERE}"
        case errno.EROFS:
            why, remedy = f"{place} is mounted read-only", f"look at dmesg, or {_ELSEWHERE}"
        case errno.EACCES | errno.EPERM:
            why = f"{place} may not be written"
            remedy = f"run with sudo, or {_ELSEWHERE}"
        case _:
            why, remedy = f"{place}: {error.strerror}", _ELSEWHERE
    return Unwritable(why, remedy, error.errno in _FULL)
