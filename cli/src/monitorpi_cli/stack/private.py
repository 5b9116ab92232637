"""Files of secrets: nobody but their owner could ever read them, and none is half written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from monitorpi_common.plainfile import read_bytes
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.settings_files import MAX_SECRET_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file complete or not at all; what it held before stays until then.

    Raises:
        OSError: there is no room, or the folder is not ours.

    """
    draft = file.with_name(file.name + ".draft")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(handle)  # else a power cut may leave the name without the text
    draft.replace(file)


def read_password(file: Path) -> str:
    """Return a password; empty: there is none, or a power cut has left a file without its text.

    Raises:
        ConfigurationError: somebody wrote one that Mosquitto's password file cannot hold.

    """
    try:
        text = read_bytes(file, MAX_SECRET_BYTES).decode("utf-8-sig").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    if not text.isprintable():
        return ""
    if ":" in text:
        raise ConfigurationError(
            [f"secret {file}: a password of the own broker can hold no ':'; write another one"]
        )
    return text


def refused_passwords(files: Iterable[Path]) -> list[str]:
    """Return a line for each password that Mosquitto's password file cannot hold."""
    lines: list[str] = []
    for file in files:
        try:
            read_password(file)
        except ConfigurationError as error:
            lines += error.lines
        except OSError:
            continue  # whose it is, or what else is wrong with it, is said by others
    return lines
