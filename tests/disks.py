"""Small disks of one's own: to fill, to mount read-only, to take the power from."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.mounts import unmount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def small_memory(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system in memory that is soon full, or skip where nothing can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root: a small file system is mounted")
    try:
        yield folder
    finally:
        unmount(folder)


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


def leave_no_room(folder: Path, write: Callable[[int], object]) -> Path:
    """Fill the disk of a database until not even a small change fits; returns what fills it.

    What a file has been given of the disk already, it may still write.
    """
    filler = fill(folder)
    with pytest.raises(sqlite3.Error):  # noqa: PT012 - the loop runs until the disk is full
        for number in range(1000):
            write(number)
    return filler
