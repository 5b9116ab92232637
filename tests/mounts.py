"""Small file systems that tests mount, and how they leave again."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path


def unmount(folder: Path) -> None:
    """Unmount; whoever walks through all of /tmp just now, such as a search, holds it a moment."""
    command = ["umount", str(folder)]

    def is_left() -> bool:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    wait_for(is_left, 20, f"{folder} to be left")
