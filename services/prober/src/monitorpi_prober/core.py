"""The prober's core: who is probed, what the answers mean, who is up.

Theory of operation. The core keeps the tables of targets (:mod:`.targets`) and turns them into a
:class:`ProbePlan` for the pinger, at most once a second while they change. The pinger reports what
it sends from where when it takes a plan up (:class:`PlanTaken`), which is announced before the
first request is counted by anybody, and each :class:`RoundDone`; the core turns times into
statistics (:mod:`.statistics`), follows each target's state (:mod:`.reachability`) and publishes
the round and the states that changed. The states of all targets, also of those another replica
probes, are kept as they stand in the retained messages, so that a restart or a take-over changes
none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import (
    Announce,
    Device,
    Health,
    ProbeNow,
    ProbeResult,
    Publication,
    Target,
    Tombstone,
)
from monitorpi_common.service import (
    CommandReceived,
    CommandRefusedError,
    Presence,
    Received,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.topics import mac_from_id
from monitorpi_prober.items import (
    Echoes,
    Found,
    NameFound,
    PlanTaken,
    ProbeAttempt,
    Resolution,
    RoundDone,
    Sweeping,
    Wanted,
)
from monitorpi_prober.outcomes import Outcomes
from monitorpi_prober.quiet import HEADROOM
from monitorpi_prober.reachability import StateLimits
from monitorpi_prober.replicas import Replicas
from monitorpi_prober.reports import Reports
from monitorpi_prober.results import (
    in_parts,
    percentile,
    summarise,
    target_message,
)
from monitorpi_prober.schedule import ProbeGroup, ProbePlan, ProbeTarget, extra_group, make_plan
from monitorpi_prober.states import States
from monitorpi_prober.targets import Network, Targets, target_id
from monitorpi_prober.wakeups import Wakeups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydantic import JsonValue

    from monitorpi_prober.reachability import Reachability
    from monitorpi_prober.settings import ProberSettings

REFRESH: Final = timedelta(seconds=60)
"""A target's state is published on change and at most this often otherwise."""
UNCLAIMED_S: Final = 900.0
"""A retained target that nobody probes that long after the start is taken back: capture and two
sweeps have had their time to announce it."""
_LOOK_EACH_S: Final = 60.0
LEAST_ARP_SHARE: Final = 0.1
"""Of the limit, for quiet targets, whatever sweeps leave."""


@dataclass(slots=True)
class ProberCore:
    """The pure part of the prober."""

    settings: ProberSettings
    epoch: str
    instance: str
    follow: Callable[[ProbePlan], None]
    """Hands the pinger its next plan."""
    hurry: Callable[[ProbeGroup | None], None] = lambda _: None
    """Asks the pinger for an extra round of a group; None: for all rounds anew."""
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
    wake: Callable[[Iterable[str]], None] = lambda _: None
    """Asks the pinger to try these quiet targets at once."""
    targets: Targets = field(init=False)
    _states: States = field(init=False)
    _published: dict[str, datetime] = field(default_factory=dict)
    _replicas: Replicas = field(init=False)
    _mine: dict[str, ProbeTarget] = field(default_factory=dict)
    _plan: ProbePlan = field(default_factory=ProbePlan)
    _outcomes: Outcomes = field(default_factory=Outcomes)
    _wakeups: Wakeups = field(default_factory=Wakeups)
    _reports: Reports = field(init=False)
    _now: Tick | None = None
    _rounds: int = 0
    _unsent: int = 0
    _changed: bool = False
    _look_s: float | None = None
    """Boot-time clock, for the wall clock may be set meanwhile, of the next look for targets that
    nobody claims."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.targets = Targets(settings, self.vendor_of, self.own_macs, self.attached)
        self._states = States(
            StateLimits(
                settings.down_after, settings.up_after, settings.flap_changes, settings.flap_rounds
            )
        )
        self._reports = Reports(self.instance, self.epoch)
        self._replicas = Replicas(self.instance)
        self.replan()

    # --- the service's interface ------------------------------------------------------------

    def handle(  # noqa: C901 - one line per kind of item
        self, item: object
    ) -> Iterable[Publication | Tombstone]:
        """Take one item."""
        match item:
            case RoundDone():
                yield from self._round_done(item)
            case PlanTaken():
                yield from self._taken(item)
            case ProbeAttempt():
                yield from self._take_attempt(item)
            case Received(_, Device() as device):
                yield from self._see_device(device)
            case Received(topic, Target() as target):
                yield from self._remember(topic.id, target, retained=item.retained)
            case TombstoneReceived(topic) if topic.kind == Device.KIND:
                yield from self._drop(self.targets.forget(mac_from_id(topic.id)))
                self._change()
            case Presence() | Received(_, Health()):
                if self._replicas.see(item):
                    self._change()
            case Tick():
                yield from self._tick(item)
            case CommandReceived():
                yield from self._obey(item)
            case _:
                yield from self._learn(item)

    def close(self) -> Iterable[Publication | Tombstone]:
        """Targets stay as they are: retained, and read again at the next start."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return how much is probed."""
        return {
            "targets": len(self._mine),
            "omitted": self.targets.omitted,
            "omitted_public": self.targets.far,
            "replicas": len(self._replicas),
            "quiet": len(self._plan.quiet),
            "unsent_total": self._unsent,
            "echo_per_s": round(self._plan.rate, 3),
            "arp_per_s": self._plan.arp_per_s,
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
            case NameFound(address, name):
                self.targets.call(address, name)
            case Sweeping(at, leaving, arp_per_s):
                self._reports.sending.sweeps.pop(leaving, None)
                if arp_per_s > 0:
                    self._reports.sending.sweeps[leaving] = arp_per_s
                yield from self._reports.announce(at, self._plan)
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
        targets = self.targets.merged(self._states.answering())
        self._mine = {one.key: one for one in targets if self._replicas.is_ours(one.key)}
        mine, stale = self._mine, self._stale_names()
        self.look_up(Wanted(self.targets.hostnames, tuple(self.targets.nameless()), stale))
        for table in (self._published, self._states.ours):
            for key in table.keys() - mine.keys():
                del table[key]
        self._outcomes.keep(mine.keys())
        answering = [
            one for one in mine.values() if one.ip is not None and self._states.answers(one.key)
        ]
        keys = {one.key for one in answering}
        plan = make_plan(
            answering,
            interval_s=settings.interval_s,
            probes=settings.probes,
            max_rate=settings.max_rate / len(self._replicas),
            timeout_s=settings.timeout_s,
            quiet=[one for one in mine.values() if one.key not in keys],
            arp_per_s=self._quiet_arp_per_s(),
        )
        if plan != self._plan:
            self._plan = plan
            self.follow(plan)
        self._wake_quiet()

    def _quiet_arp_per_s(self) -> float:
        """Return what sweeps leave of the limit."""
        limit = self.settings.max_arp_rate / len(self._replicas)
        left = HEADROOM * limit - sum(self._reports.sending.sweeps.values())
        return round(max(left, limit * LEAST_ARP_SHARE), 1)

    def _stale_names(self) -> tuple[str, ...]:
        """Return the host names whose address does not answer."""
        return tuple(
            one.address
            for key, one in self._mine.items()
            if self._outcomes.is_in_trouble(key) and one.address in self.targets.hostnames
        )

    def _see_device(self, device: Device) -> Iterable[Tombstone]:
        """Take a device: most messages only say that it is still there, and change no plan."""
        before = self.targets.announced_by(device.mac)
        yield from self._drop(self.targets.announce(device))
        self._wakeups.see(device)
        after = self.targets.announced_by(device.mac)
        crowded = self.targets.omitted and not after.keys() <= self._mine.keys()
        if before != after or crowded:
            self._change()
        elif not self._changed:
            self._wake_quiet()

    def _wake_quiet(self) -> None:
        """Have quiet targets that were seen asked at once."""
        keys = self._wakeups.take(self._plan.quiet)
        if keys:
            self.wake(keys)

    def _drop(self, keys: Iterable[str]) -> Iterable[Tombstone]:
        """Take back what was published of targets that are none any more."""
        configured = {target_id(target.address) for target in self.settings.targets}
        for key in keys:
            if key in self._mine and key not in configured:
                yield Tombstone(key, Target)

    def _remember(self, key: str, target: Target, *, retained: bool) -> Iterable[Tombstone]:
        """Take up the state of a target as it stands on the bus: from before, or of a replica."""
        if retained and self.targets.ignores(target.address, target.mac):
            yield Tombstone(key, Target)
            return
        self._states.remember(key, target, retained=retained)

    def _tick(self, tick: Tick) -> Iterable[Publication | Tombstone]:
        self._now = tick
        self._states.tick(tick)
        self._reports.is_synced = tick.clock_synced
        self._reports.sending.expire(tick.boot_s)
        if self._changed:
            self.replan()
        yield from self._reports.repeat(tick.at, self._plan)
        if self._look_s is None:
            self._look_s = tick.boot_s + UNCLAIMED_S
        if self._states.latched and tick.boot_s >= self._look_s:
            self._look_s = tick.boot_s + _LOOK_EACH_S
            yield from self._take_back()

    def _take_back(self) -> Iterable[Tombstone]:
        """Take back the targets on the bus that are nobody's."""
        everybody = {one.key for one in self.targets.merged(self._states.answering())}
        unclaimed = self._states.unclaimed(everybody)
        if self._replicas.is_ours("unclaimed"):
            yield from (Tombstone(key, Target) for key in unclaimed)

    def _obey(self, command: CommandReceived) -> Iterator[Publication]:
        match command.args:
            case ProbeNow(address=address):
                self._probe_now(address)
            case Announce() as announce:
                yield from self._lend(announce)

    def _probe_now(self, address: str | None) -> None:
        if address is None:
            self.hurry(None)
            return
        target = self._mine.get(target_id(address))
        if target is None:
            raise CommandRefusedError(f"{address} is not a target of this prober")
        self.hurry(extra_group(target, self.settings.probes))

    # --- what we send -----------------------------------------------------------------------

    def _taken(self, taken: PlanTaken) -> Iterator[Publication]:
        """Announce what goes out from now on before anybody can count it."""
        self._reports.sending.exits = taken.exits
        yield from self._reports.announce(taken.at, self._plan)

    def _lend(self, announce: Announce) -> Iterator[Publication]:
        """Publish what another program of this machine is about to send."""
        if self._now is None or not self._reports.sending.lend(announce, self._now.boot_s):
            raise CommandRefusedError("too many programs send at once: try again in a while")
        yield from self._reports.announce(self._now.at, self._plan)

    # --- results ----------------------------------------------------------------------------

    def _take_attempt(self, attempt: ProbeAttempt) -> Iterator[Publication]:
        """Take one request outside of a round; a quiet target changes its state by it."""
        echoes = attempt.echoes
        target = self._mine.get(echoes.key)
        if target is None:
            return
        key = target.key
        attempted = self._outcomes.attempt(echoes)
        state = self._states.adopt(key)
        if state.answers or not echoes.is_evidence:
            return  # its round decides
        self._note_trouble(target, echoes)
        changed = state.follow(answered=echoes.answers, at=attempt.at, limits=self._states.limits)
        # the first time its round reports it: what stands on the bus of it may not be here yet
        if changed and key in self._published:
            result = summarise(target, attempted, state.state)
            yield self._target(target, state, result, attempt.at)
        if state.answers:
            self._change()

    def _round_done(self, done: RoundDone) -> Iterator[Publication]:
        """Publish a round, and the targets whose state changed or was not published for a while."""
        results = []
        interval_s, known = self.settings.interval_s, self._published.keys()
        for target, echoes, planned, decides in self._outcomes.of_round(
            done, self._mine, known, interval_s
        ):
            state = self._states.adopt(target.key)
            changed = False
            if decides and echoes.is_evidence:
                answered = state.answers
                changed = state.follow(
                    answered=echoes.answers, at=done.end, limits=self._states.limits
                )
                self._note_trouble(target, echoes)
                self._changed |= answered != state.answers
            result = summarise(target, echoes, state.state, planned)
            self._unsent += result.unsent
            results.append(result)
            published = self._published.get(target.key)
            # clocks step back too
            if changed or published is None or abs(done.end - published) >= REFRESH:
                yield self._target(target, state, result, done.end)
        self._rounds += 1
        noise = percentile(done.noise_ms, 0.95)
        for part in in_parts(results):
            yield self._reports.probe(done.start, done.end, part, noise, self._plan)
        if self._changed and not self.live:
            self.replan()

    def _target(
        self, target: ProbeTarget, state: Reachability, result: ProbeResult, at: datetime
    ) -> Publication:
        self._published[target.key] = at
        return Publication(target.key, target_message(target, state, result, at))

    def _note_trouble(self, target: ProbeTarget, echoes: Echoes) -> None:
        """Remember what is wrong with a target; of a host's addresses the next one is tried."""
        if not self._outcomes.note(echoes):
            return
        if self.targets.turn(target.address):
            self._change()
