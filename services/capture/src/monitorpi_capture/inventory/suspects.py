"""Who must be looked at whatever fills the inventory. Pure.

Theory of operation. Who hands out DHCP, advertises itself as a router or claims an address that
another device holds may be the attack itself; it must be published though it came just now and the
inventory is full. Such a *suspect* has a place at once and keeps it. There are few places for each
cause: when they are taken the oldest suspect of that cause makes room, which was published by then.
Few may come in a second, so that a flood of claims makes no flood of messages. A suspect is an
ordinary device again :data:`HELD_S` after its last deed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Cause = Literal["dhcp", "router", "claim"]
HELD_S: Final = 600.0
PER_S: Final = 2.0
"""Suspects of one cause that are let in each second, ..."""
BURST: Final = 16.0
"""... after so many at once."""
_PLACES: Final = 32
"""As many of each cause as one rule has alerts apart."""
_SHARE: Final = 8
"""One place of so many devices at most, for each cause."""


class Suspects:
    """The suspects, with their cause and the time of their last deed."""

    def __init__(self, max_devices: int) -> None:
        self._places = min(_PLACES, max(max_devices // _SHARE, 1))
        self._deeds: dict[bytes, tuple[Cause, float]] = {}
        self._tokens: dict[Cause, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._deeds)

    def __contains__(self, mac: bytes) -> bool:
        return mac in self._deeds

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._deeds)

    def add(self, mac: bytes, cause: Cause, at_s: float, *, is_device: bool) -> list[bytes] | None:
        """Give a MAC a place; return who lost one for it, or None: it must wait.

        Args:
            mac: who.
            cause: what it did.
            at_s: when.
            is_device: it has a topic already: no message is to be feared.

        """
        if mac in self._deeds:
            self._deeds[mac] = (self._deeds[mac][0], at_s)
            return []
        if not (is_device or self._may_enter(cause, at_s)):
            return None
        others = [one for one, (why, _) in self._deeds.items() if why == cause]
        freed = others[: max(len(others) + 1 - self._places, 0)]
        for one in freed:
            del self._deeds[one]
        self._deeds[mac] = (cause, at_s)
        return freed

    def _may_enter(self, cause: Cause, at_s: float) -> bool:
        left, since_s = self._tokens.get(cause, (BURST, at_s))
        left = min(BURST, left + max(at_s - since_s, 0.0) * PER_S)
        self._tokens[cause] = (left - 1.0 if left >= 1.0 else left, at_s)
        return left >= 1.0

    def expire(self, at_s: float) -> None:
        """Let go of those that did nothing for long."""
        for mac, (_, last_s) in list(self._deeds.items()):
            if at_s - last_s > HELD_S:
                del self._deeds[mac]

    def remove(self, mac: bytes) -> None:
        """Free the place of a MAC that left the inventory."""
        self._deeds.pop(mac, None)
