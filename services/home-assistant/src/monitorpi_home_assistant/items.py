"""What passes between the core and its sink. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Shelf(Protocol):
    """Where it is kept what was announced, so that a later process can take it back."""

    def keep(self, topics: Iterable[str]) -> bool:
        """Replace what is kept; False: not now."""
        ...
