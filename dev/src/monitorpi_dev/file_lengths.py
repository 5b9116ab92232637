"""No file of ours is longer than what one reads in one go; what is longer says here why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_dev.class_names import ROOMS

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_LINES: Final = 400
ENDINGS: Final = (".py", ".js", ".c", ".h")
LONGER: Final = {
    "libs/common/src/monitorpi_common/messages.py":
        "the contract: every message stands in one list, from which the pages are generated",
}  # fmt: skip


def too_long(root: Path, files: Iterable[Path]) -> dict[str, int]:
    """Return the files that are too long without a reason, and those with one that need none.

    Args:
        root: what the names in ``LONGER`` begin at.
        files: below it.

    Returns: lines by name.

    """
    found = {}
    for file in files:
        name = file.relative_to(root).as_posix()
        lines = file.read_bytes().count(b"\n")
        if (lines > MOST_LINES) != (name in LONGER):
            found[name] = lines
    return found


def main() -> int:
    """Name the files that are too long; 1: there are some."""
    root = Path()
    folders = [root / room for room in (*ROOMS, "doubles", "scripts", "tests")]
    files = (file for folder in folders for file in sorted(folder.glob("**/*")))
    found = too_long(root, (file for file in files if file.suffix in ENDINGS))
    for name, lines in found.items():
        what = "needs no exception any more" if name in LONGER else "split it"
        print(f"{name}: {lines} lines, at most {MOST_LINES}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
