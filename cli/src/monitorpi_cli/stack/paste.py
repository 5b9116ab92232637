"""Where lines for the table of the cloud bridge go in a settings file that people write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLE: Final = "cloud-bridge"
_HEADER: Final = re.compile(r"""^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(\#.*)?$""")
_KEY: Final = re.compile(r"""^\s*(?P<key>[A-Za-z0-9_.\-"' ]+?)\s*=""")
_START: Final = "and start MonitorPi again"


def paste(file: Path, lines: Sequence[str]) -> list[str]:
    """Return the instruction: which lines, and where they go.

    A table must stand once in a file, and a key once in a table.

    Args:
        file: the settings; it need not be there.
        lines: ``key = value`` for the table of the cloud bridge.

    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        text = ""
    places = locate(text)
    table = places.get("")
    taken = {line.split(" =")[0]: line for line in lines}
    replaced = [f"{key} there (line {places[key]})" for key in taken if key in places]
    instead = f", in place of {' and '.join(replaced)}" if replaced else ""
    if table is None and not replaced:
        return [f"Put this into {file} {_START}:", "", f"[{TABLE}]", *lines]
    where = f"below [{TABLE}] (line {table})" if table is not None else f"for {TABLE}"
    return [f"Put this into {file}, {where}{instead}, {_START}:", "", *lines]


def locate(text: str) -> dict[str, int]:
    """Return the numbers of the lines where the table of the cloud bridge and its keys stand.

    The key ``""`` is the table's own header.
    """
    places: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _HEADER.match(line)) is not None:
            table = _plain(header["name"])
            name = table
        elif (found := _KEY.match(line)) is not None:
            name = f"{table}.{_bare(found['key'])}" if table else _plain(found["key"])
        else:
            continue
        if name == TABLE and header is not None:
            places.setdefault("", number)
        elif name.startswith(f"{TABLE}."):
            places.setdefault(name.split(".")[1], number)
    return places


def _plain(name: str) -> str:
    """Return the name of a table, or a key outside tables, as we write it: with a hyphen."""
    first, *rest = _bare(name).split(".")
    return ".".join([first.replace("_", "-"), *rest])


def _bare(name: str) -> str:
    """Return a key without quotes and blanks."""
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
