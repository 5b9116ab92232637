"""The prober's core: who is probed, what the answers mean, who is up.

Theory of operation. The core keeps the list of targets: the configured ones and the devices that
capture announces. The pinger asks for a :class:`Plan` before each round and reports a
:class:`RoundDone` after it; the core turns the times into statistics, follows each target's state
with hysteresis, and publishes the round and the states that changed.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import (
    Device,
    Probe,
    ProbeNow,
    ProbeResult,
    ProbeSource,
    Publication,
    Target,
    TargetState,
    Tombstone,
)
from monitorpi_common.service import CommandRefusedError, Gone, Order, Received, Tick
from monitorpi_common.topics import address_id, slug
from monitorpi_prober import statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import JsonValue

    from monitorpi_prober.settings import ProberSettings

REFRESH: Final = timedelta(seconds=60)
"""A target's state is published on change and at most this often otherwise."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One target as the pinger needs it."""

    key: str
    """Its id in topics."""
    name: str
    address: str
    mac: str | None = None
    vendor: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the pinger shall do in the next round."""

    aims: tuple[Aim, ...]
    probes: int
    interval_s: float
    timeout_s: float

    @property
    def rate(self) -> float:
        """Echo requests per second."""
        return len(self.aims) * self.probes / self.interval_s


@dataclass(frozen=True, slots=True)
class Echoes:
    """What came back from one target, in order of sending; None: no reply in time."""

    key: str
    times_ms: tuple[float | None, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RoundDone:
    """A round, measured."""

    start: datetime
    end: datetime
    plan: Plan
    echoes: tuple[Echoes, ...]
    source: ProbeSource
    noise_floor_ms: float | None


@dataclass(slots=True)
class _State:
    state: TargetState = "unknown"
    since: datetime | None = None
    lost_rounds: int = 0
    published: datetime | None = None


@dataclass(slots=True)
class ProberCore:
    """The pure part of the prober."""

    settings: ProberSettings
    epoch: str
    instance: str
    order: Callable[[Plan], None]
    """Hands the pinger its next plan."""
    probe_now: Callable[[], None] = lambda: None
    """Asks the pinger not to wait for the round."""
    _configured: dict[str, Aim] = field(init=False)
    _announced: dict[str, Aim] = field(default_factory=dict)
    _by_device: dict[str, list[str]] = field(default_factory=dict)
    _states: dict[str, _State] = field(default_factory=dict)
    _seq: int = 0
    _clock_synced: bool = False
    _rounds: int = 0

    def __post_init__(self) -> None:
        aims = [
            Aim(target_id(target.address), target.name or target.address, target.address)
            for target in self.settings.targets
        ]
        self._configured = {aim.key: aim for aim in aims}
        self.order(self.plan())

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication | Tombstone]:
        """Take one item."""
        match item:
            case RoundDone():
                yield from self._round_done(item)
            case Received(_, Device() as device):
                self._announce(device)
            case Received(_, Target() as target) if item.retained:
                self._remember(target)
            case Gone(topic) if topic.kind == Device.KIND:
                yield from self._forget(topic.id)
            case Tick(_, _, synced):
                self._clock_synced = synced
            case Order(_, ProbeNow(address=address)):
                self._probe_now(address)
            case _:
                return

    def close(self) -> Iterable[Publication | Tombstone]:
        """Targets stay as they are: retained, and read again at the next start."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Tell how much is probed."""
        plan = self.plan()
        return {
            "targets": len(plan.aims),
            "probes_per_round": plan.probes,
            "echo_per_s": round(plan.rate, 3),
            "rounds": self._rounds,
        }

    # --- targets ----------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Return what the next round shall do."""
        settings = self.settings
        newest_first = reversed(self._announced.values())
        merged = self._configured | {
            aim.key: aim for aim in newest_first if aim.key not in self._configured
        }
        aims = tuple(merged.values())[: settings.max_targets]
        fits = int(settings.max_rate * settings.interval_s / len(aims)) if aims else settings.probes
        return Plan(
            aims, max(1, min(settings.probes, fits)), settings.interval_s, settings.timeout_s
        )

    def _announce(self, device: Device) -> None:
        """Take the addresses of a device that capture has seen."""
        if not self.settings.announced:
            return
        keys = []
        for address in device.ips:
            if not _is_probeable(address):
                continue
            key = target_id(address, device.interface)
            name = device.hostname or address
            aim = Aim(key, name, address, device.mac, device.vendor)
            known = self._configured.get(key)
            if known is not None:
                self._configured[key] = replace(known, mac=device.mac, vendor=device.vendor)
                continue
            self._announced.pop(key, None)
            self._announced[key] = aim
            keys.append(key)
        for key in set(self._by_device.get(device.mac, [])) - set(keys):
            self._announced.pop(key, None)
        self._by_device[device.mac] = keys
        self.order(self.plan())

    def _forget(self, device_id: str) -> Iterable[Tombstone]:
        """Drop the addresses of a device that capture has taken back."""
        mac = ":".join(device_id[i : i + 2] for i in range(0, len(device_id), 2))
        for key in self._by_device.pop(mac, []):
            self._announced.pop(key, None)
            if self._states.pop(key, None) is not None:
                yield Tombstone(key, Target)
        self.order(self.plan())

    def _remember(self, target: Target) -> None:
        """Take up the state of a target as it was before a restart."""
        key = target_id(target.address)
        if key not in self._states:
            self._states[key] = _State(target.state, target.since)

    def _probe_now(self, address: str | None) -> None:
        if address is not None and target_id(address) not in {a.key for a in self.plan().aims}:
            raise CommandRefusedError(f"{address} is not a target")
        self.probe_now()

    # --- results ----------------------------------------------------------------------------

    def _round_done(self, done: RoundDone) -> Iterable[Publication]:
        """Publish a round, and the targets whose state changed or was not told for a while."""
        aims = {aim.key: aim for aim in done.plan.aims}
        results = []
        for echoes in done.echoes:
            aim = aims[echoes.key]
            state = self._states.setdefault(echoes.key, _State())
            before = state.state
            self._follow(state, echoes, done.end)
            result = summarise(aim, echoes, state.state)
            results.append(result)
            due = state.published is None or done.end - state.published >= REFRESH
            if due or state.state != before:
                state.published = done.end
                yield Publication(aim.key, self._target(aim, state, result, done.end))
        for key in self._states.keys() - aims.keys() - self._announced.keys():
            if self._states[key].published is not None:
                del self._states[key]
        self._rounds += 1
        self._seq += 1
        yield Publication(
            self.instance,
            Probe(
                epoch=self.epoch,
                seq=self._seq,
                round_start=done.start,
                round_end=done.end,
                clock_synced=self._clock_synced,
                noise_floor_ms=done.noise_floor_ms,
                source=done.source.model_copy(update={"echo_per_s": round(done.plan.rate, 3)}),
                targets=results,
            ),
        )

    def _follow(self, state: _State, echoes: Echoes, at: datetime) -> None:
        """Move the state of one target: up after one reply, down after several silent rounds."""
        answered = any(time is not None for time in echoes.times_ms)
        state.lost_rounds = 0 if answered else state.lost_rounds + 1
        wanted = state.state
        if answered:
            wanted = "up"
        elif state.lost_rounds >= self.settings.down_after:
            wanted = "down"
        if wanted != state.state or state.since is None:
            state.state, state.since = wanted, at

    def _target(self, aim: Aim, state: _State, result: ProbeResult, at: datetime) -> Target:
        return Target(
            name=aim.name,
            address=aim.address,
            mac=aim.mac,
            vendor=aim.vendor,
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


def target_id(address: str, interface: str | None = None) -> str:
    """Return the id of a target: of its IP address, or of its host name."""
    try:
        return address_id(address, interface)
    except ValueError:
        return slug(address)


def _is_probeable(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.version == 4 and not (ip.is_multicast or ip.is_unspecified or ip.is_loopback)  # noqa: PLR2004


def _percentile(times: Sequence[float], q: float) -> float | None:
    return statistics.percentile(times, q) if times else None


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
