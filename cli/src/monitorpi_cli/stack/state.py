"""The folder in which ``up`` keeps what must outlive it, and why none can be kept there. I/O."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_common.settings import ENV_PREFIX, ConfigurationError

if TYPE_CHECKING:
    from monitorpi_common.settings import CommonSettings

_PROBE: Final = bytes(64 * 1024)
"""What is written to see whether anything can be: more than a file system keeps inside an inode."""
ELSEWHERE: Final = f"set another one (state_dir, {ENV_PREFIX}STATE_DIR)"
TEMPORARY = Path("/tmp")  # noqa: S108 - tmpfile(3), P_tmpdir
SECRETS: Final = "secrets"
BROKER: Final = "broker"
LOCK: Final = "lock"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Unwritable:
    """Why nothing can be written to a folder, and what to do."""

    why: str
    remedy: str
    is_full: bool
    """It will be writable again once there is room."""


def state_dir(common: CommonSettings) -> Path:
    """Return where `up` keeps its state: as configured, or in the home of an ordinary user.

    Raises:
        ConfigurationError: that one has no home.

    """
    if "state_dir" in common.model_fields_set or os.geteuid() == 0:
        return common.state_dir
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # not to be heeded then (XDG Base Directory Specification)
        try:
            base = Path.home() / ".local" / "state"
        except RuntimeError:
            raise ConfigurationError([f"this account has no home: {ELSEWHERE}"]) from None
    return base / "monitorpi"


def secrets_folder(common: CommonSettings) -> Path:
    """Return where `up` keeps the secrets of its own broker's users, a folder for each."""
    return state_dir(common) / SECRETS


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


def try_to_hash() -> Unwritable | None:
    """Return why Mosquitto's program cannot hash passwords here; None: it can.

    It writes them to a file without a name first, in a folder that no variable changes, and where
    there is no room for that, it leaves a password file without users, and says nothing.
    """
    found = try_to_write(TEMPORARY)
    if found is None:
        return None
    remedy = "make room on it" if found.is_full else "let it be written"
    return replace(found, why=f"passwords cannot be hashed: {found.why}", remedy=remedy)


def open_to_others(secrets: Path) -> str | None:
    """Return that other accounts may look into the folder of secrets; None: it is closed, or away.

    Raises:
        OSError: it cannot be looked at.

    """
    if secrets.exists() and secrets.stat().st_mode & _OTHERS:
        return f"{secrets} is open to other accounts of this machine"
    return None


def _explained(place: Path, error: OSError) -> Unwritable:
    match error.errno:
        case errno.ENOTDIR:
            why, remedy = f"{place} is no folder", ELSEWHERE
        case errno.ENOSPC | errno.EDQUOT:
            why, remedy = f"the disk of {place} is full", f"make room on it, or {ELSEWHERE}"
        case errno.EROFS:
            why, remedy = f"{place} is mounted read-only", f"look at dmesg, or {ELSEWHERE}"
        case errno.EACCES | errno.EPERM:
            why = f"{place} may not be written"
            remedy = f"run with sudo, or {ELSEWHERE}"
        case _:
            why, remedy = f"{place}: {error.strerror}", ELSEWHERE
    return Unwritable(why, remedy, error.errno in _FULL)
