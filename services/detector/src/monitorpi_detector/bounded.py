"""A table that strangers cannot push known entries out of."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

STALE_S: Final = 600.0
"""An entry not touched for so long makes room for a new one."""

ValueT = TypeVar("ValueT")


class Bounded(Generic[ValueT]):
    """Values by name, at most ``limit``; when full, new names wait until old ones are stale.

    A flood of random MAC addresses fills the free places once and is then refused, while devices
    that keep talking keep their entries. ``refused`` counts.
    """

    def __init__(self, limit: int, stale_s: float = STALE_S) -> None:
        self._limit = limit
        self._stale_s = stale_s
        self._entries: OrderedDict[str, tuple[float, ValueT]] = OrderedDict()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def get(self, name: str) -> ValueT | None:
        """Return the value of a name, or None."""
        entry = self._entries.get(name)
        return None if entry is None else entry[1]

    def put(self, name: str, value: ValueT, now_s: float) -> bool:
        """Keep a value; False when there is no room for a new name."""
        if name in self._entries:
            self._entries.move_to_end(name)
        elif len(self._entries) >= self._limit:
            oldest = next(iter(self._entries))
            if now_s - self._entries[oldest][0] < self._stale_s:
                self.refused += 1
                return False
            del self._entries[oldest]
        self._entries[name] = (now_s, value)
        return True

    def remove(self, name: str) -> None:
        """Forget a name."""
        self._entries.pop(name, None)

    def items(self) -> list[tuple[str, ValueT]]:
        """Return everything, least recently touched first."""
        return [(name, value) for name, (_, value) in self._entries.items()]

    def values(self) -> list[ValueT]:
        """Return all values, least recently touched first."""
        return [value for _, value in self._entries.values()]
