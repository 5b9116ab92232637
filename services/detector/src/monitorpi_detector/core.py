"""The detector's core: windows, devices, probes and commands in, alerts out.

Theory of operation. Each item becomes a view; the rules yield findings; the alert table turns
findings into alerts; the watermark (the latest end of a window) moves and closes what is quiet.
Time is the windows' own, so that a file and a wire give the same alerts. Live ticks only let it go
on, three seconds behind, while nothing arrives, so that a dead sensor cannot hold an alert open.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from monitorpi_common.messages import Alert, Device, Onset, Probe, Service, Target, Traffic
from monitorpi_common.service import CommandReceived, Presence, Received, Tick
from monitorpi_common.topics import mac_id
from monitorpi_detector.alerts.evidence import Observed, observed_in, whose_limits
from monitorpi_detector.alerts.table import AlertTable
from monitorpi_detector.arrival import ArrivalTime
from monitorpi_detector.commands import Commands
from monitorpi_detector.eventtime import EventTime
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.interfaces import WatchedInterface, WatchedInterfaces
from monitorpi_detector.items import Kept, Override
from monitorpi_detector.learning import Learning
from monitorpi_detector.limits import LimitsTable
from monitorpi_detector.notices import Notices
from monitorpi_detector.rounds import Rounds
from monitorpi_detector.rule import LimitsChange
from monitorpi_detector.rules import DEVICE_RULES, ROUND_RULES, RULES, WATCH_RULES, WINDOW_RULES
from monitorpi_detector.rules.new_device import RULE as NEW_DEVICE
from monitorpi_detector.rules.onset import RULES as ONSET_RULES
from monitorpi_detector.rules.onset import window_of
from monitorpi_detector.rules.slow_target import counts_as
from monitorpi_detector.views.window import WindowView
from monitorpi_detector.views.wires import Wires, added
from monitorpi_detector.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydantic import JsonValue

    from monitorpi_common.messages import Publication, Tombstone
    from monitorpi_detector.rule import Finding, Rule
    from monitorpi_detector.settings import DetectorSettings

LATE: Final = timedelta(seconds=3)
"""Ticks without a window or round move time after so long."""
_LONGEST_TICK_S: Final = 5.0
"""A longer pause between two ticks was our own: what waited meanwhile is still to be read."""

ViewT = TypeVar("ViewT")


class DetectorCore:
    """Judges everything that capture and prober publish."""

    def __init__(
        self,
        site: str,
        settings: DetectorSettings,
        *,
        kept: Kept | None = None,
        keep: Callable[[Kept], None] = lambda _: None,
    ) -> None:
        """Start where the process before us ended.

        Args:
            site: the site, part of every alert's identity.
            settings: the detector's table of the configuration.
            kept: what the process before us kept.
            keep: takes what is to be kept, without blocking.

        """
        kept = kept or Kept()
        self._save_s = settings.save_s
        self._keep = keep
        self._ignore = frozenset(settings.ignore)
        self._limits = LimitsTable(settings.rules, settings.devices)
        for one in kept.overrides:
            self._limits.restore(one.rule, one.mac, one.change)
        self._arrival = ArrivalTime()
        self._time = EventTime(kept.since, kept.watched_s)
        self._inventory = HostInventory()
        self._alerts = AlertTable(site, self._inventory)
        self._alerts.silences.restore(kept.silences)
        self._alerts.habits.restore(kept.usual)
        self._alerts.stories.restore(kept.told)
        self._learning = Learning(self._limits)
        self._learning.devices.restore(kept.rates, kept.watched_s)
        self._learning.targets.restore(kept.probes, kept.watched_s)
        self._interfaces = WatchedInterfaces()
        self._wires = Wires()
        self._notices = Notices(settings, kept)
        usual, habits = self._usual_round, self._alerts.habits
        self._rounds = Rounds(
            self._inventory, kept, settings.learning_s, usual,
            partial(counts_as, usual=usual, limits=self._limits.of_rule, usual_limit=habits.limit),
            self._limits.speaks,
        )  # fmt: skip
        self._watching = Watching()
        self._commands = Commands(self._alerts, self._limits)
        self._saved_at: datetime | None = None
        self._boot_s: float | None = None
        self._idle_s = 0.0
        """Seconds since the last window or round, as ticks count them."""

    # --- items ----------------------------------------------------------------------------------

    def handle(  # noqa: C901 - one line per kind of item
        self, item: object
    ) -> Iterable[Publication | Tombstone]:
        """Take one item and answer with alerts."""
        self._watching.observe(item)
        match item:
            case Received(_, Traffic() as traffic):
                yield from self._window(self._arrival.window(traffic))
            case Received(_, Onset() as onset):
                yield from self._onset(onset)
            case Received(_, Device() as device, retained):
                yield from self._device(device, retained=retained)
            case Received(topic, Probe() as probe):
                yield from self._round(topic.id, self._arrival.round(probe))
            case Received(_, Target() as target):
                self._rounds.see_target(target, self._time.watched_s)
            case Received(_, Alert() as alert, True):
                yield from self._restore(alert)
            case Presence(topic, online) if topic.service == Service.CAPTURE:
                yield from self._status(topic.id, online=online)
            case Presence(topic, False) if topic.service == Service.PROBER:
                yield from self._lose_prober(topic.id)
            case Tick() as tick:
                yield from self._tick(tick)
                yield from self._watch(tick)
            case CommandReceived(_, args):
                yield from self._commands.obey(args, self._time.now)
            case _:
                return

    def close(self) -> Iterable[Publication | Tombstone]:
        """Keep what was learned. Open alerts stay open: the next process takes them up."""
        self._save()
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return the detector's part of the health message."""
        alerts, interfaces = self._alerts, self._interfaces.items()
        return {
            "windows_total": sum(one.windows for _, one in interfaces),
            "windows_lost_total": sum(one.lost for _, one in interfaces),
            "interfaces": {
                name: {"sees_replies": one.sees_replies, "lost": one.lost}
                for name, one in interfaces
            },
            "open": dict(alerts.open_by_rule()),
            "open_alerts": sum(alerts.open_by_rule().values()),
            "opened_total": alerts.opened_total,
            "beyond_limit_total": alerts.overflow_total,
            "held_back_total": alerts.stories.held_back_total,
            "usual": dict(alerts.habits.levels()),
            "silences": {key: until.isoformat() for key, until in alerts.silences.until.items()},
            "baselines": len(self._learning.devices),
            "devices": len(self._inventory),
            "thresholds": self._limits.changed(64),
            "configured_floors": dict(list(self._limits.configured_floors().items())[:128]),
        }

    # --- windows --------------------------------------------------------------------------------

    def _window(self, traffic: Traffic) -> Iterator[Publication | Tombstone]:
        new = self._interfaces.take(traffic, self._time.now)
        if new is None:
            return
        name = traffic.interface
        if new.step:
            self._step_clock(new.step)
        self._time.reach(traffic.end, traffic.window_s)
        self._alerts.saw_window(name, traffic.end)
        if traffic.has_times:  # else no rate can be made of it
            yield from self._judge_rates(traffic, new.interface)
        self._idle_s = 0.0
        yield from self._advance(traffic.end)

    def _judge_rates(
        self, traffic: Traffic, interface: WatchedInterface
    ) -> Iterator[Publication | Tombstone]:
        """Judge a window alone and beside those of other ports, and learn from it."""
        view = self._view(traffic, interface.first_s)
        seen = observed_in(traffic, [traffic.interface], is_part=self._wires.others(traffic))
        yield from self._judge(WINDOW_RULES, view, seen)
        self._learn(view, interface)
        self._note_storms(view.now_s)
        for windows in self._wires.join(view.traffic):
            yield from self._judge_together(windows)

    def _onset(self, onset: Onset) -> Iterator[Publication | Tombstone]:
        """Judge a look at a running window: it raises what is sure, and teaches nothing."""
        interface = self._interfaces.running(onset)
        if interface is not None:
            view = self._view(window_of(onset), interface.first_s, onset=onset)
            seen = partial(observed_in(view.shown, [onset.interface]), length_s=onset.rise_s)
            yield from self._judge(ONSET_RULES, view, seen)

    def _note_storms(self, now_s: float) -> None:
        """Note whose requests are reported as a storm: they are no sweep as well."""
        sweeps = self._inventory.sweeps
        if macs := sweeps.macs:
            opened = set(self._alerts.open_keys())
            for mac in macs:
                if f"arp-storm-{mac_id(mac)}" in opened:
                    sweeps.reported(mac, now_s)

    def _view(
        self, traffic: Traffic, first_s: float, ports: int = 1, onset: Onset | None = None
    ) -> WindowView:
        now_s = traffic.end.timestamp()
        return WindowView(
            traffic, self._inventory, self._learning.devices, now_s, first_s,
            self._time.watched_s, ports, onset,
        )  # fmt: skip

    def _judge_together(self, windows: Sequence[Traffic]) -> Iterator[Publication | Tombstone]:
        """Judge what several mirror ports show of one moment as one wire."""
        together = added(windows, self._limits.levels())
        if together is None:
            return
        names = [one.interface for one in windows]
        first_s = max(self._interfaces[name].first_s for name in names)
        view = self._view(together, first_s, len(names))
        yield from self._judge(WINDOW_RULES, view, observed_in(view.traffic, names))

    def _step_clock(self, by: timedelta) -> None:
        """Take over a clock that was set: what was measured so far moves with it."""
        self._alerts.step_clock(by)
        self._wires.forget()
        if by.total_seconds() < 0:
            self._time.now = self._saved_at = None

    def _judge(
        self, rules: tuple[Rule[ViewT], ...], view: ViewT, observed: Callable[..., Observed]
    ) -> Iterator[Publication | Tombstone]:
        """Hand a view to each rule that is on, and its findings to the alert table."""
        for rule in rules:
            base = self._limits.of(rule.name, None)
            if not base.enabled and not self._limits.has_devices(rule.name):
                continue
            for finding in rule.judge(view, self._limits.of_rule(rule.name)):
                limits = self._limits.of(rule.name, whose_limits(finding))
                if limits.enabled and not self._ignored(finding):
                    seen = observed(rule=rule.name, kind=rule.kind, watched_s=self._time.watched_s)
                    yield from self._alerts.consider(finding, limits, seen)

    def _ignored(self, finding: Finding) -> bool:
        macs = {peer.mac for peer in finding.sources or finding.victims}
        return bool(macs) and macs <= self._ignore

    def _learn(self, view: WindowView, interface: WatchedInterface) -> None:
        """Learn who forwards and what is usual."""
        syn_floor = self._limits.of("syn-flood", None).floor
        self._inventory.see_window(view.traffic, view.now_s, syn_floor / 4)
        self._learning.learn_window(view, interface, self._alerts.involved(), self._time.watched_s)

    def _status(self, instance: str, *, online: bool) -> Iterator[Publication | Tombstone]:
        """Note a sensor's status: the last one to go takes every alert's eyes with it."""
        if self._interfaces.status(instance, online=online):
            yield from self._alerts.lose_sensor()
            self._wires.forget()

    # --- devices and probes ---------------------------------------------------------------------

    def _device(self, device: Device, *, retained: bool) -> Iterator[Publication | Tombstone]:
        self._inventory.see_device(device)
        if self._time.now is None and retained:
            return  # it is of the past; without a window there is no telling how long past
        at = self._time_of(device)
        view = self._notices.view(device, at, self._time.watched_s)
        observed = partial(
            Observed, at=at, span_s=60.0, interface=device.interface, lives_by_windows=False,
        )  # fmt: skip
        yield from self._judge(DEVICE_RULES, view, observed)
        if not self._notices.dhcp_servers.knows(
            device.mac
        ):  # they try an address before they offer it
            self._inventory.sweeps.see(device)

    def _time_of(self, device: Device) -> datetime:
        """Return when a message about a device was made, or the latest thing in it happened.

        Windows and rounds move time, messages about devices never do: one stamped by a clock that
        was wrong would.
        """
        at = max([device.last_seen, *(one.last for one in device.conflicts)])
        return at if self._time.now is None else min(at, self._time.now + LATE)

    def _round(self, prober: str, probe: Probe) -> Iterator[Publication | Tombstone]:
        time = self._time
        time.reach(probe.round_end)
        self._inventory.see_probe(prober, probe, probe.round_end.timestamp())
        self._alerts.see_round(probe.round_start)
        view, since_s = self._rounds.view(prober, probe, time.watched_s)
        observed = partial(
            Observed, at=probe.round_end, span_s=min(3600.0, max(1.0, since_s)),
            length_s=max(0.0, (probe.round_end - probe.round_start).total_seconds()),
            lives_by_windows=False,
        )  # fmt: skip
        yield from self._judge(ROUND_RULES, view, observed)
        self._learning.learn_round(view, self._alerts.involved(), time.watched_s)
        self._idle_s = 0.0
        yield from self._advance(probe.round_end)

    def _usual_round(self, address: str, measure: str) -> float | None:
        return self._learning.targets.of(address, measure, self._time.watched_s)

    def _lose_prober(self, instance: str) -> Iterator[Publication | Tombstone]:
        if self._rounds.lose(instance) and self._time.now is not None:
            for rule in ROUND_RULES:
                yield from self._alerts.end_rule(rule.name, self._time.now, "sensor-lost")

    # --- time -----------------------------------------------------------------------------------

    def _advance(self, to: datetime) -> Iterator[Publication | Tombstone]:
        yield from self._alerts.advance(to)
        if self._saved_at is None:
            self._saved_at = to
        elif (to - self._saved_at).total_seconds() >= self._save_s:
            self._saved_at = to
            self._save()

    def _tick(self, tick: Tick) -> Iterator[Publication | Tombstone]:
        """Let time go on from the last window or round, by a clock that never steps.

        Late windows hold it back with them; only silence moves it, while there is a broker.
        """
        if step := self._interfaces.move(self._arrival.tick(tick, self._time.now)):
            self._step_clock(step)
        if self._commands.changed:  # kept with the next tick: many commands are one write
            self._save()
        passed_s = min(max(0.0, tick.boot_s - (self._boot_s or tick.boot_s)), _LONGEST_TICK_S)
        self._boot_s = tick.boot_s
        if tick.broker is not None:
            return
        self._idle_s += passed_s
        if self._alerts.watermark is None:
            yield from self._advance((self._time.now or tick.at) - LATE)
        elif self._idle_s > LATE.total_seconds():
            passed_s = min(passed_s, self._idle_s - LATE.total_seconds())
            yield from self._advance(self._alerts.watermark + timedelta(seconds=passed_s))

    def _watch(self, tick: Tick) -> Iterator[Publication | Tombstone]:
        """Conclude whether anybody watches, and judge the sensor itself."""
        yield from self._watching.tick(tick, self._time.now)
        observed = partial(
            Observed, at=self._alerts.watermark or tick.at, span_s=1.0, lives_by_windows=False,
        )  # fmt: skip
        yield from self._judge(WATCH_RULES, self._watching.facts, observed)

    # --- restarts -------------------------------------------------------------------------------

    def _restore(self, alert: Alert) -> Iterator[Publication | Tombstone]:
        """Take up a retained alert of the process before us; our own come back as well."""
        rule = alert.rule
        if rule in RULES:
            quiet_s = self._limits.of(rule, whose_limits(alert.evidence)).quiet_s
            yield from self._alerts.restore(alert, RULES[rule].kind, quiet_s)
            self._rounds.resume(alert)
        if rule == NEW_DEVICE.name:
            self._notices.resume(peer.mac for peer in alert.evidence.sources)

    def _save(self) -> None:
        self._commands.changed = False
        watched_s = self._time.watched_s
        self._keep(
            Kept(
                since=self._time.since,
                watched_s=round(watched_s, 1),
                overrides=[
                    Override(rule=rule, mac=mac, change=LimitsChange(**dict(change)))
                    for (rule, mac), change in self._limits.overrides.items()
                ],
                silences=self._alerts.silences.until,
                macs=self._notices.macs,
                dhcp_servers=self._notices.dhcp_servers.learned,
                dhcp_said=self._notices.dhcp_servers.statements,
                routers=self._notices.routers.learned,
                routers_said=self._notices.routers.statements,
                shared=self._notices.conflicts.shared,
                stays=self._rounds.stays.saved(),
                rounds_since_s=self._rounds.stays.began_s,
                usual=self._alerts.habits.saved(),
                told=self._alerts.stories.saved(watched_s),
                rates=self._learning.devices.saved(),
                probes=self._learning.targets.saved(),
            )
        )
