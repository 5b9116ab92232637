"""Capture, prober and detector of the simulated Pi: the real cores, joined without a broker.

Theory of operation. What a core publishes is handed to those that subscribe to it, and kept where
the contract retains it, so that a restart (the Pi's power fails) finds what a broker would hold.
Windows pass through their JSON, as on the bus. Ticks come with the windows, and the clock that
never steps runs by them, a second for each: a Pi has one of each each second, and would take what
is merged here for silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.items import FrameSample, Sighting, WindowCounts
from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.messages import (
    Alert,
    Device,
    Probe,
    Publication,
    Target,
    Tombstone,
    Traffic,
    Wire,
)
from monitorpi_common.service import Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import Topic
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.items import Kept
from monitorpi_detector.limits import LimitsTable
from monitorpi_detector.settings import DetectorSettings
from monitorpi_prober.core import ProberCore
from monitorpi_prober.items import Found, PlanTaken, ProbeAttempt, RoundDone, Sweeping
from monitorpi_prober.settings import ProberSettings, TargetSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitorpi_common.messages import Message
    from monitorpi_prober.items import Exit
    from monitorpi_prober.schedule import ProbePlan
    from monitorpi_prober.targets import Network

SITE: Final = "home"


@dataclass(slots=True)
class PublishedAlert:
    """One alert as it was published, by its id."""

    first: Alert
    last: Alert
    openings: int = 1
    """Times it went from closed to open."""
    open_s: float = 0.0


@dataclass(slots=True)
class SimulatedStack:
    """The three cores and what the broker retains."""

    own: Exit
    """Address and MAC of the Pi."""
    attached: Sequence[Network]
    targets: Sequence[TargetSettings] = ()
    learning_s: float = 86400.0
    alerts: dict[str, PublishedAlert] = field(default_factory=dict)
    published: int = 0
    plan: ProbePlan | None = None
    woken: list[str] = field(default_factory=list)
    """Quiet targets that capture has seen: to be asked at once."""
    starts: int = 0
    rounds: int = 0
    _retained: dict[Topic, Message] = field(default_factory=dict)
    _kept: Kept = field(default_factory=Kept)
    _capture: CaptureCore = field(init=False)
    _detector: DetectorCore = field(init=False)
    _prober: ProberCore = field(init=False)
    _now: float = 0.0
    _open: set[str] = field(default_factory=set)

    # --- life ---------------------------------------------------------------------------------

    def boot(self, now: float) -> None:
        """Start the services, with what the broker and the detector's file hold."""
        self.starts += 1
        self._now = now
        epoch = f"week-{self.starts}"
        self.plan = None
        self._capture = CaptureCore(epoch, CaptureSettings(), steering=_Nobody(), clock_synced=True)
        self._detector = DetectorCore(
            SITE, DetectorSettings(learning_s=self.learning_s), kept=self._kept, keep=self._keep
        )
        self._prober = ProberCore(
            ProberSettings(targets=list(self.targets)), epoch, "pi", self._order,
            own_macs=frozenset({self.own.mac or ""}), attached=lambda: self.attached,
            wake=self.woken.extend,
        )  # fmt: skip
        for topic, message in list(self._retained.items()):
            received = Received(topic, message, retained=True)
            if isinstance(message, Device):
                self._spread(self._capture.handle(received), "capture")
            if isinstance(message, Device | Target):
                self._spread(self._prober.handle(received), "prober")
            if isinstance(message, Alert | Device | Target):
                self._spread(self._detector.handle(received), "detector")
        for service in ("capture", "prober"):
            there = Presence(Topic(SITE, service, "status", "pi"), online=True)
            self._spread(self._detector.handle(there), "detector")

    def halt(self) -> None:
        """Lose power: nothing is said, the broker's wills never reach anybody."""
        self.plan = None

    # --- what comes in ------------------------------------------------------------------------

    def take(self, item: object) -> None:
        """Take a sighting, a sample or a window."""
        if isinstance(item, Sighting | FrameSample):
            self._spread(self._capture.handle(item), "capture")
            return
        if isinstance(item, WindowCounts):
            self._now = max(self._now, item.end.wall_s)
            self._spread(self._capture.handle(item), "capture")
            self._tick(item.end.wall_s)

    def take_round(self, done: RoundDone) -> None:
        """Take what a round of probes brought."""
        self.rounds += 1
        self._now = max(self._now, done.end.timestamp())
        self._spread(self._prober.handle(done), "prober")

    def take_attempt(self, attempt: ProbeAttempt) -> None:
        """Take what became of one request to a quiet target."""
        self._spread(self._prober.handle(attempt), "prober")

    def sweep(self, item: Sweeping | Found) -> None:
        """Take the begin, the end or the result of a sweep of the LAN."""
        self._spread(self._prober.handle(item), "prober")

    def _tick(self, at_s: float) -> None:
        tick = Tick(moment(at_s), at_s, clock_synced=True)  # of one clock with the windows
        self._spread(self._capture.handle(tick), "capture")
        self._spread(self._prober.handle(tick), "prober")
        self._spread(self._detector.handle(tick), "detector")

    # --- the bus ------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Some alert is open."""
        return bool(self._open)

    def sends(self) -> tuple[float, float]:
        """Return the echo and ARP requests/s that the prober announced last."""
        probe = self._retained.get(Topic(SITE, "prober", "probe", "pi"))
        if not isinstance(probe, Probe):
            return 0.0, 0.0
        return probe.source.echo_per_s, probe.source.arp_per_s

    def _spread(self, published: Iterable[Publication | Tombstone], service: str) -> None:
        for one in published:
            if isinstance(one, Tombstone):
                topic = Topic(SITE, service, one.message_type.KIND, one.id)
                self._retained.pop(topic, None)
                self._spread(self._prober.handle(TombstoneReceived(topic)), "prober")
                self._spread(self._detector.handle(TombstoneReceived(topic)), "detector")
                continue
            message = one.message
            if isinstance(message, Traffic):
                message = Traffic.model_validate_json(message.encode())
            elif isinstance(message, Wire):
                continue  # nobody here subscribes to the window without its devices
            topic = Topic(SITE, service, message.KIND, one.id)
            self.published += 1
            if message.DELIVERY.retain or isinstance(message, Probe):
                self._retained[topic] = message
            self._hand(Received(topic, message))

    def _hand(self, received: Received) -> None:
        """Hand a message to those who subscribe to it."""
        message = received.message
        if isinstance(message, Alert):
            self._note(message)
        elif isinstance(message, Device):
            self._spread(self._prober.handle(received), "prober")
            self._spread(self._detector.handle(received), "detector")
        elif isinstance(message, Target):
            self._spread(self._capture.handle(received), "capture")
            self._spread(self._detector.handle(received), "detector")
        else:
            self._spread(self._detector.handle(received), "detector")

    def _note(self, alert: Alert) -> None:
        reported = self.alerts.get(alert.id)
        if reported is None:
            self.alerts[alert.id] = PublishedAlert(alert, alert)
        else:
            reported.openings += reported.last.state == "closed" and alert.state == "open"
            reported.last = alert
        if alert.state == "open":
            self._open.add(alert.key)
        else:
            self._open.discard(alert.key)

    def _keep(self, kept: Kept) -> None:
        self._kept = Kept.model_validate_json(kept.model_dump_json())

    def _order(self, plan: ProbePlan) -> None:
        self.plan = plan

    def take_plan(self, at_s: float) -> None:
        """Tell the prober that its plan is gone by from now on."""
        if self.plan is not None:
            exits = {one.key: self.own for one in self.plan.targets}
            self._spread(self._prober.handle(PlanTaken(moment(at_s), self.plan, exits)), "prober")


def loud_levels() -> dict[str, float]:
    """Return half of the lowest close level of the rules that look at each class, in frames/s."""
    return {name: level / 2 for name, level in LimitsTable({}, {}).levels().items()}


class _Nobody:
    """Stands for the live source: there is nobody to steer."""

    def watch(self, order: object) -> None:
        """Do nothing."""

    def pin(self, macs: object) -> None:
        """Do nothing."""


def moment(at_s: float) -> datetime:
    """Return seconds since 1970 as a time."""
    return datetime.fromtimestamp(at_s, UTC)
