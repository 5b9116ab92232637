"""What settings are read from: the TOML file and the secrets directory. I/O.

A byte order mark, which some editors write, is no part of a text. In the secrets directory only
names that can be a key's count: editors and package managers leave copies such as ``name~``.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.messages import Service
from monitorpi_common.settings_errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE_BYTES: Final = 1024 * 1024
_MAX_SECRET_BYTES: Final = 64 * 1024
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
        content = path.read_bytes() if path.stat().st_size <= _MAX_FILE_BYTES else None
    except FileNotFoundError:
        if named is None:
            return None, {}
        raise ConfigurationError([f"{path}: there is no such file; give an existing one"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError([f"{path}: cannot be read: {reason}"]) from None
    if content is None:
        raise ConfigurationError([f"{path}: larger than {_MAX_FILE_BYTES} bytes: no settings"])
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: not UTF-8 text: save it as UTF-8"]) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOMLDecodeError
        raise ConfigurationError([f"{path}: not valid TOML: {error}"]) from None
    return path, _own_tables(path, table, own)


def _own_tables(path: Path, table: dict[str, Any], own: str) -> dict[str, Any]:
    normal: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in normal:
            dashed = name.replace("_", "-")
            line = f"{path}: {dashed}: the table stands twice, as [{dashed}] and as [{name}]"
            raise ConfigurationError([f"{line}: put it together"])
        normal[name] = value
    others = {service.value.replace("-", "_") for service in Service} - {own}
    return {key: value for key, value in normal.items() if key not in others}


def read_secrets(folder: Path) -> dict[str, str]:
    """Read the secrets directory: a text by file name; none where there is no such folder.

    Raises:
        ConfigurationError: a secret is there and cannot be used; it would else be silently taken
            as absent.

    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return {}
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG or not os.path.lexists(folder):
            return {}
        if error.errno == errno.ENOTDIR:
            lines = [f"secrets directory {folder}: no folder; give one"]
            raise ConfigurationError(lines) from None
        raise ConfigurationError(
            [f"secrets directory {folder} cannot be read ({error.strerror}): run as its owner"]
        ) from None
    texts: dict[str, str] = {}
    wrong = []
    for entry in entries:
        if not _KEY.fullmatch(entry.name) or entry.is_dir():
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


def _secret(entry: Path) -> str:
    if not stat.S_ISREG(entry.stat().st_mode):
        raise ValueError("no file; give one")  # a pipe would be waited for
    with entry.open("rb") as stream:
        content = stream.read(_MAX_SECRET_BYTES + 1)
    if len(content) > _MAX_SECRET_BYTES:
        raise ValueError(f"larger than {_MAX_SECRET_BYTES} bytes")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
