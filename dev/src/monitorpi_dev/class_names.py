"""One name, one thing: no two classes of the tree have the same name."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOMS: Final = ("libs", "services", "cli", "lab", "dev")
"""Doubles of other people's services are left out: they speak their words."""


def shared_names(files: Iterable[Path]) -> dict[str, list[str]]:
    """Return the class names that stand for more than one class, each with its places."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file}:{node.lineno}")
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def main() -> int:
    """Name what stands for several things; 1: there is some."""
    files = sorted(file for room in ROOMS for file in Path(room).glob("**/src/**/*.py"))
    shared = shared_names(files)
    for name, places in shared.items():
        print(f"class {name} stands for several things: {', '.join(places)}; rename one")
    return 1 if shared else 0


if __name__ == "__main__":
    sys.exit(main())
