"""A table that unknown senders cannot push known entries out of, nor keep newcomers out of.

Theory of operation. A name is *young* until it was touched again :data:`RESIDENT_S` after the
first time; then it is a *resident*. Where there is no room the young one that was touched longest
ago leaves: a flood of made-up addresses pushes out its own kind, while a newcomer that keeps
talking is touched again and stays. Residents leave only when they were not touched for ``stale_s``,
and never take the last eighth: there is always room for somebody to be young.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

STALE_S: Final = 600.0
"""A resident not touched for so long makes room for a new one."""
RESIDENT_S: Final = 60.0
"""Devices that talk are touched each few seconds, and reported each minute."""
_YOUNG_SHARE: Final = 8
"""One place of so many is never a resident's."""

ValueT = TypeVar("ValueT")


class Bounded(Generic[ValueT]):
    """Values by name, at most ``limit``. ``refused`` counts names that found no room."""

    def __init__(self, limit: int, stale_s: float = STALE_S) -> None:
        self._limit = limit
        self._most_residents = max(limit - max(limit // _YOUNG_SHARE, 1), 1)
        self._stale_s = stale_s
        self._young: OrderedDict[str, tuple[float, ValueT]] = OrderedDict()
        """With the time of the first touch; the order is that of the last."""
        self._residents: OrderedDict[str, tuple[float, ValueT]] = OrderedDict()
        """With the time of the last touch, in its order."""
        self.refused = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._residents)

    def __contains__(self, name: str) -> bool:
        return name in self._residents or name in self._young

    def get(self, name: str) -> ValueT | None:
        """Return the value of a name, or None."""
        entry = self._residents.get(name) or self._young.get(name)
        return None if entry is None else entry[1]

    def put(self, name: str, value: ValueT, now_s: float) -> bool:
        """Keep a value; False when there is no room for a new name."""
        if name in self._residents:
            self._residents.move_to_end(name)
            self._residents[name] = (now_s, value)
            return True
        young = self._young.pop(name, None)
        if young is not None and now_s - young[0] >= RESIDENT_S and self._has_room(now_s):
            self._residents[name] = (now_s, value)
            return True
        if young is None and len(self) >= self._limit and not self._make_room(now_s):
            self.refused += 1
            return False
        self._young[name] = (now_s if young is None else young[0], value)
        return True

    def restore(self, name: str, value: ValueT, now_s: float) -> None:
        """Take back what was kept over a restart: a resident, as far as there is room."""
        if name not in self and self._has_room(now_s):
            self._residents[name] = (now_s, value)

    def _has_room(self, now_s: float) -> bool:
        """Return whether one more may be a resident, in a stale one's place if need be."""
        if len(self._residents) < self._most_residents:
            return True
        return self._drop_stale(now_s)

    def _make_room(self, now_s: float) -> bool:
        if self._young:
            self._young.popitem(last=False)
            return True
        return self._drop_stale(now_s)

    def _drop_stale(self, now_s: float) -> bool:
        oldest = next(iter(self._residents), None)
        if oldest is None or now_s - self._residents[oldest][0] < self._stale_s:
            return False
        del self._residents[oldest]
        return True

    def remove(self, name: str) -> None:
        """Forget a name."""
        self._young.pop(name, None)
        self._residents.pop(name, None)

    def items(self) -> list[tuple[str, ValueT]]:
        """Return everything: the young, then the residents."""
        both = (*self._young.items(), *self._residents.items())
        return [(name, value) for name, (_, value) in both]

    def values(self) -> list[ValueT]:
        """Return all values, in the order of :meth:`items`."""
        return [value for _, value in self.items()]
