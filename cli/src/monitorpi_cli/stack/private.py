"""Files of secrets: nobody but their owner could ever read them, and none is half written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
