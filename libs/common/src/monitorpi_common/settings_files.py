"""What settings are read from: the TOML file and the secrets directory. I/O.

A byte order mark, which some editors write, is no part of a text. In the secrets directory only
names that can be a key's count: editors and package managers leave copies such as ``name~``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.messages import Service
from monitorpi_common.plainfile import read_bytes
from monitorpi_common.settings_errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE_BYTES: Final = 1024 * 1024
MAX_SECRET_BYTES: Final = 64 * 1024
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def read_table(named: Path | None, default: Path, own: str) -> tuple[Path | None, dict[str, Any]]:
    """Read the TOML file and drop the tables of other services.

    Args:
        named: a file somebody asked for; None: the default one, which may be missing.
        default: where the file is if nobody names one.
        own: the table of the service, with underscores.

    Returns:
        The file's path, None where there is none; and its content.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML.

    """
    path = named or default
    try:
        content = read_bytes(path, _MAX_FILE_BYTES)
    except FileNotFoundError:
        if named is None:
            return None, {}
        raise ConfigurationError([f"{path}: there is no such file; give an existing one"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError([f"{path}: cannot be read: {reason}"]) from None
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: not UTF-8 text: save it as UTF-8"]) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOMLDecodeError
        raise ConfigurationError([f"{path}: not valid TOML: {error}"]) from None
    return path, _own_tables(path, table, own)


def why_never(folder: Path) -> str | None:
    """Return why a folder is not there and can never be made, as far as names go; None: it can."""
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
        if not there.is_dir():
            return f"{there} is no folder"
        with contextlib.suppress(FileNotFoundError):
            folder.lstat()  # refuses a name that is too long
    except OSError as error:
        return f"{error.strerror}"
    return None


def _own_tables(path: Path, table: dict[str, Any], own: str) -> dict[str, Any]:
    normal: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_").lower()
        if name in normal:
            dashed = name.replace("_", "-")
            line = f"{path}: {dashed}: the table stands twice, as [{dashed}] and as [{name}]"
            raise ConfigurationError([f"{line}: put it together"])
        normal[name] = value
    others = {service.value.replace("-", "_") for service in Service} - {own}
    return {key: value for key, value in normal.items() if key not in others}


def read_secrets(folder: Path, *, is_named: bool = False) -> dict[str, str]:
    """Read the secrets directory: a text by file name; none where there is no such folder.

    Args:
        folder: the directory.
        is_named: somebody asked for it by a variable: then it is there, or that is a mistake.

    Raises:
        ConfigurationError: a secret is there and cannot be used; it would else be silently taken
            as absent.

    """
    texts: dict[str, str] = {}
    there: dict[str, Path] = {}
    wrong = []
    for entry in _entries(folder, is_named=is_named):
        if not _KEY.fullmatch(entry.name) or entry.is_dir():
            continue
        other = there.setdefault(entry.name.lower(), entry)
        if other is not entry:
            wrong.append(f"secret {entry}: stands there as {other.name}, too: remove one")
            continue
        try:
            texts[entry.name] = _secret(entry)
        except ValueError as error:
            wrong.append(f"secret {entry}: {error}")
        except OSError as error:
            wrong.append(
                f"secret {entry}: cannot be read ({error.strerror}); "
                f"make it readable for uid {os.getuid()}"
            )
    if wrong:
        raise ConfigurationError(wrong)
    return texts


def _entries(folder: Path, *, is_named: bool) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        is_long = error.errno == errno.ENAMETOOLONG
        if is_named and isinstance(error, FileNotFoundError):
            why = "there is no such folder; give an existing one"
        elif is_long or not os.path.lexists(folder):
            return []
        elif error.errno == errno.ENOTDIR:
            why = "no folder; give one"
        else:
            why = f"cannot be read ({error.strerror}): run as its owner"
        raise ConfigurationError([f"secrets directory {folder}: {why}"]) from None


def _secret(entry: Path) -> str:
    if not stat.S_ISREG(entry.stat().st_mode):
        raise ValueError("no file; give one")  # a pipe would be waited for
    try:
        content = read_bytes(entry, MAX_SECRET_BYTES)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise ValueError(error.strerror) from None
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
