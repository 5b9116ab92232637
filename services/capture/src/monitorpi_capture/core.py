"""The capture service's core: windows in, traffic messages and devices out. Pure.

Theory of operation. An engine's windows come in one per interface and second. Each becomes one
traffic message with a number (``seq``) and the totals since the epoch began. A new epoch begins
when the wall clock steps against the boot-time clock (a file: when its times go back) and when a
person says ``reset``: totals and numbers begin anew, so that a reader never subtracts across it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import add
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitorpi_capture.count.copies import CopyMeter
from monitorpi_capture.count.copyevidence import CopyReport
from monitorpi_capture.count.listing import listed, rfc3339, snapshots
from monitorpi_capture.count.onsetmessage import onset_message
from monitorpi_capture.count.senders import KnownSenders
from monitorpi_capture.inventory.devices import Inventory
from monitorpi_capture.inventory.stamps import Stamps, stamped
from monitorpi_capture.items import (
    BYTES,
    COLUMN,
    FIRST_CLASS,
    PACKETS,
    WIDTH,
    EngineReport,
    FrameSample,
    ListenerReport,
    OnsetCounts,
    PacketLine,
    Sighting,
    WindowCounts,
    counts_by_name,
)
from monitorpi_common.clocksteps import STEP_S, ClockSteps
from monitorpi_common.messages import (
    CLASSES,
    Args,
    Device,
    Mark,
    Packet,
    Publication,
    Reset,
    Target,
    Tombstone,
    Watch,
)
from monitorpi_common.service import CommandReceived, CommandRefusedError, Received, Tick
from monitorpi_common.topics import mac_id, slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydantic import JsonValue

    from monitorpi_capture.settings import CaptureSettings

NOT_LOST: Final = "rx_dropped"
"""Told but not summed: the stack raises it for frames without a receiver, which the tap has seen
(net/core/dev.c, __netif_receive_skb_core), and again for those that softnet counts."""
_GROUP: Final = 0x01
_SYN: Final = COLUMN["syn"]
_SYN_ACK: Final = COLUMN["syn_ack"]
_TCP: Final = COLUMN["tcp"]
_RST: Final = COLUMN["rst"]


class _Replies:
    """Learns whether both directions of conversations are on this port.

    A MAC that in one window sent SYNs and was sent SYN-ACKs (or the other way round) shows that
    they are. A MAC in the middle of TCP connections (neither SYN nor RST) that is sent no TCP at
    all shows that they are not: TCP acknowledges. It takes :data:`ENOUGH` windows of the second
    and none of the first to say no.
    """

    ENOUGH: Final = 10
    FRAMES: Final = 20
    """TCP frames in a window before their silence counts: a receiver acknowledges every second."""

    def __init__(self) -> None:
        self._answered = 0
        self._unanswered = 0

    def learn(self, rows: Iterable[Any]) -> bool | None:
        """Look at one window and return what is known now."""
        answered = unanswered = False
        for row in rows:
            tx, rx = row.tx, row.rx
            if not tx or not tx[_TCP]:
                continue
            if rx and ((tx[_SYN] and rx[_SYN_ACK]) or (tx[_SYN_ACK] and rx[_SYN])):
                answered = True
                break
            if tx[_TCP] - tx[_SYN] - tx[_RST] >= self.FRAMES and not (rx and rx[_TCP]):
                unanswered = True
        if answered:
            self._answered, self._unanswered = 1, 0
        elif unanswered:
            self._unanswered += 1
        if self._unanswered >= self.ENOUGH:
            self._answered = 0
        return self.known

    @property
    def known(self) -> bool | None:
        """What the windows so far show."""
        if self._answered:
            return True
        return False if self._unanswered >= self.ENOUGH else None


@dataclass(slots=True)
class _PortState:
    """Number, totals and clock of one interface in this epoch."""

    seq: int = 0
    totals: list[int] = field(default_factory=lambda: [0] * WIDTH)
    replies: _Replies = field(default_factory=_Replies)
    end_s: float | None = None
    clock: ClockSteps = field(default_factory=ClockSteps)
    copies: CopyReport = field(default_factory=CopyReport)
    """As its last window had them."""

    def stepped(self, window: WindowCounts) -> bool:
        """Return whether the clock was set since the last window, and remember this one."""
        end_s, self.end_s = self.end_s, window.end.wall_s
        if window.end.boot_s is None:
            back_s = 0.0 if end_s is None else end_s - window.start.wall_s
            return back_s > STEP_S
        return self.clock.compare(window.end.wall_s, window.end.boot_s) != 0.0


class Steering(Protocol):
    """What the core asks of the live source."""

    def watch(self, order: Watch) -> None:
        """Show packet lines for a while."""
        ...

    def pin(self, macs: Sequence[bytes]) -> None:
        """Keep counters for these MACs, the most important first."""
        ...


class CaptureCore:
    """Windows and sightings in; traffic messages, devices and packet lines out."""

    def __init__(
        self,
        epoch: str,
        settings: CaptureSettings,
        *,
        steering: Steering | None = None,
        clock_synced: bool = False,
        vendor: Callable[[bytes], str | None] = lambda _: None,
    ) -> None:
        """Make a core.

        Args:
            epoch: the id of the first epoch.
            settings: the service's table.
            steering: the live source; None: a file is read.
            clock_synced: what is known of the clock before the first tick.
            vendor: names the maker of a MAC's card.

        """
        self._first_epoch = epoch
        self._epoch = epoch
        self._epochs = 0
        self._settings = settings
        self._steering = steering
        self._clock_synced = clock_synced
        self._ticking = False
        self._ports: dict[str, _PortState] = {}
        self._known = KnownSenders()
        self._inventory = Inventory(
            max_devices=settings.max_devices,
            absent_after_s=settings.absent_after_s,
            pinned=[bytes.fromhex(mac_id(mac)) for mac in settings.pinned_macs],
            vendor=vendor,
        )
        self._report: EngineReport | None = None
        self._copies = CopyMeter()
        self._listener = ListenerReport(0, 0)
        self._lines = 0
        self._merged = 0
        self._at_s = 0.0
        self._stamps = Stamps()

    def handle(  # noqa: C901 - one line per kind of item
        self, item: object
    ) -> Iterable[Publication | Tombstone]:
        """Take one item of a source or the bus and return what is published because of it."""
        match item:
            case WindowCounts():
                return self._window(item)
            case OnsetCounts():
                return self._onset(item)
            case Sighting():
                self._inventory.learn(stamped(item, self._at_s) if self._ticking else item)
            case FrameSample():
                self._copies.take(item)
            case PacketLine():
                return self._packet(item)
            case Tick():
                return self._tick(item)
            case EngineReport():
                self._report = item
            case ListenerReport():
                self._listener = item
            case Received(message=Device() as device, retained=True):
                self._inventory.restore(device)
            case Received(message=Target(state="up", mac=str() as mac)):
                self._inventory.pin(bytes.fromhex(mac_id(mac)))
            case CommandReceived():
                return self._obey(item.args)
            case _:
                pass
        return ()

    def _obey(self, args: Args) -> Iterable[Publication | Tombstone]:
        """Do what people ask for."""
        match args:
            case Reset():
                self._begin_epoch()
            case Watch():
                self._watch(args)
            case Mark():
                return self._mark(args)
            case _:
                pass
        return ()

    def close(self) -> Iterable[Publication | Tombstone]:
        """Publish the devices a file showed; live, the retained ones stand."""
        return (
            self._inventory.publish(self._at_s, everything=True) if self._steering is None else ()
        )

    def detail(self) -> dict[str, JsonValue]:
        """Return what counts, what does not, and how large the inventory is."""
        detail: dict[str, JsonValue] = {
            "epoch": self._epoch,
            "devices": len(self._inventory),
            "candidates": self._inventory.candidates,
            "devices_unproven": self._inventory.unproven,
            "devices_refused_total": self._inventory.refused_total,
            "merged_total": self._merged,
            "inventory_dropped_total": self._listener.dropped_total,
            "inventory_undissected_total": self._listener.undissected_total,
        }
        if self._report is not None:
            detail["engine"] = self._report.engine
            detail["engines_refused"] = dict(self._report.refused)
            detail["interfaces_away"] = dict(self._report.away)
            detail["interfaces"] = list(self._report.interfaces)
        return detail

    def _watch(self, watch: Watch) -> None:
        if self._steering is None:
            raise CommandRefusedError("a capture file is read: there is nothing to watch")
        if watch.class_ is not None and watch.class_ not in CLASSES:
            raise CommandRefusedError(f"there is no class {watch.class_!r}: {', '.join(CLASSES)}")
        self._steering.watch(watch)

    def _mark(self, mark: Mark) -> Iterable[Publication | Tombstone]:
        """Note what somebody says of a device, and publish it."""
        marks = mark.model_dump(exclude_none=True, exclude={"mac"})
        refusal = self._inventory.mark(bytes.fromhex(mac_id(mark.mac)), marks)
        if refusal is not None:
            raise CommandRefusedError(refusal)
        return self._inventory.publish(self._at_s)

    def _begin_epoch(self) -> None:
        self._epochs += 1
        self._epoch = f"{self._first_epoch}-{self._epochs}"
        self._known.clear()
        self._inventory.forget_totals()
        self._lines = 0
        for port in self._ports.values():
            port.seq = 0
            port.totals = [0] * WIDTH

    def _tick(self, tick: Tick) -> Iterable[Publication | Tombstone]:
        self._clock_synced, self._ticking = tick.clock_synced, True
        if self._stamps.is_stale(tick.boot_s):
            self._follow(tick.at.timestamp(), tick.boot_s)
        self._at_s = self._stamps.at(tick.boot_s)
        if self._inventory.changed and self._steering is not None:
            self._inventory.changed = False
            self._steering.pin(self._inventory.by_importance())
        return self._inventory.publish(self._at_s)

    def _follow(self, wall_s: float, boot_s: float) -> None:
        """Take the time; where the clock was set, the inventory's times move with it."""
        if step_s := self._stamps.follow(wall_s, boot_s):
            self._inventory.shift(step_s)

    def _packet(self, line: PacketLine) -> Iterator[Publication]:
        number, self._lines = self._lines, self._lines + 1
        yield Publication(
            slug(line.interface),
            Packet(
                epoch=self._epoch,
                seq=number,
                at=datetime.fromtimestamp(line.at_s, UTC),
                line=line.line,
                mac_src=line.mac_src,
                mac_dst=line.mac_dst,
                ip_src=line.ip_src,
                ip_dst=line.ip_dst,
                length=line.length,
            ),
        )

    # --- traffic ------------------------------------------------------------------------------

    def _window(self, window: WindowCounts) -> Iterator[Publication | Tombstone]:
        port = self._ports.setdefault(window.interface, _PortState())
        start_s = window.start.wall_s
        if port.stepped(window):
            if window.end.boot_s is not None:
                start_s = window.end.wall_s - window.length_s
            self._begin_epoch()
            for one in self._ports.values():
                one.end_s, one.clock = None, ClockSteps()
            port.stepped(window)
        if window.end.boot_s is not None:
            self._follow(window.end.wall_s, window.end.boot_s)
        self._at_s = window.end.wall_s
        self._merged += window.merged
        self._inventory.count(window)
        port.totals = list(map(add, port.totals, window.wire))
        shown = port.copies = self._copies.report(window.interface)
        devices, omitted = listed(
            window,
            self._settings.reporting_level,
            self._settings.listed_devices,
            self._inventory.role,
            shown.devices,
        )
        senders, unknown = self._senders(window)
        head: dict[str, Any] = {
            "epoch": self._epoch,
            "seq": port.seq,
            "start": rfc3339(start_s),
            "end": rfc3339(window.end.wall_s),
            "window_s": round(window.length_s, 6),
            "clock_synced": self._clock_synced,
            "interface": window.interface,
            "link_bps": window.link_bps,
            "has_link": window.has_link,
            "engine": window.engine,
            "packets": window.wire[PACKETS],
            "bytes": window.wire[BYTES],
            "kernel_drops": sum(lost for at, lost in window.losses.items() if at != NOT_LOST),
            "losses": {name: lost for name, lost in window.losses.items() if lost},
            "counts": counts_by_name(window.wire, FIRST_CLASS),
            "totals": counts_by_name(port.totals),
            "sees_replies": port.replies.learn(window.rows),
            "spread": window.spread._asdict() if window.spread else None,
            "source_macs": senders,
            "new_macs": unknown,
            **shown.fields,
            "late_syn": window.late_syn,
        }
        port.seq += 1
        wire, whole = snapshots(head, omitted, devices, has_times=window.has_times)
        yield Publication(slug(window.interface), whole)
        if self._steering is not None:  # who reads a file's windows reads each once
            yield Publication(slug(window.interface), wire)
        if not self._ticking and not window.last_s:  # with those there is nothing new to publish
            yield from self._inventory.publish(self._at_s)

    def _onset(self, onset: OnsetCounts) -> Iterator[Publication]:
        """Publish a look at a window that still runs."""
        name = onset.window.interface
        port = self._ports.setdefault(name, _PortState())
        known: dict[str, Any] = {
            "epoch": self._epoch,
            "seq": port.seq,
            "clock_synced": self._clock_synced,
            "sees_replies": port.replies.known,
        }
        yield Publication(
            slug(name), onset_message(onset, known, self._inventory.role, port.copies)
        )

    def _senders(self, window: WindowCounts) -> tuple[int, int]:
        """Return how many MACs sent something, and how many of them were unknown of late."""
        senders = [row.mac for row in window.rows if row.tx]
        unknown = self._known.learn(senders)
        beyond = max(window.source_macs - len(senders), 0)
        return len(senders) + beyond, unknown + beyond
