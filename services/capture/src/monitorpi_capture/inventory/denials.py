"""Who keeps others from having an address, by answering their duplicate address detection. Pure.

Theory of operation. A host asks for an address before it takes it, from nobody's address (an ARP
probe, RFC 5227; a solicitation from ``::``, RFC 4862), and takes another one if anybody says it is
his. A true duplicate is one address, of a device that holds it. Who answers for addresses that
nobody held, or that were the asker's own, *denies* them: many different ones, and nobody new gets
on the LAN. An answer comes within a second, before the host goes on; what comes later is the host
itself, or who speaks for it (a repeater, a bridge).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from monitorpi_capture.inventory.holding import Key, Space

WITHIN_S: Final = 600.0
ANSWERS_S: Final = 0.9
"""Hosts wait a second for answers (RFC 4862: RetransTimer; RFC 5227: PROBE_MIN)."""
DENIES_FROM: Final = 2
"""One address is a duplicate; from the second on it is worth a message."""
MAX_TRIED: Final = 1024
MAX_DENIERS: Final = 256
MAX_DENIED: Final = 64
"""Addresses of one MAC that are remembered."""


class Denied(NamedTuple):
    """What one MAC kept from others."""

    addresses: int
    last_s: float


class Denials:
    """Addresses that devices were about to take, and who said they were his."""

    def __init__(self) -> None:
        self._tried: dict[Key, tuple[bytes, float]] = {}
        self._denied: dict[bytes, dict[Key, float]] = {}

    def tries(self, mac: bytes, space: Space, ip: str, at_s: float) -> None:
        """Take that a MAC is about to take an address."""
        self._tried.pop((space, ip), None)
        self._tried[space, ip] = mac, at_s
        if len(self._tried) > MAX_TRIED:
            del self._tried[next(iter(self._tried))]

    def claims(self, mac: bytes, space: Space, ip: str, at_s: float, holder: bytes | None) -> bool:
        """Take a claim; returns whether it denies an address and its MAC is worth a message.

        Args:
            mac: who sent it.
            space: the VLAN.
            ip: the address.
            at_s: when.
            holder: who held the address before.

        """
        key = space, ip
        tried = self._tried.get(key)
        if tried is None or tried[0] == mac or not 0 <= at_s - tried[1] <= ANSWERS_S:
            return False
        denied = self._denied.get(mac, {})
        if key not in denied and holder not in (None, tried[0]):
            return False
        denied.pop(key, None)
        denied[key] = at_s
        self._denied.pop(mac, None)
        self._denied[mac] = {
            one: when for one, when in list(denied.items())[-MAX_DENIED:] if at_s - when <= WITHIN_S
        }
        if len(self._denied) > MAX_DENIERS:
            self.forget(min(self._denied, key=lambda one: len(self._denied[one])))
        return len(denied) >= DENIES_FROM

    def of(self, mac: bytes, at_s: float) -> Denied | None:
        """Return what a MAC denied others of late; None: nothing."""
        denied = self._denied.get(mac, {})
        late = [when for when in denied.values() if at_s - when <= WITHIN_S]
        return Denied(len(late), max(late)) if late else None

    def forget(self, mac: bytes) -> None:
        """Forget what a MAC denied: it left the inventory, or makes room."""
        self._denied.pop(mac, None)

    def shift(self, step_s: float) -> None:
        """Move all times by a step of the clock that stamped them."""
        self._tried = {key: (mac, at_s + step_s) for key, (mac, at_s) in self._tried.items()}
        for mac, denied in self._denied.items():
            self._denied[mac] = {key: at_s + step_s for key, at_s in denied.items()}
