"""The sensor itself: its conclusion on the bus, and alerts that open and close."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Health, Traffic, WatchState
from monitorpi_common.service import Presence, Received, Tick
from monitorpi_common.topics import Topic
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATUS = {name: Topic("lab", name, "status", "main") for name in ("capture", "detector", "prober")}


class Site:
    """A detector whose sensor works, second by second."""

    def __init__(self) -> None:
        self.core = DetectorCore("lab", DetectorSettings())
        self.second = 0
        self.windows = True
        self.drops = 0
        self.states: list[WatchState] = []
        self.alerts: list[Alert] = []
        self.take(Tick(NOW, 0.0, clock_synced=True))
        for topic in STATUS.values():
            self.take(Presence(topic, online=True))
        self.run(30)

    def take(self, item: object) -> None:
        """Hand in one item and keep what is published."""
        for one in self.core.handle(item):
            message = getattr(one, "message", None)
            if isinstance(message, WatchState):
                self.states.append(message)
            elif isinstance(message, Alert):
                self.alerts.append(message)

    def run(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.second += 1
            at = NOW + timedelta(seconds=self.second)
            if self.windows:
                values = {"seq": self.second, "start": at - timedelta(seconds=1), "end": at,
                          "packets": 100, "kernel_drops": self.drops, "counts": {}, "devices": [],
                          "sees_replies": True}  # fmt: skip
                window = example(Traffic).model_copy(update=values)
                self.take(Received(Topic("lab", "capture", "traffic", "eth0"), window))
            self.take(Tick(at, float(self.second), clock_synced=True))

    def reported(self, rule: str) -> list[tuple[str, str]]:
        """Return state and subject of each message about a rule, without repetitions."""
        published = [(one.state, one.subject) for one in self.alerts if one.rule == rule]
        return [one for at, one in enumerate(published) if at == 0 or published[at - 1] != one]


def test_a_sensor_that_works_is_watching() -> None:
    """The conclusion is repeated, so that a reader knows that it is fresh; no alert."""
    site = Site()
    before = len(site.states)

    site.run(60)

    assert site.states[-1].state == "watching"
    assert site.states[-1].reasons == []
    assert 18 <= len(site.states) - before <= 22
    assert site.states[-1].judged_until is not None
    assert site.alerts == []


def test_a_silent_interface_is_blind_and_an_alert_that_closes() -> None:
    """No window for ten seconds; well again three seconds after the next."""
    site = Site()

    site.windows = False
    site.run(8)
    assert site.states[-1].state == "blind"
    assert site.reported("sensor-blind") == []
    site.run(5)
    assert site.reported("sensor-blind") == [("open", "wire-eth0")]
    site.windows = True
    site.run(8)

    assert site.states[-1].state == "watching"
    assert site.reported("sensor-blind") == [("open", "wire-eth0"), ("closed", "wire-eth0")]


def test_why_an_interface_is_away_stands_in_the_alert() -> None:
    """Capture knows that the cable is out."""
    site = Site()
    health = example(Health).model_copy(
        update={"detail": {"interfaces_away": {"eth0": "no cable"}}}
    )

    site.windows = False
    site.take(Received(Topic("lab", "capture", "health", "main"), health))
    site.run(14)

    assert site.alerts[-1].summary.startswith("nothing is seen on eth0: no cable")


def test_frames_that_are_lost_are_an_alert() -> None:
    """More than one in a hundred over ten windows."""
    site = Site()

    site.drops = 5
    site.run(9)
    assert site.reported("sensor-loses") == []  # few frames yet
    site.drops = 50
    site.run(15)

    assert site.reported("sensor-loses") == [("open", "wire-eth0")]
    assert site.alerts[-1].evidence.value > 1
    assert site.states[-1].state == "partly"


def test_a_hiccup_is_no_sensor_that_loses() -> None:
    """One window with losses, however many: the kernel counts what the whole machine dropped."""
    site = Site()

    site.drops = 5000
    site.run(1)
    site.drops = 0
    site.run(20)

    assert site.reported("sensor-loses") == []
    assert site.states[-1].state == "watching"


def test_a_service_that_went_is_an_alert_and_one_that_never_came_is_none() -> None:
    """What was here and has gone is missed."""
    site = Site()
    site.take(Presence(STATUS["prober"], online=False))

    site.run(12)
    assert site.reported("service-missing") == [("open", "prober")]
    assert site.states[-1].state == "partly"
    site.take(Presence(STATUS["prober"], online=True))
    site.run(8)

    assert site.reported("service-missing") == [("open", "prober"), ("closed", "prober")]


def test_who_was_taken_back_is_not_missed() -> None:
    """A replica that will not come back: its status is gone from the broker."""
    site = Site()
    notifier = Topic("lab", "notifier", "status", "main")
    site.take(Presence(notifier, online=True))
    site.take(Presence(notifier, online=False))
    site.run(1)
    assert site.states[-1].state == "partly"

    site.take(Presence(notifier, online=False, taken_back=True))
    site.run(1)

    assert site.states[-1].state == "watching"


def test_a_short_restart_is_no_alert() -> None:
    """A service that is back within ten seconds."""
    site = Site()

    site.take(Presence(STATUS["prober"], online=False))
    site.run(7)
    site.take(Presence(STATUS["prober"], online=True))
    site.run(20)

    assert site.reported("service-missing") == []


def test_each_change_is_published_at_once() -> None:
    """A reader learns it with the next tick."""
    site = Site()
    before = len(site.states)

    site.take(Presence(STATUS["capture"], online=False))
    site.run(1)

    assert [one.state for one in site.states[before:]] == ["blind"]
    assert site.states[-1].reasons[0].service == "capture"
