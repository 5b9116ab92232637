"""Claims of addresses that others hold, as capture observed them: each reported once. Pure.

Theory of operation. A device's message is retained and comes again each minute; the conflicts in
it are facts with a time of their own (``last``). Only what is later than what was seen of the same
conflict before is news. Both parties' messages carry it, so that the claimant need not be a device.
What is shared without harm (the ports of one machine, a sleep proxy) is news once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_common.messages import AddressConflict, Device

MAX_CONFLICTS: Final = 8192
INSISTS: Final = 2
"""Claims from which the claimant has come back after the holder did."""
NEWS_S: Final = 60.0
"""What is older when it is first heard of was news to the process before us."""


class Conflicts:
    """What was seen of conflicts, bounded."""

    def __init__(self, together: Iterable[Iterable[str]] = ()) -> None:
        """Make an empty memory.

        Args:
            together: MACs of one machine, or of machines that share an address by design.

        """
        self._together = [frozenset(group) for group in together]
        self._last: Bounded[float] = Bounded(MAX_CONFLICTS)
        self._shared: Bounded[bool] = Bounded(MAX_CONFLICTS)

    def see(self, device: Device) -> tuple[AddressConflict, ...]:
        """Return what is new in a device's message."""
        return tuple(one for one in device.conflicts if self._is_news(one, device))

    def _is_news(self, one: AddressConflict, device: Device) -> bool:
        if any({one.holder, one.claimant} <= group for group in self._together):
            return False
        last_s = one.last.timestamp()
        name = f"{one.vlan} {one.ip} {one.holder} {one.claimant}"
        if one.is_shared and not one.router and not self._is_first(name, one, last_s):
            return False
        before_s = self._last.get(name)
        self._last.put(name, max(last_s, before_s or last_s), last_s)
        if before_s is None:
            return device.last_seen.timestamp() - last_s <= NEWS_S
        return last_s > before_s

    def _is_first(self, name: str, one: AddressConflict, last_s: float) -> bool:
        if one.claims < INSISTS or name in self._shared:
            return False
        return self._shared.put(name, value=True, now_s=last_s)
