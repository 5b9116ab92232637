"""What a service is subscribed to: what it always reads, and what it follows for a while.

A broker remembers subscriptions over a lost connection, so what was left while there was none is
left again at the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_common.bus import subscription_qos

if TYPE_CHECKING:
    from collections.abc import Iterable


class Subscriptions:
    """Filters with their quality of service, and what changes when others are followed."""

    def __init__(self, always: Iterable[str] = ()) -> None:
        self._always = tuple(dict.fromkeys(always))
        self._followed: tuple[str, ...] = ()
        self._left: set[str] = set()

    def follow(self, filters: Iterable[str]) -> tuple[list[tuple[str, int]], list[str]]:
        """Follow these from now on, instead of those before; returns what begins and what ends."""
        before = self._followed
        self._followed = tuple(one for one in dict.fromkeys(filters) if one not in self._always)
        begins = [one for one in self._followed if one not in before]
        ends = [one for one in before if one not in self._followed]
        self._left = (self._left | set(ends)) - set(self._followed)
        return _with_qos(begins), ends

    def wanted(self) -> list[tuple[str, int]]:
        """Return all that is to be subscribed to at a new connection."""
        return _with_qos([*self._always, *self._followed])

    def unwanted(self) -> list[str]:
        """Return what a broker may still remember, and is to forget at a new connection."""
        return sorted(self._left)


def _with_qos(filters: Iterable[str]) -> list[tuple[str, int]]:
    return [(one, subscription_qos(one)) for one in filters]
