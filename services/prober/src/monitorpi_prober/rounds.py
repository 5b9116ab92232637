"""The prober's core: who is probed, what the answers mean, who is up.

Theory of operation. The core keeps the tables of targets (:mod:`.targets`) and turns them into a
:class:`Plan` for the pinger, at most once a second while they change. The pinger says what it sends
from where when it takes a plan up (:class:`PlanTaken`), which is announced before the first request
is counted by anybody, and reports each :class:`RoundDone`; the core turns the times into statistics
(:mod:`.statistics`), follows each target's state (:mod:`.reachability`) and publishes the round and
the states that changed. The states of all targets, also of those another replica probes, are kept
as they stand in the retained messages, so that a restart or a take-over changes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import (
    Device,
    Probe,
    ProbeNow,
    ProbeResult,
    ProbeSource,
    Publication,
    Service,
    Target,
    TargetState,
    Tombstone,
)
from monitorpi_common.service import CommandRefusedError, Gone, Order, Presence, Received, Tick
from monitorpi_common.topics import mac_from_id
from monitorpi_prober import announcement, statistics
from monitorpi_prober.reachability import Limits, Reachability
from monitorpi_prober.schedule import Aim, Lane, Plan, make_plan
from monitorpi_prober.targets import (
    Network,
    Resolution,
    Sighting,
    Targets,
    is_randomised,
    owner,
    target_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from monitorpi_prober.announcement import Exit
    from monitorpi_prober.settings import ProberSettings

REFRESH: Final = timedelta(seconds=60)
"""A target's state is published on change and at most this often otherwise."""
ANNOUNCE_AGAIN: Final = timedelta(seconds=5)
"""While a sweep is under way: announcements are not retained, and a detector may start at any
time."""
UNCLAIMED_S: Final = 900.0
"""A retained target that nobody probes that long after the start is taken back: capture and two
sweeps have had their time to announce it."""
_LOOK_EACH_S: Final = 60.0
EXTRA_S: Final = 2.0
"""Length of the round that a command asks for: at most 10 requests, 5 per second."""
EXTRA_PROBES: Final = 10
MAX_REPLICAS: Final = 64
MAX_LATCHED: Final = 8192


@dataclass(frozen=True, slots=True)
class Echoes:
    """What came back from one target, in order of sending; None: no reply in time."""

    key: str
    times_ms: tuple[float | None, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PlanTaken:
    """The pinger goes by this plan from now on."""

    at: datetime
    plan: Plan
    exits: Mapping[str, Exit]
    """Where the requests to each target leave this machine, by the target's key."""


@dataclass(frozen=True, slots=True)
class RoundDone:
    """A round of one lane, measured."""

    start: datetime
    end: datetime
    plan: Plan
    lane: Lane
    echoes: tuple[Echoes, ...]
    noise_ms: tuple[float, ...] = ()
    """Round trips over loopback in the same round."""


@dataclass(frozen=True, slots=True)
class Found:
    """All devices that a sweep of one interface has found."""

    interface: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Sweeping:
    """A sweep sends this many ARP requests per second from now on; 0: it has ended."""

    at: datetime
    leaving: Exit
    arp_per_s: float


@dataclass(frozen=True, slots=True)
class Named:
    """DNS or mDNS has a name for an address."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the name service shall look up, in order of urgency."""

    hostnames: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(slots=True)
class ProberCore:
    """The pure part of the prober."""

    settings: ProberSettings
    epoch: str
    instance: str
    order: Callable[[Plan], None]
    """Hands the pinger its next plan."""
    hurry: Callable[[Lane | None], None] = lambda _: None
    """Asks the pinger for an extra round of a lane; None: for all rounds anew."""
    look_up: Callable[[Wanted], None] = lambda _: None
    """Hands the name service what to look up."""
    vendor_of: Callable[[str], str | None] = lambda _: None
    counters: Callable[[], dict[str, JsonValue]] = dict
    """What the pinger counted."""
    own_macs: frozenset[str] = frozenset()
    """Of this machine's interfaces."""
    attached: Callable[[], Sequence[Network]] = tuple
    """The subnets this machine is attached to now."""
    live: bool = True
    """Ticks come once a second; without them each change is planned at once."""
    targets: Targets = field(init=False)
    _limits: Limits = field(init=False)
    _states: dict[str, Reachability] = field(default_factory=dict)
    _published: dict[str, datetime] = field(default_factory=dict)
    _latched: dict[str, Target] = field(default_factory=dict)
    """States on the bus of targets that are not ours, or not yet."""
    _replicas: set[str] = field(default_factory=set)
    _mine: dict[str, Aim] = field(default_factory=dict)
    _plan: Plan = field(default_factory=Plan)
    _exits: Mapping[str, Exit] = field(default_factory=dict)
    _sweeps: dict[Exit, float] = field(default_factory=dict)
    _announced: tuple[ProbeSource, ...] = ()
    _announced_at: datetime | None = None
    _seq: int = 0
    _clock_synced: bool = False
    _rounds: int = 0
    _changed: bool = False
    _look_s: float | None = None
    """Boot-time clock, for the wall clock may be set meanwhile, of the next look for targets that
    nobody claims."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.targets = Targets(settings, self.vendor_of, self.own_macs, self.attached)
        self._limits = Limits(
            settings.down_after, settings.up_after, settings.flap_changes, settings.flap_rounds
        )
        self._replicas = {self.instance}
        self.replan()

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication | Tombstone]:
        """Take one item."""
        match item:
            case RoundDone():
                yield from self._round_done(item)
            case PlanTaken():
                yield from self._taken(item)
            case Received(_, Device() as device):
                self.targets.announce(device)
                self._change()
            case Received(topic, Target() as target):
                yield from self._remember(topic.id, target, retained=item.retained)
            case Gone(topic) if topic.kind == Device.KIND:
                yield from self._forget(topic.id)
            case Presence(topic, online) if topic.service == Service.PROBER.value:
                self._presence(topic.id, online=online)
            case Tick():
                yield from self._tick(item)
            case Order(_, ProbeNow(address=address)):
                self._probe_now(address)
            case _:
                yield from self._learn(item)

    def close(self) -> Iterable[Publication | Tombstone]:
        """Targets stay as they are: retained, and read again at the next start."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell how much is probed."""
        return {
            "targets": len(self._mine),
            "omitted": self.targets.omitted,
            "omitted_public": self.targets.far,
            "replicas": len(self._replicas),
            "echo_per_s": round(self._plan.rate, 3),
            "rate_limited": self._plan.limited,
            "rounds": self._rounds,
            **self.counters(),
        }

    # --- targets ----------------------------------------------------------------------------

    def _learn(self, item: object) -> Iterable[Publication | Tombstone]:
        """Take what discovery and the name service have found."""
        match item:
            case Found(interface, sightings):
                yield from self._drop(self.targets.discover(interface, sightings))
            case Resolution():
                self.targets.resolve(item)
            case Named(address, name):
                self.targets.call(address, name)
            case Sweeping(at, leaving, arp_per_s):
                self._sweeps.pop(leaving, None)
                if arp_per_s > 0:
                    self._sweeps[leaving] = arp_per_s
                yield from self._announce(at)
                return
            case _:
                return
        self._change()

    def _change(self) -> None:
        self._changed = True
        if not self.live:
            self.replan()

    def replan(self) -> None:
        """Make the plan for our share of the targets and hand it to the pinger."""
        self._changed = False
        settings = self.settings
        aims = self.targets.aims(self._answering())
        mine = {aim.key: aim for aim in aims if owner(aim.key, self._replicas) == self.instance}
        self.look_up(Wanted(self.targets.hostnames, tuple(self.targets.nameless())))
        for key in self._mine.keys() - mine.keys():
            self._published.pop(key, None)
        for key in self._states.keys() - mine.keys():
            del self._states[key]
        if mine == self._mine and self._plan.lanes:
            return
        self._mine = mine
        plan = make_plan(
            mine.values(),
            interval_s=settings.interval_s,
            probes=settings.probes,
            max_rate=settings.max_rate / len(self._replicas),
            timeout_s=settings.timeout_s,
        )
        if plan != self._plan:
            self._plan = plan
            self.order(plan)

    def _answering(self) -> dict[str, float]:
        """Return the targets that answer, ours and those of replicas, with the time since when."""
        told = {key: (one.state, one.since) for key, one in self._latched.items()}
        ours = {key: (one.state, one.since) for key, one in self._states.items()}
        return {
            key: since.timestamp()
            for key, (state, since) in {**told, **ours}.items()
            if state in ("up", "flapping") and since is not None
        }

    def _forget(self, device_id: str) -> Iterable[Tombstone]:
        """Drop the addresses of a device that capture has taken back."""
        yield from self._drop(self.targets.forget(mac_from_id(device_id)))
        self._change()

    def _drop(self, keys: Iterable[str]) -> Iterable[Tombstone]:
        """Take back what was said of targets that are none any more."""
        configured = {target_id(target.address) for target in self.settings.targets}
        for key in keys:
            if key in self._mine and key not in configured:
                yield Tombstone(key, Target)

    def _remember(self, key: str, target: Target, *, retained: bool) -> Iterable[Tombstone]:
        """Take up the state of a target as it stands on the bus: from before, or of a replica."""
        if retained and self.targets.ignores(target.address, target.mac):
            yield Tombstone(key, Target)
            return
        known = self._states.get(key)
        if known is None:
            self._latched[key] = target
            if len(self._latched) > MAX_LATCHED:
                del self._latched[next(iter(self._latched))]
        elif retained and known.state == "unknown":
            self._states[key] = Reachability.latched(target.state, target.since, self._limits)
        elif retained and known.state == target.state and known.since is not None:
            known.since = min(known.since, target.since)

    def _adopt(self, key: str) -> Reachability:
        """Return the state of a target of ours, taken from the bus where it was known there."""
        known = self._states.get(key)
        if known is None:
            old = self._latched.pop(key, None)
            known = (
                Reachability()
                if old is None
                else Reachability.latched(old.state, old.since, self._limits)
            )
            self._states[key] = known
        return known

    def _presence(self, instance: str, *, online: bool) -> None:
        before = set(self._replicas)
        if online and len(self._replicas) < MAX_REPLICAS:
            self._replicas.add(instance)
        elif not online and instance != self.instance:
            self._replicas.discard(instance)
        if before != self._replicas:
            self._change()

    def _tick(self, tick: Tick) -> Iterable[Publication | Tombstone]:
        self._clock_synced = tick.clock_synced
        if self._changed:
            self.replan()
        told_at = self._announced_at
        if self._sweeps and told_at and abs(tick.at - told_at) >= ANNOUNCE_AGAIN:
            yield self._probe(tick.at, tick.at, [], None)
        if self._look_s is None:
            self._look_s = tick.boot_s + UNCLAIMED_S
        if self._latched and tick.boot_s >= self._look_s:
            self._look_s = tick.boot_s + _LOOK_EACH_S
            yield from self._take_back()

    def _take_back(self) -> Iterable[Tombstone]:
        """Take back the targets on the bus that are nobody's."""
        everybody = {aim.key for aim in self.targets.aims(self._answering())}
        leader = owner("unclaimed", self._replicas) == self.instance
        for key in self._latched.keys() - everybody:
            del self._latched[key]
            if leader:
                yield Tombstone(key, Target)

    def _probe_now(self, address: str | None) -> None:
        if address is None:
            self.hurry(None)
            return
        aim = self._mine.get(target_id(address))
        if aim is None:
            raise CommandRefusedError(f"{address} is not a target of this prober")
        probes = min(self.settings.probes, EXTRA_PROBES)
        self.hurry(Lane(EXTRA_S, probes, (aim,), EXTRA_S))

    # --- what we send -----------------------------------------------------------------------

    def _taken(self, taken: PlanTaken) -> Iterable[Publication]:
        """Tell what goes out from now on before anybody can count it."""
        self._exits = taken.exits
        yield from self._announce(taken.at)

    def _announce(self, at: datetime) -> Iterable[Publication]:
        if not announcement.covers(self._announced, self._sending()):
            yield self._probe(at, at, [], None)

    def _sending(self) -> tuple[ProbeSource, ...]:
        up = {key for key, state in self._states.items() if state.state == "up"}
        return announcement.sources(self._plan, self._exits, up, self._sweeps)

    def _probe(
        self, start: datetime, end: datetime, results: list[ProbeResult], noise: float | None
    ) -> Publication:
        self._announced, self._announced_at = self._sending(), end
        self._seq += 1
        return Publication(
            self.instance,
            Probe(
                epoch=self.epoch,
                seq=self._seq,
                round_start=start,
                round_end=end,
                clock_synced=self._clock_synced,
                noise_floor_ms=_rounded(noise),
                rate_limited=self._plan.limited,
                source=self._announced[0] if self._announced else ProbeSource(),
                sources=list(self._announced) if len(self._announced) > 1 else [],
                targets=results,
            ),
        )

    # --- results ----------------------------------------------------------------------------

    def _round_done(self, done: RoundDone) -> Iterable[Publication]:
        """Publish a round, and the targets whose state changed or was not told for a while."""
        aims = {aim.key: aim for aim in done.lane.aims}
        results = []
        for echoes in done.echoes:
            aim = self._mine.get(echoes.key)
            if aim is None:
                continue  # no longer ours
            probed = aims[echoes.key].ip is not None and len(echoes.times_ms) > 0
            state = self._adopt(aim.key)
            changed = self._follow(state, echoes, done.end) if probed else False
            result = summarise(aim, echoes, state.state)
            results.append(result)
            told = self._published.get(aim.key)
            if changed or told is None or abs(done.end - told) >= REFRESH:  # clocks step back too
                self._published[aim.key] = done.end
                yield Publication(aim.key, _target(aim, state, result, done.end))
        self._rounds += 1
        yield self._probe(done.start, done.end, results, _percentile(done.noise_ms, 0.95))

    def _follow(self, state: Reachability, echoes: Echoes, at: datetime) -> bool:
        answered = any(time is not None for time in echoes.times_ms)
        return state.follow(answered=answered, at=at, limits=self._limits)


def _target(aim: Aim, state: Reachability, result: ProbeResult, at: datetime) -> Target:
    return Target(
        name=aim.name,
        address=aim.address,
        mac=aim.mac,
        vendor=aim.vendor,
        randomised=aim.mac is not None and is_randomised(aim.mac),
        state=state.state,
        since=state.since or at,
        at=at,
        last=result,
    )


def summarise(aim: Aim, echoes: Echoes, state: TargetState) -> ProbeResult:
    """Turn the times of one target into its statistics."""
    answered = [time for time in echoes.times_ms if time is not None]
    sent, received = len(echoes.times_ms), len(answered)
    loss = statistics.loss_ratio(sent, received)
    average = sum(answered) / received if received else None
    jitter = statistics.jitter(echoes.times_ms)
    score = None
    if average is not None and jitter is not None and loss is not None:
        score = statistics.mos(average, jitter, loss)
    return ProbeResult(
        name=aim.name,
        address=aim.address,
        mac=aim.mac,
        state=state,
        sent=sent,
        received=received,
        loss_ratio=_rounded(loss),
        rtt_min_ms=_rounded(min(answered, default=None)),
        rtt_avg_ms=_rounded(average),
        rtt_p50_ms=_rounded(_percentile(answered, 0.5)),
        rtt_p95_ms=_rounded(_percentile(answered, 0.95)),
        rtt_max_ms=_rounded(max(answered, default=None)),
        mdev_ms=_rounded(statistics.mdev(answered)),
        jitter_ms=_rounded(jitter),
        jitter_rfc3550_ms=_rounded(statistics.jitter_rfc3550(echoes.times_ms)),
        pdv_p95_ms=_rounded(statistics.pdv_p95(answered)),
        mos=_rounded(score, 2),
        error=echoes.error,
    )


def _percentile(times: Sequence[float], q: float) -> float | None:
    return statistics.percentile(times, q) if times else None


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
