"""What changed between two pictures, as a merge patch of JSON (RFC 7396). Pure."""

from __future__ import annotations

from typing import Any, Final

Part = dict[str, Any]

GROWS: Final = "two_minutes"
"""What a page goes on with by itself from the newest values: it is only in a whole picture."""


def patch(before: Part, after: Part) -> Part:
    """Return what turns one picture into the other: changed parts, and null for those gone."""
    changed: Part = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        old = before.get(name, _ABSENT)
        if old is value or (name == GROWS and old is not _ABSENT):
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            if found := patch(old, value):
                changed[name] = found
        elif old != value:
            changed[name] = value
    return changed


_ABSENT: Final = object()
