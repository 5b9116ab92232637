"""Claims of addresses that others hold, as capture observed them: each reported once. Pure.

Theory of operation. A device's message is retained and comes again each minute; the conflicts in
it are facts with a time of their own (``last``). Only what is later than what was seen of the same
conflict before is news. Both parties' messages carry it, so that the claimant need not be a device.
What is shared without harm (the ports of one machine, a sleep proxy) is news once for two MACs,
whichever of them holds the address at the time; that is kept over restarts. The third port of a
machine is no news, nor is the second address that somebody answers for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.topics import mac_from_id, mac_id
from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_common.messages import AddressConflict, Device

MAX_CONFLICTS: Final = 8192
MAX_SHARED: Final = 1024
"""Two MAC addresses each that share an address."""
PORTS: Final = 8
"""MAC addresses at most so far apart are capture's ``siblings``."""
_LAST_MAC: Final = (1 << 48) - 1
INSISTS: Final = 2
"""Claims from which the claimant has come back after the holder did."""
NEWS_S: Final = 60.0
"""What is older when it is first received was news to the process before us."""


class Conflicts:
    """What was seen of conflicts, bounded."""

    def __init__(self, together: Iterable[Iterable[str]] = (), shared: Iterable[str] = ()) -> None:
        """Start with what is known.

        Args:
            together: MACs of one machine, or of machines that share an address by design.
            shared: those reported before a restart to share.

        """
        self._together = [frozenset(group) for group in together]
        self._last: Bounded[float] = Bounded(MAX_CONFLICTS)
        self._shared: Bounded[None] = Bounded(MAX_SHARED)
        for name in shared:
            self._shared.restore(name, None, 0.0)

    @property
    def shared(self) -> list[str]:
        """Who shares without harm, two MAC addresses each, to be kept."""
        return [name for name, _ in self._shared.items()]

    def see(self, device: Device) -> tuple[AddressConflict, ...]:
        """Return what is new in a device's message."""
        return tuple(one for one in device.conflicts if self._is_news(one, device))

    def _is_news(self, one: AddressConflict, device: Device) -> bool:
        if any({one.holder, one.claimant} <= group for group in self._together):
            return False
        last_s = one.last.timestamp()
        name = f"{one.vlan} {one.ip} {one.holder} {one.claimant}"
        if one.is_shared and not one.router and not self._is_first(one, last_s):
            return False
        before_s = self._last.get(name)
        self._last.put(name, max(last_s, before_s or last_s), last_s)
        if before_s is None:
            return device.last_seen.timestamp() - last_s <= NEWS_S
        return last_s > before_s

    def _is_first(self, one: AddressConflict, last_s: float) -> bool:
        proxy = one.relation == "proxy"
        name = _pair(one.claimant if proxy else one.holder, one.claimant)
        if one.claims < INSISTS or name in self._shared:
            return False
        is_port = one.relation == "siblings" and self._has_ports(one.holder)
        return self._shared.put(name, None, last_s) and not is_port

    def _has_ports(self, mac: str) -> bool:
        """Return whether one was reported to share with a MAC next to it: ports of one machine."""
        number = int(mac_id(mac), 16)
        near = range(max(0, number - PORTS), number + PORTS + 1)
        others = (mac_from_id(f"{one:012x}") for one in near if one <= _LAST_MAC)
        return any(_pair(mac, other) in self._shared for other in others)


def _pair(one: str, other: str) -> str:
    return " ".join(sorted((one, other)))
