"""Addresses that were given up of late: what was said before their end comes too late. Pure.

Frames that say little may be read behind those that say much, though they came before: a client's
own ARP behind the lease that replaces its address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_capture.inventory.holding import Holding, Key

MAX_ENDS: Final = 1024
"""Ends that are remembered, the latest; frames wait a second at most."""


class Ends:
    """Whose each address was until when."""

    def __init__(self) -> None:
        self._until: dict[Key, tuple[bytes, float]] = {}

    def take(self, held: Holding, mac: bytes, at_s: float) -> None:
        """Take that a MAC gave an address up."""
        key = held.space, held.ip
        self._until.pop(key, None)
        self._until[key] = mac, at_s
        if len(self._until) > MAX_ENDS:
            del self._until[next(iter(self._until))]

    def came_after(self, mac: bytes, key: Key, at_s: float) -> bool:
        """Return whether a MAC gave an address up after a time."""
        former, until_s = self._until.get(key, (b"", at_s))
        return former == mac and at_s < until_s

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock that stamped them."""
        self._until = {key: (mac, at_s + step_s) for key, (mac, at_s) in self._until.items()}
