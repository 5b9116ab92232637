"""Who is in the inventory: candidates, devices, and who leaves where there is no room. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_capture.window import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitorpi_common.messages import Role

CONFIRM_S: Final = 10.0
"""Between two windows a MAC must be seen in (the contract's rule 5)."""
MAX_CANDIDATES: Final = 8192
_MAX_PINNED: Final = 4096
NOTHING: Final = (0,) * WIDTH
"""Shared by all who sent nothing yet: thousands of candidates never will again."""


@dataclass(slots=True)
class Entry:
    """One device, or a candidate for one."""

    mac: bytes
    interface: str
    first_s: float
    last_s: float
    confirmed: bool = False
    role: Role = "unknown"
    ips: dict[str, float] = field(default_factory=dict)
    hostname: str | None = None
    vendor: str | None = None
    serves_dhcp: bool = False
    dhcp_routers: tuple[str, ...] = ()
    """The routers it told clients of."""
    dhcp_s: float | None = None
    """When it handed out an address last."""
    woke_s: float = 0.0
    """When it was heard again after a silence."""
    present: bool = True
    tx: Sequence[int] = NOTHING
    rx: Sequence[int] = NOTHING
    tx_bps: float = 0.0
    rx_bps: float = 0.0
    tx_fps: float = 0.0
    rx_fps: float = 0.0
    load_s: float = 0.0
    link_bps: int | None = None
    published_s: float = -math.inf
    changed: bool = True
    restored: bool = False
    """Known from before this process; its first time stays whatever this clock does."""


class Admission:
    """The devices and the candidates, both bounded."""

    def __init__(
        self,
        *,
        max_devices: int,
        pinned: Iterable[bytes] = (),
        entered: Callable[[Entry], None] = lambda _: None,
        left: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        """Make an empty one.

        Args:
            max_devices: how many devices there may be.
            pinned: who never leaves.
            entered: is told of each candidate that became a device.
            left: is told of each device that left.

        """
        self._max_devices = max_devices
        self._configured = frozenset(pinned)
        self._answering: set[bytes] = set()
        self._entered = entered
        self._left = left
        self.devices: dict[bytes, Entry] = {}
        self.candidates: dict[bytes, Entry] = {}
        self.changed = True
        """The set of devices changed since this was last set to False."""

    @property
    def is_full(self) -> bool:
        """There is no room for another device."""
        return len(self.devices) >= self._max_devices

    def is_configured(self, mac: bytes) -> bool:
        """Tell whether a device never leaves because the settings say so."""
        return mac in self._configured

    def pin(self, mac: bytes) -> None:
        """Keep a device that answers pings."""
        if len(self._answering) < _MAX_PINNED:
            self._answering.add(mac)

    def by_importance(self) -> list[bytes]:
        """Return the devices that must keep counters of their own, the most important first."""
        pinned = [*self._configured, *self._answering]
        known = sorted(self.devices.values(), key=lambda one: (not one.ips, one.first_s))
        return list(dict.fromkeys([*pinned, *(one.mac for one in known)]))

    def meet(self, mac: bytes, interface: str, at_s: float) -> Entry:
        """Return the entry of a MAC that is no device yet; it may become one by this."""
        entry = self.candidates.get(mac)
        if entry is None:
            if len(self.candidates) >= MAX_CANDIDATES:
                self._drop_candidates(at_s)
            entry = self.candidates[mac] = Entry(mac, interface, at_s, at_s)
        elif at_s - entry.first_s >= CONFIRM_S:
            self._admit(entry)
        return entry

    def _drop_candidates(self, at_s: float) -> None:
        """Make room for half of them: those not seen lately go, then the newest.

        At least half at a time, so that a flood does not make each newcomer look at all of them.
        """
        old = [mac for mac, one in self.candidates.items() if at_s - one.last_s > CONFIRM_S * 2]
        for mac in old:
            del self.candidates[mac]
        for mac in list(self.candidates)[MAX_CANDIDATES // 2 :]:
            del self.candidates[mac]

    def _admit(self, entry: Entry) -> None:
        """Make a candidate a device, if there is room or somebody less certain leaves."""
        if self.is_full:
            if not entry.ips and entry.mac not in self._configured | self._answering:
                return  # the newcomer is the newest without an address itself
            victim = self._least_certain()
            if victim is None:
                return
            self.evict(victim)
        self.candidates.pop(entry.mac, None)
        entry.confirmed = True
        self.devices[entry.mac] = entry
        self._entered(entry)
        self.changed = True

    def _least_certain(self) -> Entry | None:
        """Return who leaves where there is no room: the newest without an address.

        Where all have one, the newest of those that are absent: a burst of invented addresses,
        each with an ARP frame or two, must not keep every newcomer out for a week.
        """
        kept = self._configured | self._answering
        leaving = [one for one in self.devices.values() if one.mac not in kept]
        uncertain = [one for one in leaving if not one.ips]
        absent = [one for one in leaving if not one.present]
        return max(uncertain or absent, key=lambda one: one.first_s, default=None)

    def evict(self, entry: Entry) -> None:
        """Let a device leave."""
        del self.devices[entry.mac]
        self._left(entry)
        self.changed = True
