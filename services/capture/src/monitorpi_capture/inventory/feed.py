"""Which devices are published now, and which are taken back. Pure.

Theory of operation. A device is published at once when something about it changes, at most once per
:data:`SETTLE_S`, and else once per :data:`REFRESH_S` while it is seen. A claim of what another
device holds does not wait, and stands in the messages of both: the holder is known, whoever the
claimant is. Where more is due than one turn publishes, the next turn goes on there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.text import mac_text
from monitorpi_capture.inventory.admission import UNMARKED
from monitorpi_capture.inventory.devicemessage import device_message
from monitorpi_common.messages import Device, Publication, Tombstone
from monitorpi_common.topics import mac_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.inventory.admission import Admission, Entry
    from monitorpi_capture.inventory.asking import Asking
    from monitorpi_capture.inventory.denials import Denials
    from monitorpi_capture.inventory.topology import Topology

SETTLE_S: Final = 5.0
REFRESH_S: Final = 60.0
RENEW_S: Final = 86400.0
"""A device that people said something of is published at least so often, however long it is away:
its retained message would expire."""
FORGET_S: Final = 7 * 86400.0
"""A device absent for so long is taken back, as its retained message would expire."""
AHEAD_S: Final = 60.0
"""A time so far ahead was stamped by a clock that was wrong."""
PUBLISH_AT_ONCE: Final = 100
"""Device messages per turn: a broker queues 1,000 for a slow reader and drops the newest."""


class DeviceFeed:
    """The messages about devices, in turns."""

    def __init__(
        self,
        table: Admission,
        topology: Topology,
        asking: Asking,
        denials: Denials,
        absent_after_s: float,
    ) -> None:
        self._table = table
        self._topology = topology
        self._asking = asking
        self._denials = denials
        self._absent_after_s = absent_after_s
        self._gone: list[bytes] = []
        self._urgent: dict[bytes, None] = {}
        self._next = 0

    def gone(self, mac: bytes) -> None:
        """Take back the topic of a device that left, with the next turn."""
        self._gone.append(mac)

    def hurry(self, mac: bytes) -> None:
        """Publish a device with the next turn, whatever was published of it before."""
        self._urgent[mac] = None

    def due(self, at_s: float, *, everything: bool) -> Iterator[Publication | Tombstone]:
        """Return the messages of a turn at this time; everything: leave nothing for later."""
        devices = self._table.devices
        self._topology.now_s = at_s
        self._table.expire(at_s)
        yield from self._tombstones()
        room = len(devices) if everything else PUBLISH_AT_ONCE
        for entry in self._hurried():
            if room > 0:
                room -= 1
                yield self._publication(entry, at_s)
        order = list(devices)
        start = self._next if self._next < len(order) else 0
        for number, mac in enumerate((*order[start:], *order[:start])):
            entry = devices[mac]
            self._age(entry, at_s)
            if mac not in devices or not self._is_due(entry, at_s, everything):
                continue
            if room <= 0:
                continue
            room -= 1
            if room == 0:
                self._next = (start + number + 1) % len(order)
            yield self._publication(entry, at_s)
        yield from self._tombstones()

    def _hurried(self) -> list[Entry]:
        """Return the devices that do not wait, and those with a new dispute."""
        urgent, self._urgent = self._urgent, {}
        disputed = self._topology.addresses.urgent
        while disputed:
            urgent[disputed.pop()] = None
        return [self._table.devices[mac] for mac in urgent if mac in self._table.devices]

    def _tombstones(self) -> Iterator[Tombstone]:
        while self._gone:
            yield Tombstone(mac_id(mac_text(self._gone.pop())), Device)

    def _age(self, entry: Entry, at_s: float) -> None:
        """Notice that a device is absent, or gone for good."""
        silent_s = at_s - entry.last_s
        if silent_s < -AHEAD_S:
            entry.last_s, entry.first_s = at_s, min(entry.first_s, at_s)
            entry.published_s = min(entry.published_s, at_s)
        if entry.present and silent_s > self._absent_after_s:
            entry.present = False
            entry.changed = True
        if silent_s > FORGET_S and not self._table.is_configured(entry.mac):
            self._table.evict(entry)

    @staticmethod
    def _is_due(entry: Entry, at_s: float, everything: bool) -> bool:
        since = at_s - entry.published_s
        if since < 0 or everything:  # the clock stepped back
            return entry.changed or entry.last_s > entry.published_s
        if entry.changed:
            return since >= SETTLE_S
        if entry.marks is not UNMARKED and since >= RENEW_S:
            return True
        return since >= REFRESH_S and entry.last_s > entry.published_s

    def _publication(self, entry: Entry, at_s: float) -> Publication:
        """Return the message about a device, whose addresses may end by this."""
        if entry.present:
            self._topology.addresses.end_overdue(entry.mac, at_s)
            self._topology.refresh()
        self._topology.set_role(entry)
        entry.published_s = at_s
        entry.changed = False
        message = device_message(
            entry,
            at_s,
            held=self._topology.addresses.of(entry.mac),
            disputes=self._topology.addresses.disputes(entry.mac, at_s),
            is_router_address=self._topology.is_router_holding,
            advertised=self._topology.routers.advertised(entry.mac, at_s),
            asked=self._asking.of(entry.mac, at_s),
            denied=self._denials.of(entry.mac, at_s),
        )
        return Publication(mac_id(mac_text(entry.mac)), message)
