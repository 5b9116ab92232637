"""What a pcapng file tells of how it was made: frames that were kept out, or lost on the way. Pure.

Draft-ietf-opsawg-pcapng, sections 4.2 (``if_filter``) and 4.6 (interface statistics).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OPTION_FILTER: Final = 11
_OPTION_IFDROP: Final = 5
_OPTION_OSDROP: Final = 7
_COUNT_SIZE: Final = 8
_TEXT, _CODE = 0, 1
_INSTRUCTION: Final = 8
_MOST: Final = 80


def filter_note(value: bytes) -> str | None:
    """Return what is to be said of an interface's filter; None: it kept out nothing.

    Args:
        value: of the option: a kind, and the filter.

    """
    if not value[1:]:
        return None
    if value[0] == _TEXT:
        text = value[1:].rstrip(b"\0").decode(errors="replace").strip()
        if not text:
            return None
        which = f"the filter {text[:_MOST]!r}{'...' if len(text) > _MOST else ''}"
    elif value[0] == _CODE:
        which = f"a filter of {len(value[1:]) // _INSTRUCTION:,} instructions"
    else:
        which = "a filter"
    return f"was captured with {which}: what that kept out is in no count, and raises no alert"


def lost_frames(order: str, options: Iterable[tuple[int, bytes]]) -> int:
    """Return how many frames an interface lost so far, by its statistics.

    Args:
        order: ``<`` or ``>``.
        options: code and value of each.

    """
    count = struct.Struct(f"{order}Q").unpack
    return sum(
        int(count(value)[0])
        for code, value in options
        if code in (_OPTION_IFDROP, _OPTION_OSDROP) and len(value) == _COUNT_SIZE
    )


def lost_note(number: int, lost: int) -> str:
    """Return what is to be said of frames that an interface lost."""
    return f"lost {lost:,} frames of interface {number} when it was made: counts are too low"
