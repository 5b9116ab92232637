"""An ext4 on a loop device that tells what it was handed to write."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


class Card:
    """An ext4 with blocks of 4 kB, as on an SD card; the folder is made, and removed with it."""

    def __init__(self, image: Path, folder: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root: mounts a disk image")
        self.folder = folder
        with image.open("wb") as file:
            file.truncate(256 << 20)
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mkfs.ext4", "-q", "-b", "4096", str(image)], check=True)
        try:
            found = subprocess.run(
                ["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no loop device can be made here: {error.stderr.strip()}")
        self._device = found.stdout.strip()
        subprocess.run(["mount", "-o", "noatime", self._device, str(self.folder)], check=True)

    def written(self) -> int:
        """Hand everything to the device; returns the bytes it was handed so far."""
        subprocess.run(["sync", "-f", str(self.folder)], check=True)
        stat = Path("/sys/block", Path(self._device).name, "stat").read_text(encoding="ascii")
        return int(stat.split()[6]) * 512

    def remove(self) -> None:
        """Unmount."""
        # lazily: a namespace made meanwhile may have it mounted, too, until it is gone
        subprocess.run(["umount", "-l", str(self.folder)], check=True)
        subprocess.run(["losetup", "-d", self._device], check=True)
