"""Small disks of one's own: to fill, to mount read-only, to take the power from."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.mounts import unmount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,noatime", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        unmount(folder)


def make_disk(path: Path, size_mb: int) -> Path:
    """Make a disk with ext4, or skip where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a disk image")
    with path.open("wb") as file:
        file.truncate(size_mb << 20)
    made = subprocess.run(["mkfs.ext4", "-q", str(path)], check=False, capture_output=True)
    place = path.with_suffix(".try")
    place.mkdir()
    tried = subprocess.run(
        ["mount", "-o", "loop", str(path), str(place)], check=False, capture_output=True
    )
    if made.returncode or tried.returncode:
        pytest.skip("no disk image can be mounted here")
    unmount(place)
    return path


def fill(folder: Path) -> Path:
    """Write until the disk of a folder is full, to the last block; returns what fills it."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filler
