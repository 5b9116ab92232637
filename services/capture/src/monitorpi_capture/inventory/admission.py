"""Who is in the inventory: candidates, devices, and who leaves where there is no room. Pure.

Theory of operation. A MAC that sends is a *candidate*, and a *device* when it sent again at least
:data:`CONFIRM_S` later. Anybody can send from any address, so room is given by what a MAC has
shown of itself, its :class:`Standing`; each step costs a forger more:

- ``UNPROVEN``: it sent.
- ``LASTING``: it sent in :data:`LASTS` different minutes. Where these and the unproven are many,
  those leave that have been silent for longer than they were here, :data:`SILENT_S` at least.
- ``TALKING``: in :data:`TALKS` windows it sent IP packets and was sent some by others.
- ``KEPT``: it answers our own pings, or the settings name it. It never leaves.

In a full inventory who has shown more takes the place of who has shown less, the newest first. Of
its own kind it takes only that of somebody who is absent and came within :data:`YOUNG_S`: devices
that are known for long and out keep theirs. (Of the unproven those without an address leave for one
that has shown one.) Who does what must be looked at (:mod:`.suspects`) has a place at once; there
are few of those. Who finds no room is counted and stays a candidate.

Candidates are bounded too: those that never came back leave first, then those nobody talks to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Final

from monitorpi_capture.inventory.suspects import Suspects
from monitorpi_capture.items import COLUMN, CONFIRM_S, WIDTH
from monitorpi_common.messages import Marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitorpi_capture.inventory.serving import Serving
    from monitorpi_capture.inventory.suspects import Cause
    from monitorpi_capture.items import MacCounts
    from monitorpi_common.messages import Role

UNMARKED: Final = Marks()
MAX_MARKED: Final = 1024
"""Devices that people said something of."""
MAX_CANDIDATES: Final = 8192
LASTS: Final = 5
"""Different minutes in which a MAC sent, from which it is no passing frame's."""
TALKS: Final = 3
"""Windows with IP packets both ways. ARP does not count: every host answers whoever asks."""
SILENT_S: Final = 120.0
"""Nobody is taken for gone sooner."""
YOUNG_S: Final = 3600.0
"""A device known for longer gives its place to nobody of its own standing."""
_FEWEST_PASSING: Final = 64
"""As many stay however silent: an ordinary LAN has no more of them."""
_LEAVE_AT_ONCE: Final = 100
"""As many are taken back in a turn as are published: see ``feed.PUBLISH_AT_ONCE``."""
_MAX_PINNED: Final = 4096
_CAME_BACK_S: Final = 1.0
_STALE_CANDIDATE_S: Final = 2 * CONFIRM_S
_SCANNED: Final = 256
"""Places looked at for an absent one: a newcomer must not cost a walk through all."""
_IPV4: Final = COLUMN["ipv4"]
_IPV6: Final = COLUMN["ipv6"]
_MINUTE_S: Final = 60.0
NOTHING: Final = (0,) * WIDTH
"""Shared by all who sent nothing yet: thousands of candidates never will again."""


class Standing(IntEnum):
    """What a MAC has shown of itself."""

    UNPROVEN = 0
    LASTING = 1
    TALKING = 2
    KEPT = 3


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
    serving: Serving | None = None
    """What it sends clients to, if it is a DHCP server."""
    dhcp_s: float | None = None
    """When it handed out an address last."""
    woke_s: float = 0.0
    """When it sent again after a silence."""
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
    minutes: int = 0
    """Different minutes in which it sent."""
    minute: int = -1
    talks: int = 0
    """Windows with IP packets both ways."""
    refused: bool = False
    marks: Marks = UNMARKED


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
            entered: is called for each candidate that became a device.
            left: is called for each device that left.

        """
        self._suspects = Suspects(max_devices)
        self._most = max_devices
        self._configured = frozenset(pinned)
        self._marked: dict[bytes, Marks] = {}
        """What people said of devices: those never leave either."""
        self._answering: dict[bytes, None] = {}
        self._entered = entered
        self._left = left
        self._by: tuple[dict[bytes, Entry], ...] = ({}, {}, {}, {})
        """The devices by standing, each in the order they came."""
        self.devices: dict[bytes, Entry] = {}
        self.candidates: dict[bytes, Entry] = {}
        self.refused_total = 0
        """MACs that would have been devices if there had been room."""
        self.changed = True
        """The set of devices changed since this was last set to False."""

    # --- what is known ------------------------------------------------------------------------

    @property
    def unproven(self) -> int:
        """How many devices have shown nothing but that they send."""
        return len(self._by[Standing.UNPROVEN])

    @property
    def suspects(self) -> int:
        """How many are devices because they must be looked at."""
        return len(self._suspects)

    def is_configured(self, mac: bytes) -> bool:
        """Return whether a device never leaves because people say so."""
        return mac in self._configured or mac in self._marked

    def standing(self, entry: Entry) -> Standing:
        """Return what a MAC has shown of itself."""
        if self.is_configured(entry.mac) or entry.mac in self._answering:
            return Standing.KEPT
        if entry.talks >= TALKS:
            return Standing.TALKING
        return Standing.LASTING if entry.minutes >= LASTS else Standing.UNPROVEN

    def by_importance(self) -> list[bytes]:
        """Return the devices that must keep counters of their own, the most important first.

        Who is absent and has shown nothing needs none: it finds one when it sends.
        """
        present: list[bytes] = []
        absent: list[bytes] = []
        for standing in (Standing.KEPT, Standing.TALKING, Standing.LASTING, Standing.UNPROVEN):
            for mac, entry in self._by[standing].items():
                if entry.present:
                    present.append(mac)
                elif standing is not Standing.UNPROVEN:
                    absent.append(mac)
        pinned = [mac for mac, marks in self._marked.items() if marks.pinned]
        first = [*self._configured, *pinned, *self._suspects]
        return list(dict.fromkeys([*first, *present, *absent]))

    # --- evidence -----------------------------------------------------------------------------

    def observe(self, entry: Entry, row: MacCounts, at_s: float) -> None:
        """Note what a window shows of a MAC that sent something."""
        if entry.talks >= TALKS:
            return
        minute, tx, rx = int(at_s // _MINUTE_S), row.tx, row.rx
        if minute != entry.minute:
            entry.minute = minute
            entry.minutes += 1
            if entry.minutes == LASTS:
                self._sort(entry)
        if rx and (tx[_IPV4] or tx[_IPV6]) and (rx[_IPV4] or rx[_IPV6]):
            entry.talks += 1
            if entry.talks == TALKS:
                self._sort(entry)

    def pin(self, mac: bytes) -> None:
        """Keep a device that answers pings."""
        known = mac in self._answering
        self._answering.pop(mac, None)
        self._answering[mac] = None
        if known:
            return
        if len(self._answering) > _MAX_PINNED:
            longest = next(iter(self._answering))
            del self._answering[longest]
            self._sort(self.devices.get(longest))
        self._sort(self.devices.get(mac))

    def mark(self, entry: Entry, marks: Marks) -> bool:
        """Note what people say of a device; False: of too many they said something already."""
        has_marks = marks != UNMARKED
        if has_marks and entry.mac not in self._marked and len(self._marked) >= MAX_MARKED:
            return False
        self._marked.pop(entry.mac, None)
        if has_marks:
            self._marked[entry.mac] = marks
        entry.marks = marks if has_marks else UNMARKED
        entry.changed = self.changed = True
        self._sort(entry)
        return True

    def _sort(self, entry: Entry | None) -> None:
        """Put a device among those of its standing."""
        if entry is None or not entry.confirmed:
            return
        standing = self.standing(entry)
        if entry.mac in self._by[standing]:
            return
        for group in self._by:
            group.pop(entry.mac, None)
        self._by[standing][entry.mac] = entry

    # --- who enters ---------------------------------------------------------------------------

    def candidate(self, mac: bytes, interface: str, at_s: float) -> Entry:
        """Return the entry of a MAC that is no device yet; it may become one by this."""
        entry = self.candidates.get(mac)
        if entry is None:
            if len(self.candidates) >= MAX_CANDIDATES:
                self._drop_candidates(at_s)
            entry = self.candidates[mac] = Entry(mac, interface, at_s, at_s)
        elif at_s - entry.first_s >= CONFIRM_S:
            self._admit(entry, at_s)
        return entry

    def _drop_candidates(self, at_s: float) -> None:
        """Make room for half of them, so that a flood's newcomers do not each look at all."""

        def worth(entry: Entry) -> tuple[bool, bool, bool, float]:
            fresh = at_s - entry.last_s <= _STALE_CANDIDATE_S
            came_back = entry.last_s - entry.first_s >= _CAME_BACK_S
            return fresh and entry.talks > 0, fresh and came_back, fresh, -entry.first_s

        ordered = sorted(self.candidates.values(), key=worth, reverse=True)
        for entry in ordered[MAX_CANDIDATES // 2 :]:
            del self.candidates[entry.mac]

    def _admit(self, entry: Entry, at_s: float) -> None:
        """Make a candidate a device, if there is room or somebody who has shown less leaves."""
        if self._make_room(self.standing(entry), at_s, has_address=bool(entry.ips)):
            self._enter(entry)
        else:
            self._refuse(entry)

    def _refuse(self, entry: Entry) -> None:
        self.refused_total += not entry.refused
        entry.refused = True

    def restore(self, entry: Entry, *, lasting: bool, talking: bool) -> bool:
        """Take back a device of before a restart, with what it had shown; False: no room."""
        entry.minutes = LASTS if lasting else entry.minutes
        entry.talks = TALKS if talking else entry.talks
        if not self._make_room(self.standing(entry), entry.last_s):
            self.refused_total += 1
            return False
        self._enter(entry)
        return True

    def look_at(self, entry: Entry, cause: Cause, at_s: float) -> None:
        """Give who must be looked at a place at once; there are few, and few come a second."""
        if entry.confirmed and self.standing(entry) > Standing.LASTING:
            return
        freed = self._suspects.add(entry.mac, cause, at_s, is_device=entry.confirmed)
        for mac in freed or ():
            before = self.devices.get(mac)
            if before is not None and self.standing(before) is Standing.UNPROVEN:
                self.evict(before)
        if entry.confirmed:
            return
        if freed is not None and self._make_room(Standing.KEPT, at_s):
            self._enter(entry)
        else:
            self._suspects.remove(entry.mac)
            self._refuse(entry)

    def _enter(self, entry: Entry) -> None:
        self.candidates.pop(entry.mac, None)
        entry.confirmed = True
        self.devices[entry.mac] = entry
        self._sort(entry)
        self._entered(entry)
        self.changed = True

    # --- who leaves ---------------------------------------------------------------------------

    def _make_room(self, standing: Standing, at_s: float, *, has_address: bool = True) -> bool:
        """Return whether there is room for one more of this standing; somebody may leave for it."""
        if len(self.devices) < self._most:
            return True
        victim = self._weakest(standing, at_s, has_address=has_address)
        if victim is None:
            return False
        self.evict(victim)
        return True

    def _weakest(self, standing: Standing, at_s: float, *, has_address: bool) -> Entry | None:
        """Return who leaves for somebody of this standing, None: nobody."""
        for weaker in (Standing.UNPROVEN, Standing.LASTING, Standing.TALKING):
            if weaker > standing:
                break
            newest = [
                one
                for mac in islice(reversed(self._by[weaker]), _SCANNED)
                if mac not in self._suspects
                for one in (self._by[weaker][mac],)
            ]
            absent = [one for one in newest if not one.present]
            if weaker < standing:
                victims = absent or newest
            else:
                victims = [one for one in absent if at_s - one.first_s < YOUNG_S]
            if not victims and weaker is Standing.UNPROVEN and has_address:
                victims = [one for one in newest if not one.ips]
            if victims:
                return victims[0]
        return None

    def expire(self, at_s: float) -> None:
        """Let some leave that nobody talks to and are silent, where they are many."""
        self._suspects.expire(at_s)
        passing = [*self._by[Standing.LASTING].values(), *self._by[Standing.UNPROVEN].values()]
        most = min(len(passing) - _FEWEST_PASSING, _LEAVE_AT_ONCE)
        if most <= 0:
            return
        silent = (
            one
            for one in reversed(passing)
            if at_s - one.last_s > max(SILENT_S, one.last_s - one.first_s)
            and one.mac not in self._suspects
        )
        for one in list(islice(silent, most)):
            self.evict(one)

    def evict(self, entry: Entry) -> None:
        """Take a device out of the inventory; its topic is taken back."""
        del self.devices[entry.mac]
        for group in self._by:
            group.pop(entry.mac, None)
        self._suspects.remove(entry.mac)
        self._left(entry)
        self.changed = True
