"""The detector's core: windows, devices, probes and orders in, alerts out.

Theory of operation. Each item becomes a view; the rules yield findings; the alert book turns
findings into alerts; the watermark (the latest end of a window) moves and closes what is quiet.
Time is the windows' own, so that a file and a wire give the same alerts. Live ticks only let it go
on, three seconds behind, while nothing arrives, so that a dead sensor cannot hold an alert open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from monitorpi_common.messages import (
    CLASSES,
    Acknowledge,
    Alert,
    Device,
    Probe,
    Service,
    SetThreshold,
    Silence,
    Target,
    Traffic,
)
from monitorpi_common.service import CommandRefusedError, Order, Presence, Received, Tick
from monitorpi_common.topics import mac_id
from monitorpi_detector.alerts.evidence import Observed, whose_limits
from monitorpi_detector.alerts.table import AlertBook
from monitorpi_detector.baseline import Baseline
from monitorpi_detector.bounded import Bounded
from monitorpi_detector.hosts.conflicts import Conflicts
from monitorpi_detector.hosts.inventory import Inventory
from monitorpi_detector.hosts.servers import Servers, Stranger, statements_of
from monitorpi_detector.items import Kept, Override
from monitorpi_detector.rule import Change
from monitorpi_detector.rules import DEVICE_RULES, ROUND_RULES, RULES, WATCH_RULES, WINDOW_RULES
from monitorpi_detector.settings import DetectorSettings, LimitsError, LimitsTable
from monitorpi_detector.targets.outage import Outages
from monitorpi_detector.targets.presence import Presence as TargetPresence
from monitorpi_detector.targets.presence import Stay
from monitorpi_detector.views.window import LEAST_SPAN_S, DeviceView, RoundView, WindowView
from monitorpi_detector.views.wires import Wires, added
from monitorpi_detector.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydantic import JsonValue

    from monitorpi_common.messages import Publication, Tombstone
    from monitorpi_detector.hosts.servers import Changed
    from monitorpi_detector.rule import Finding, Limits, Rule

LATE: Final = timedelta(seconds=3)
"""Ticks without a window or round move time after so long."""
_LONGEST_TICK_S: Final = 5.0
"""A longer pause between two ticks was our own: what waited meanwhile is still to be read."""
LEARN_EACH: Final = 10
"""One window of so many teaches the baseline and stands for the others: a tenth of the cost."""
MAX_INTERFACES: Final = 64
MAX_KNOWN: Final = 8192
MEASURES: Final = {"loss_ratio": "high-loss", "rtt_ms": "high-delay", "jitter_ms": "high-jitter"}
"""What is learned of each target, by the rule that judges it."""
_JUDGES: Final = {
    "syn": "syn-flood",
    "icmp_echo": "icmp-flood",
    "arp": "arp-storm",
    "broadcast": "broadcast-storm",
    "dhcp": "dhcp-starvation",
    "igmp": "igmp-storm",
}
"""Whose floor a class of one device is held against; the others have their surges' floors."""
LOOKED_AT_BY: Final = {
    name: tuple(
        rule
        for rule in (
            *({"syn": ("port-scan", "host-sweep"), "icmp": ("icmp-flood",)}.get(name, ())),
            _JUDGES.get(name, ""),
            f"surge-{name.replace('_', '-')}",
        )
        if rule in RULES
    )
    for name in CLASSES
}
"""The rules that look at the senders of a class."""
_STEP_S: Final = 2.0
WITNESS_AFTER_S: Final = 10.0
"""Frames sent so long after a silent round began show that a target lives: it may have gone at any
time of that round."""
WITNESS_S: Final = 120.0
"""They show it for so long: capture speaks of an idle device once a minute."""
WATCHED_S: Final = 60.0
"""Time without a sign of life counts as watched up to so long: devices are told of each minute."""

ViewT = TypeVar("ViewT")


@dataclass(slots=True)
class Interface:
    """What is known of one watched interface."""

    epoch: str
    first_s: float
    seq: int
    end: datetime
    """End of its last window."""
    windows: int = 0
    lost: int = 0
    sees_replies: bool | None = None


def _keep_nothing(kept: Kept) -> None:
    del kept


class DetectorCore:
    """Judges everything that capture and prober publish."""

    def __init__(
        self,
        site: str,
        settings: DetectorSettings,
        *,
        kept: Kept | None = None,
        keep: Callable[[Kept], None] = _keep_nothing,
    ) -> None:
        """Start where the process before us ended.

        Args:
            site: the site, part of every alert's identity.
            settings: the detector's table of the configuration.
            kept: what the process before us kept.
            keep: takes what is to be kept, without blocking.

        """
        kept = kept or Kept()
        self._settings = settings
        self._keep = keep
        self._limits = LimitsTable(settings)
        self._inventory = Inventory()
        self._baseline = Baseline()
        self._round_baseline = Baseline()
        self._conflicts = Conflicts(settings.together)
        self._book = AlertBook(site, self._inventory)
        self._interfaces: dict[str, Interface] = {}
        self._wires = Wires()
        self._sensors: set[str] = set()
        self._watching = Watching()
        self._rounds: dict[str, float] = {}
        self._now: datetime | None = None
        self._saved_at: datetime | None = None
        self._is_kept = True
        """What people ordered is kept with the next tick: many orders are one write."""
        self._boot_s: float | None = None
        self._idle_s = 0.0
        """Seconds since the last window or round, as ticks tell."""
        self._ignore = frozenset(settings.ignore)
        self._since = kept.since
        self._watched_s = kept.watched_s
        self._macs: Bounded[None] = Bounded(MAX_KNOWN)
        """The MACs that are not new; times are seconds watched."""
        for mac in kept.macs:
            self._macs.restore(mac, None, kept.watched_s)
        self._dhcp_servers = Servers(settings.dhcp_servers, kept.dhcp_servers, kept.dhcp_said)
        self._routers = Servers(settings.routers, kept.routers)
        self._stays = TargetPresence()
        self._stays.restore(kept.stays, kept.was_up)
        self._stays.began_s = kept.rounds_since_s
        self._outages = Outages(
            self._stays, lambda stay: self._witness(stay) is not None, self._inventory.forwards
        )
        self._baseline.restore(kept.rates, kept.watched_s)
        self._round_baseline.restore(kept.probes, kept.watched_s)
        self._book.silences.update(kept.silences)
        self._book.habits.restore(kept.usual)
        self._book.stories.restore(kept.told)
        for one in kept.overrides:
            self._limits.restore(one.rule, one.mac, one.change)

    # --- items ----------------------------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication | Tombstone]:
        """Take one item and answer with alerts."""
        self._watching.observe(item)
        match item:
            case Received(_, Traffic() as traffic):
                yield from self._window(traffic)
            case Received(_, Device() as device, retained):
                yield from self._device(device, retained=retained)
            case Received(topic, Probe() as probe):
                yield from self._round(topic.id, probe)
            case Received(_, Target() as target):
                self._target(target)
            case Received(_, Alert() as alert, True):
                yield from self._restore(alert)
            case Presence(topic, online) if topic.service == Service.CAPTURE:
                yield from self._status(topic.id, online=online)
            case Presence(topic, False) if topic.service == Service.PROBER:
                yield from self._lose_prober(topic.id)
            case Tick() as tick:
                yield from self._tick(tick)
                yield from self._watch(tick)
            case Order(_, args):
                yield from self._obey(args)
            case _:
                return

    def close(self) -> Iterable[Publication | Tombstone]:
        """Keep what was learned. Open alerts stay open: the next process takes them up."""
        self._save()
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return what the health message tells of the detector."""
        book = self._book
        return {
            "windows_total": sum(one.windows for one in self._interfaces.values()),
            "windows_lost_total": sum(one.lost for one in self._interfaces.values()),
            "interfaces": {
                name: {"sees_replies": one.sees_replies, "lost": one.lost}
                for name, one in self._interfaces.items()
            },
            "open": dict(book.open_by_rule()),
            "open_alerts": sum(book.open_by_rule().values()),
            "opened_total": book.opened_total,
            "beyond_limit_total": book.overflow_total,
            "held_back_total": book.stories.held_back_total,
            "usual": dict(book.habits.levels()),
            "silences": {key: until.isoformat() for key, until in book.silences.items()},
            "baselines": len(self._baseline),
            "devices": len(self._inventory),
            "thresholds": {
                f"{rule} {mac}" if mac else rule: {
                    name: value for name, value in change if value is not None
                }
                for (rule, mac), change in list(self._limits.overrides.items())[:64]
            },
        }

    # --- windows --------------------------------------------------------------------------------

    def _window(self, traffic: Traffic) -> Iterator[Publication | Tombstone]:
        name, end_s = traffic.interface, traffic.end.timestamp()
        seen = self._interfaces.get(name)
        if seen is not None and seen.epoch != traffic.epoch:
            # the sensor lives: its counters were reset, or its clock was set
            self._renew(seen, traffic)
        elif seen is None:
            if len(self._interfaces) >= MAX_INTERFACES and name not in self._interfaces:
                return
            if self._now is not None and end_s < self._now.timestamp() - _STEP_S:
                self._step_clock(traffic.end - self._now)
            seen = self._interfaces[name] = Interface(
                traffic.epoch, end_s, traffic.seq, traffic.end
            )
        elif traffic.seq > seen.seq:
            seen.lost += traffic.seq - seen.seq - 1
            seen.seq = traffic.seq
        else:
            return  # the same window twice: quality of service 1 may repeat
        seen.windows += 1
        seen.end = traffic.end
        seen.sees_replies = traffic.sees_replies
        self._live(traffic.end, traffic.window_s)
        self._book.saw_window(name, traffic.end)
        view = self._view(traffic, seen.first_s)
        others = self._wires.others(traffic)
        yield from self._judge(WINDOW_RULES, view, _observed(traffic, [name], is_part=others))
        self._learn(view, seen)
        self._tell_storms_from_sweeps(view.now_s)
        for windows in self._wires.join(view.traffic):
            yield from self._judge_together(windows)
        self._idle_s = 0.0
        yield from self._advance(traffic.end)

    def _tell_storms_from_sweeps(self, now_s: float) -> None:
        """Note whose requests are told as a storm: they are no sweep as well."""
        sweeps = self._inventory.sweeps
        if macs := sweeps.macs:
            opened = set(self._book.open_keys())
            for mac in macs:
                if f"arp-storm-{mac_id(mac)}" in opened:
                    sweeps.told(mac, now_s)

    def _view(self, traffic: Traffic, first_s: float, ports: int = 1) -> WindowView:
        now_s = traffic.end.timestamp()
        return WindowView(
            traffic, self._inventory, self._baseline, now_s, first_s, self._watched_s, ports
        )

    def _levels(self) -> dict[str, float]:
        """Return, by class, the frames/s of one MAC from which some rule looks at it."""
        return {
            name: min(self._limits.of_rule(rule).least for rule in rules)
            for name, rules in LOOKED_AT_BY.items()
        }

    def _judge_together(self, windows: Sequence[Traffic]) -> Iterator[Publication | Tombstone]:
        """Judge what several mirror ports show of one moment as one wire."""
        together = added(windows, self._levels())
        if together is None:
            return
        names = [one.interface for one in windows]
        first_s = max(self._interfaces[name].first_s for name in names)
        view = self._view(together, first_s, len(names))
        yield from self._judge(WINDOW_RULES, view, _observed(view.traffic, names))

    def _renew(self, seen: Interface, traffic: Traffic) -> None:
        """Begin a new epoch of an interface that is still watched: its alerts go on."""
        step = traffic.end - seen.end - timedelta(seconds=traffic.window_s)
        if abs(step.total_seconds()) > _STEP_S:
            self._step_clock(step)
        self._wires.forget(traffic.interface)
        seen.epoch, seen.seq = traffic.epoch, traffic.seq
        seen.first_s = traffic.end.timestamp()

    def _step_clock(self, by: timedelta) -> None:
        """Take over a clock that was set: what was measured so far moves with it."""
        self._book.step_clock(by)
        self._wires.forget()
        for seen in self._interfaces.values():
            seen.end += by
        if by.total_seconds() < 0:
            self._now = self._saved_at = None

    def _judge(
        self, rules: tuple[Rule[ViewT], ...], view: ViewT, observed: dict[str, object]
    ) -> Iterator[Publication | Tombstone]:
        """Let each rule that is on look at a view, and the book at what it finds."""
        for rule in rules:
            base = self._limits.of(rule.name, None)
            if not base.enabled and not self._limits.has_devices(rule.name):
                continue
            seen = Observed(rule=rule.name, kind=rule.kind, watched_s=self._watched_s, **observed)  # type: ignore[arg-type]  # built two lines up in each caller
            for finding in rule.judge(view, self._limits.of_rule(rule.name)):
                limits = self._limits.of(rule.name, whose_limits(finding))
                if limits.enabled and not self._ignored(finding):
                    yield from self._book.consider(finding, limits, seen)

    def _ignored(self, finding: Finding) -> bool:
        macs = {peer.mac for peer in finding.sources or finding.victims}
        return bool(macs) and macs <= self._ignore

    def _learn(self, view: WindowView, seen: Interface) -> None:
        """Learn who forwards and, from a sample of windows, what is usual."""
        syn_floor = self._limits.of("syn-flood", None).floor
        self._inventory.see_window(view.traffic, view.now_s, syn_floor / 4)
        each = 1 if view.span_s >= LEARN_EACH else LEARN_EACH  # a long one stands for itself
        if seen.windows % each:
            return
        frozen = self._book.involved()
        for mac in frozen:
            self._baseline.hold(mac, self._watched_s)
        for row in view.rows.values():
            if row.mac in frozen:
                continue
            rates = [
                (name, rate)
                for name, count in row.tx.items()
                if (floor := self._floor(name, row.mac)) is not None
                and (rate := count / view.span_s) < floor
            ]
            if "syn" in row.tx:
                half_open = view.rate(view.opened_by(row).open)
                if half_open < self._limits.of("syn-flood", row.mac).floor:
                    rates.append(("half_open", half_open))
            self._baseline.learn(row.mac, rates, each * view.span_s, self._watched_s)

    def _floor(self, name: str, mac: str) -> float | None:
        """Return the floor of the rule that judges a class; what is above it is not usual."""
        rule = _JUDGES.get(name) or f"surge-{name.replace('_', '-')}"
        return self._limits.of(rule, mac).floor if rule in RULES else None

    def _status(self, instance: str, *, online: bool) -> Iterator[Publication | Tombstone]:
        """Note a sensor's status. Only the last one to go takes every alert's eyes with it.

        Windows do not say which instance counted them: while another one lives, the interfaces
        of the one that went are missed by their windows.
        """
        if online:
            if len(self._sensors) < MAX_INTERFACES:
                self._sensors.add(instance)
            return
        self._sensors.discard(instance)
        if not self._sensors:
            yield from self._book.lose_sensor()
            self._interfaces.clear()
            self._wires.forget()

    # --- devices and probes ---------------------------------------------------------------------

    def _device(self, device: Device, *, retained: bool) -> Iterator[Publication | Tombstone]:
        self._inventory.see_device(device)
        if self._now is None and retained:
            return  # it says what was; without a window there is no telling when that was
        at = self._time_of(device)
        learns = self._watched_s < self._settings.learning_s
        view = DeviceView(
            device=device,
            now_s=at.timestamp(),
            learned=not learns,
            is_new=device.mac not in self._macs,
            conflicts=self._conflicts.see(device),
            dhcp_news=self._server(device, at, learns=learns),
            ra_stranger=self._advertiser(device, at, learns=learns),
        )
        observed: dict[str, object] = {
            "at": at, "span_s": 60.0, "interface": device.interface, "lives_by_windows": False,
        }  # fmt: skip
        yield from self._judge(DEVICE_RULES, view, observed)
        if not self._dhcp_servers.knows(device.mac):  # they try an address before they offer it
            self._inventory.sweeps.see(device)
        self._macs.put(device.mac, None, self._watched_s)

    def _time_of(self, device: Device) -> datetime:
        """Return when a message about a device was made, or the latest thing it tells of was.

        Windows and rounds move time, messages about devices never do: one stamped by a clock that
        was wrong would.
        """
        at = max([device.last_seen, *(one.last for one in device.conflicts)])
        return at if self._now is None else min(at, self._now + LATE)

    def _server(self, device: Device, at: datetime, *, learns: bool) -> Stranger | Changed | None:
        if not device.dhcp_server:
            return None
        serves_s = None if device.dhcp_at is None else device.dhcp_at.timestamp()
        claimed = {one.ip for one in device.conflicts if one.claimant == device.mac}
        return self._dhcp_servers.see(
            device.mac, serves_s, at.timestamp(), statements_of(device), learns=learns,
            holds=set(device.ips) - claimed,
        )  # fmt: skip

    def _advertiser(self, device: Device, at: datetime, *, learns: bool) -> Stranger | None:
        if device.advertised_at is None:
            return None
        advertised_s = device.advertised_at.timestamp()
        news = self._routers.see(device.mac, advertised_s, at.timestamp(), (), learns=learns)
        return news if isinstance(news, Stranger) else None

    def _round(self, prober: str, probe: Probe) -> Iterator[Publication | Tombstone]:
        self._live(probe.round_end)
        end_s = probe.round_end.timestamp()
        self._inventory.see_probe(prober, probe, end_s)
        self._book.see_round(probe.round_start)
        before_s = self._rounds.get(prober, probe.round_start.timestamp())
        if prober in self._rounds or len(self._rounds) < MAX_INTERFACES:
            self._rounds[prober] = end_s
        self._stays.see_round(prober, probe, self._watched_s)
        self._stays.gather(self._inventory.forwards)
        length_s = max(0.0, (probe.round_end - probe.round_start).total_seconds())
        own = frozenset(one.ip for one in (probe.source, *probe.sources) if one.ip)
        view = RoundView(
            probe, end_s, self._usual_round, self._stays, self._watched_s,
            outages=self._outages.follow(prober, end_s, length_s, own, self._watched_s),
            witness=self._witness, learned=self._watched_s >= self._settings.learning_s,
        )  # fmt: skip
        observed: dict[str, object] = {
            "at": probe.round_end, "span_s": min(3600.0, max(1.0, end_s - before_s)),
            "length_s": length_s,
            "lives_by_windows": False,
        }  # fmt: skip
        yield from self._judge(ROUND_RULES, view, observed)
        self._learn_round(view)
        self._idle_s = 0.0
        yield from self._advance(probe.round_end)

    def _usual_round(self, address: str, measure: str) -> float | None:
        return self._round_baseline.of(address, measure, self._watched_s)

    def _learn_round(self, view: RoundView) -> None:
        frozen = self._book.involved()
        for target in view.results():
            if not frozen.isdisjoint((target.address, target.mac)):
                self._round_baseline.hold(target.address, self._watched_s)
                continue
            measured = {
                "loss_ratio": None if target.state == "down" else target.loss_ratio,
                "rtt_ms": target.rtt_p50_ms,
                "jitter_ms": target.jitter_ms,
            }
            usual = [
                (name, value)
                for name, value in measured.items()
                if value is not None and value < self._limits.of(MEASURES[name], target.mac).floor
            ]
            self._round_baseline.learn_levels(target.address, usual, self._watched_s)

    def _witness(self, stay: Stay) -> str | None:
        """Say what shows that a silent target lives: its frames, or another address of it."""
        if stay.silent_from is None or stay.mac is None:
            return None
        for one in self._stays.device(stay):
            if one.answered_at > stay.silent_from + WITNESS_AFTER_S and not one.silent_rounds:
                return f"its address {one.address} does"
        known = self._inventory.get(stay.mac)
        since_s = stay.silent_from + WITNESS_AFTER_S
        if known is None or known.sent_at_s <= max(since_s, stay.heard_at - WITNESS_S):
            return None
        return (
            f"it sends frames ({stay.mac}, {max(0.0, stay.heard_at - known.sent_at_s):.0f} s ago)"
        )

    def _target(self, target: Target) -> None:
        self._stays.see_target(target, self._watched_s)

    def _lose_prober(self, instance: str) -> Iterator[Publication | Tombstone]:
        self._rounds.pop(instance, None)
        self._outages.forget(instance)
        if not self._rounds and self._now is not None:
            for rule in ROUND_RULES:
                yield from self._book.end_rule(rule.name, self._now, "sensor-lost")

    # --- time -----------------------------------------------------------------------------------

    def _live(self, at: datetime, watched_s: float = 0.0) -> None:
        """Note that this time was reached. Gaps in a file, or while we were away, teach nothing."""
        if self._now is not None:
            passed_s = max(0.0, (at - self._now).total_seconds())
            self._watched_s += min(passed_s, max(watched_s, WATCHED_S))
        self._now = at if self._now is None else max(self._now, at)
        if self._since is None:
            self._since = at

    def _advance(self, to: datetime) -> Iterator[Publication | Tombstone]:
        yield from self._book.advance(to)
        if self._saved_at is None:
            self._saved_at = to
        elif (to - self._saved_at).total_seconds() >= self._settings.save_s:
            self._saved_at = to
            self._save()

    def _tick(self, tick: Tick) -> Iterator[Publication | Tombstone]:
        """Let time go on from the last window or round, by a clock that never steps.

        Windows that come late hold time back with them; only silence moves it.
        """
        if not self._is_kept:
            self._save()
        passed_s = min(max(0.0, tick.boot_s - (self._boot_s or tick.boot_s)), _LONGEST_TICK_S)
        self._boot_s = tick.boot_s
        self._idle_s += passed_s
        if self._book.watermark is None:
            yield from self._advance((self._now or tick.at) - LATE)
        elif self._idle_s > LATE.total_seconds():
            passed_s = min(passed_s, self._idle_s - LATE.total_seconds())
            yield from self._advance(self._book.watermark + timedelta(seconds=passed_s))

    def _watch(self, tick: Tick) -> Iterator[Publication | Tombstone]:
        """Conclude whether anybody watches, and judge the sensor itself."""
        yield from self._watching.tick(tick, self._now)
        observed: dict[str, object] = {
            "at": self._book.watermark or tick.at, "span_s": 1.0, "lives_by_windows": False,
        }  # fmt: skip
        yield from self._judge(WATCH_RULES, self._watching.facts, observed)

    # --- restarts -------------------------------------------------------------------------------

    def _restore(self, alert: Alert) -> Iterator[Publication | Tombstone]:
        """Take up a retained alert of the process before us; our own words come back as well."""
        rule = alert.rule
        if rule in RULES:
            quiet_s = self._limits.of(rule, whose_limits(alert.evidence)).quiet_s
            yield from self._book.restore(alert, RULES[rule].kind, quiet_s)

    def _save(self) -> None:
        self._is_kept = True
        self._keep(
            Kept(
                since=self._since,
                watched_s=round(self._watched_s, 1),
                overrides=[
                    Override(rule=rule, mac=mac, change=Change(**dict(change)))
                    for (rule, mac), change in self._limits.overrides.items()
                ],
                silences=self._book.silences,
                macs=[mac for mac, _ in self._macs.items()],
                dhcp_servers=self._dhcp_servers.learned,
                dhcp_said=self._dhcp_servers.said,
                routers=self._routers.learned,
                stays=self._stays.saved(),
                rounds_since_s=self._stays.began_s,
                usual=self._book.habits.saved(),
                told=self._book.stories.saved(self._watched_s),
                rates=self._baseline.saved(),
                probes=self._round_baseline.saved(),
            )
        )

    # --- orders ---------------------------------------------------------------------------------

    def _obey(self, args: object) -> Iterator[Publication | Tombstone]:
        """Carry out an order.

        Raises:
            CommandRefusedError: it names nothing that is there, or limits that cannot be.

        """
        match args:
            case Silence(key=key, minutes=minutes):
                reached = [one for one in (self._now, self._book.watermark) if one is not None]
                if not reached:
                    raise CommandRefusedError("nothing was seen yet: there is nothing to silence")
                if not any(key.startswith(f"{rule}-") for rule in RULES):
                    raise CommandRefusedError(f"{key!r} is no alert's key: use rule-subject")
                now = max(reached)  # ticks go on where capture is away
                self._is_kept = False
                yield from list(self._book.silence(key, now + timedelta(minutes=minutes), now))
            case Acknowledge(key=key):
                try:
                    yield from list(self._book.acknowledge(key))
                except KeyError:
                    raise CommandRefusedError(f"no open alert has the key {key!r}") from None
            case SetThreshold() as change:
                yield from self._set_threshold(change)
            case _:
                return

    def _set_threshold(self, order: SetThreshold) -> Iterator[Publication | Tombstone]:
        change = Change(**order.model_dump(exclude={"rule", "mac"}))
        try:
            limits: Limits = self._limits.change(order.rule, order.mac, change)
        except LimitsError as error:
            raise CommandRefusedError(str(error)) from None
        self._is_kept = False
        if not limits.enabled and self._now is not None:
            yield from self._book.end_rule(order.rule, self._now, "silenced", order.mac)


def _observed(
    traffic: Traffic, ports: Sequence[str], *, is_part: bool = False
) -> dict[str, object]:
    """Return where and when the findings of a window are made."""
    return {
        "at": traffic.end, "span_s": max(traffic.window_s, LEAST_SPAN_S),
        "interface": traffic.interface, "ports": tuple(ports), "is_part": is_part,
        "kernel_drops": traffic.kernel_drops, "sees_replies": traffic.sees_replies,
        "copies_ratio": traffic.copies_ratio, "length_s": traffic.window_s,
    }  # fmt: skip


def _remember(table: dict[str, None], names: Iterable[str], limit: int = MAX_KNOWN) -> None:
    """Add names to a bounded table; those not named for the longest time leave."""
    for name in names:
        table.pop(name, None)
        table[name] = None
        if len(table) > limit:
            del table[next(iter(table))]
