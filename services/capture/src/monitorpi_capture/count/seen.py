"""The MAC addresses that sent something of late: who is not among them is new. Pure.

Theory of operation. A MAC is remembered with its first window, and *settles* when it sends in a
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


class Seen:
    """Bounded memory of senders."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._once: dict[bytes, None] = {}
        self._settled: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._once) + len(self._settled)

    def meet(self, senders: Iterable[bytes]) -> int:
        """Take the senders of one window, each once; return how many of them are new."""
        once, settled, new = self._once, self._settled, 0
        for mac in senders:
            if mac in settled:
                del settled[mac]
                settled[mac] = None
            elif mac in once:
                del once[mac]
                settled[mac] = None
            else:
                once[mac] = None
                new += 1
        for table in (once, settled):
            while len(table) > self._most:
                del table[next(iter(table))]
        return new

    def clear(self) -> None:
        """Forget all: a new epoch begins."""
        self._once.clear()
        self._settled.clear()
