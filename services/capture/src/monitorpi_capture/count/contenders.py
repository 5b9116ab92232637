"""Who gets a row though the table is full: whoever floods, known or not. Pure.

Theory of operation. Most rows of a window go to known devices (*pinned*, placed before it begins)
and to whoever comes first. An attacker can take all of the second kind by making up addresses, so
some rows are kept back, and a MAC that found no row *contends* for one with the frames that floods
are made of (:data:`FLOOD_COLUMNS`): it is *promoted* at :data:`PROMOTE` votes. A million addresses
that send a frame each outvote nobody, whatever they did before.

Who was promoted, or contended in vain because the kept rows were gone, is a *guest* of the windows
that follow: it has a row from their first frame on, and the kept rows are free again for the next.
There are few places for guests, and those who flood most have them.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitorpi_capture.items import MacCounts

FLOOD_CLASSES: Final = (
    "syn", "icmp", "broadcast", "multicast", "arp", "igmp", "dhcp", "dns", "fin", "syn_ack",
    "mdns", "rst", "fragment", "malformed",
)  # fmt: skip
"""What rules other than those for plain volume judge; the kernel's program has it from here."""
PROMOTE: Final = 16
"""Votes ahead of all others in a window from which a MAC has a row, in the kernel too. The
weakest floor of a rule is 30 frames/s, and the reporting level 10."""
PINNED_SHARE: Final = 0.75
"""Of the rows, what known devices may take before a window begins; others find the rest."""
_SHARE_KEPT: Final = 32
_FEWEST_KEPT: Final = 4
GUEST_WINDOWS: Final = 10
"""A guest leaves when it sent and was sent less than :data:`PROMOTE` in so many windows."""
_floods_of: Final = itemgetter(*(COLUMN[name] for name in FLOOD_CLASSES))


def kept_rows(max_rows: int) -> int:
    """Return how many rows beyond the open ones are kept for contenders."""
    return max(max_rows // _SHARE_KEPT, _FEWEST_KEPT)


def most_pinned(max_rows: int) -> int:
    """Return how many rows known devices may have before a window begins."""
    return max(int(max_rows * PINNED_SHARE), 1)


class Guests:
    """The MACs that flood and are no known devices."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._strength: dict[bytes, int] = {}
        self._silent: Counter[bytes] = Counter()

    @property
    def macs(self) -> tuple[bytes, ...]:
        """Who has a row in the windows to come."""
        return tuple(self._strength)

    def learn(
        self,
        rows: Iterable[MacCounts],
        refused: Mapping[bytes, int],
        known: frozenset[bytes],
        *,
        overflown: bool,
    ) -> bool:
        """Look at one window; True when who has a row changed.

        Args:
            rows: the window's.
            refused: votes of those that contended in vain.
            known: who has a row anyway.
            overflown: some frames found no row; else nobody needs to be a guest.

        """
        if not overflown and not self._strength:
            return False
        strength = {mac: votes for mac, votes in refused.items() if mac not in known}
        for row in rows:
            if row.mac in known:
                continue
            most = max(max(_floods_of(side)) if side else 0 for side in (row.tx, row.rx))
            if most >= PROMOTE:
                strength[row.mac] = most
        before = self._strength.keys()
        # where all found room nobody new becomes a guest; who is one stays until it was silent for
        # so many windows, lest a flood with pauses contends anew after each of them
        kept = {} if not overflown else strength
        for mac, old in self._strength.items():
            if mac in strength:
                kept[mac] = strength[mac]
                del self._silent[mac]
                continue
            self._silent[mac] += 1
            if self._silent[mac] < GUEST_WINDOWS and mac not in known:
                kept[mac] = old
        if len(kept) > self._most:  # decoys that flood less give way to who floods most
            kept = dict(sorted(kept.items(), key=lambda one: -one[1])[: self._most])
        changed = before != kept.keys()
        self._strength = kept
        for mac in self._silent.keys() - kept.keys():
            del self._silent[mac]
        return changed
