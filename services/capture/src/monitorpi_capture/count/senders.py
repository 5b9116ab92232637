"""The MAC addresses that sent something of late: who is not among them is unknown. Pure.

Theory of operation. A MAC is remembered with its first window, and is *steady* when it sends in a
later one. Each kind is bounded, and those not seen for the longest time leave: a flood of invented
addresses that send once pushes out its own kind, and when it is over newcomers are new and ordinary
devices are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST: Final = 16_384
"""Of each kind; four times the devices there can be."""


class KnownSenders:
    """The MACs that sent of late, at most ``most`` of each kind."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._once: dict[bytes, None] = {}
        self._steady: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._once) + len(self._steady)

    def learn(self, senders: Iterable[bytes]) -> int:
        """Take the senders of one window, each once; return how many of them were unknown."""
        once, steady, unknown = self._once, self._steady, 0
        for mac in senders:
            if mac in steady:
                del steady[mac]
                steady[mac] = None
            elif mac in once:
                del once[mac]
                steady[mac] = None
            else:
                once[mac] = None
                unknown += 1
        for table in (once, steady):
            while len(table) > self._most:
                del table[next(iter(table))]
        return unknown

    def clear(self) -> None:
        """Forget all: a new epoch begins."""
        self._once.clear()
        self._steady.clear()
