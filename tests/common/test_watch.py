"""Whether anybody watches: every way to be blind, told and untold, without clock or network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common import watch
from monitorpi_common.conclusion import START_S
from monitorpi_common.examples import example
from monitorpi_common.messages import Health, Traffic, WatchReason, WatchState
from monitorpi_common.topics import Topic
from monitorpi_common.watch import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATUS = {name: Topic("lab", name, "status", "main") for name in ("capture", "detector", "prober")}


class Site:
    """An observer in the middle of a site that works, second by second."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.seq = 0
        self.observer = Observer()
        self.observer.tick(0.0, None)
        self.broker: str | None = None
        self.windows: dict[str, dict[str, Any]] = {"eth0": {}}
        self.judges = True
        self.pulses = True
        self.late_s = 0.5
        for topic in STATUS.values():
            self.observer.presence(topic, online=True)
        self.run(30)

    def run(self, seconds: int) -> None:
        """Let time pass; windows come each second, the detector says each five what it judged."""
        for _ in range(seconds):
            self.now_s += 1
            self.seq += 1
            at = NOW + timedelta(seconds=self.now_s)
            for name, changes in self.windows.items():
                values = {"interface": name, "seq": self.seq, "kernel_drops": 0, "packets": 1000}
                end = {"end": at - timedelta(seconds=self.late_s), "sees_replies": True}
                window = example(Traffic).model_copy(update=values | end | changes)
                self.send("capture", "traffic", name, window)
            if self.judges and self.seq % 5 == 0:
                told = example(WatchState).model_copy(
                    update={"state": "watching", "reasons": [], "judged_until": at}
                )
                self.send("detector", "watch", "main", told)
            if self.pulses and self.seq % 3 == 0:
                self.send("prober", "health", "main", example(Health))
            self.observer.tick(self.now_s, self.broker)

    def send(self, service: str, kind: str, id_: str, message: Any, retained: bool = False) -> None:
        """Let a message arrive."""
        at = NOW + timedelta(seconds=self.now_s)
        self.observer.receive(Topic("lab", service, kind, id_), message, at, retained=retained)

    def health(self, **detail: Any) -> None:
        """Let capture say something of itself."""
        self.send(
            "capture", "health", "main", example(Health).model_copy(update={"detail": detail})
        )

    @property
    def state(self) -> str:
        """The word for the watch."""
        return self.observer.state()[0]

    @property
    def texts(self) -> str:
        """All reasons in one text."""
        return " ".join(reason.text for reason in self.observer.state()[1])


def _offline(name: str) -> Callable[[Site], None]:
    return lambda site: site.observer.presence(STATUS[name], online=False)


def _no_windows(site: Site) -> None:
    site.windows = {}


def _frozen_detector(site: Site) -> None:
    site.judges = False


def _frozen_prober(site: Site) -> None:
    site.pulses = False


def _cable_out(site: Site) -> None:
    site.health(interfaces_away={"eth0": "its cable is out"})
    site.windows = {}


def _switched_off(site: Site) -> None:
    """Its last window has no link any more, and capture says why no other comes."""
    site.windows["eth0"] = {"has_link": False}
    site.run(1)
    site.health(interfaces_away={"eth0": "the interface is down"})
    site.windows = {}
    site.run(5)
    assert "No window of eth0 for 7 s: the interface is down." in site.texts


def test_a_window_that_the_setting_of_the_clock_overtook_is_not_late() -> None:
    """It comes by the new clock, ahead of the tick that brings it; the next one is as it should."""
    site = Site()
    site.late_s = 86_400.0
    site.run(1)
    assert "when they arrive" not in site.texts
    site.late_s = 0.5
    site.run(1)

    assert "when they arrive" not in site.texts


def _late(seconds: float) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.late_s = seconds

    return change


def _windows(**changes: Any) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.windows["eth0"] = changes

    return change


def _broker(site: Site) -> None:
    site.broker = "nobody listens there"


WAYS = [
    ("broker away", _broker, "blind", "No connection to the broker: nobody listens there."),
    ("capture stopped", _offline("capture"), "blind", "The capture is not running."),
    ("detector stopped", _offline("detector"), "blind", "The detector is not running."),
    ("prober stopped", _offline("prober"), "partly", "The prober is not running."),
    ("capture frozen", _no_windows, "blind", "No window of eth0 for 1"),
    ("detector frozen", _frozen_detector, "blind", "The detector does not keep up"),
    ("cable out", _cable_out, "blind", " s: its cable is out."),
    ("switched off", _switched_off, "blind", "No window of eth0 for 1"),
    ("no carrier", _windows(has_link=False), "blind", "eth0 has had no link for 1"),
    ("windows late", _late(6.0), "partly", "Windows of eth0 are 6 s old when they arrive."),
    ("clock ahead", _late(-20.0), "partly", "Windows of eth0 are 20 s ahead when they arrive."),
    ("prober frozen", _frozen_prober, "partly", "The prober has said nothing for "),
    ("clock behind", _late(20.0), "partly", "Windows of eth0 are 20 s old when they arrive."),
    ("losses", _windows(kernel_drops=50), "partly", "loses 4.8% of the frames of eth0"),
    ("one direction", _windows(sees_replies=False), "partly", "sees one direction of"),
]


def test_a_site_that_works_is_watched() -> None:
    """The control: nothing is said."""
    site = Site()

    assert site.state == "watching"
    assert site.texts == ""


@pytest.mark.parametrize(
    ("change", "state", "text"), [w[1:] for w in WAYS], ids=[w[0] for w in WAYS]
)
def test_every_way_to_be_blind_is_said_within_ten_seconds(
    change: Callable[[Site], None], state: str, text: str
) -> None:
    """The state changes, and the reason says what is wrong and what to do."""
    site = Site()

    change(site)
    site.run(10)

    assert site.state == state
    assert text in site.texts
    assert all(reason.remedy for reason in site.observer.state()[1])


@pytest.mark.parametrize("change", [w[1] for w in WAYS], ids=[w[0] for w in WAYS])
def test_it_is_well_again_within_ten_seconds(change: Callable[[Site], None]) -> None:
    """What is mended is said to be."""
    site = Site()
    change(site)
    site.run(30)
    assert site.state != "watching"

    site.broker, site.judges, site.late_s, site.windows = None, True, 0.5, {"eth0": {}}
    site.pulses = True
    for topic in STATUS.values():
        site.observer.presence(topic, online=True)
    site.run(10)

    assert (site.state, site.texts) == ("watching", "")


def test_one_of_two_ports_that_is_silent_leaves_the_other() -> None:
    """A part is not seen."""
    site = Site()
    site.windows["eth1"] = {}
    site.run(5)

    del site.windows["eth0"]
    site.run(10)

    assert site.state == "partly"
    assert "No window of eth0 for 1" in site.texts


def test_a_capture_that_was_taken_back_is_not_waited_for() -> None:
    """A drill's second capture: its interface goes with it; one of two that share one stays."""
    site = Site()
    site.windows |= {"drill0": {}, "eth1": {}}
    drill = Topic("lab", "capture", "status", "drill")
    site.observer.presence(drill, online=True)
    site.run(5)
    site.health(interfaces=["eth0", "eth1"])
    told = example(Health).model_copy(update={"detail": {"interfaces": ["drill0", "eth1"]}})
    site.send("capture", "health", "drill", told)

    site.observer.presence(drill, online=False)
    left = site.observer.gone(drill)
    del site.windows["drill0"]
    site.run(10)

    assert left == {"drill0"}
    assert site.state == "watching"


def test_what_never_came_is_starting_and_then_missing() -> None:
    """A stack of which only the page runs: blind from the first second, and honest about why."""
    observer = Observer()
    observer.tick(0.0, None)
    state, reasons = observer.state()
    assert state == "blind"
    assert "has not been heard of yet" in reasons[0].text

    for second in range(round(START_S) + 1):
        observer.tick(second + 1, None)
    state, reasons = observer.state()

    assert state == "blind"
    assert [reason.service for reason in reasons] == ["capture", "detector", "prober"]
    assert all("is not running" in reason.text for reason in reasons)
    assert START_S == 15.0


def test_copies_are_told_and_leave_the_watch_whole() -> None:
    """They are corrected; who reads on learns how to end them."""
    site = Site()
    site.windows["eth0"] = {"copies_ratio": 0.5}
    site.run(5)

    assert site.state == "watching"
    assert "shows 50% of the frames of eth0 twice" in site.texts


def test_what_a_broker_remembers_says_nothing_of_now() -> None:
    """A retained conclusion of a detector that is gone is not repeated."""
    observer = Observer()
    observer.tick(0.0, None)
    good = example(WatchState).model_copy(update={"state": "watching", "reasons": []})

    observer.receive(Topic("lab", "detector", "watch", "main"), good, NOW, retained=True)
    observer.tick(20.0, None)

    assert observer.state()[0] == "blind"


@pytest.mark.parametrize(("retained", "is_judged"), [(False, True), (True, False)])
def test_a_detector_keeps_up_by_the_health_it_has_now(retained: bool, is_judged: bool) -> None:
    """Its watermark goes on; one that the broker remembers is of another life."""
    site = Site()
    site.judges = False
    for _ in range(4):
        site.run(10)
        health = example(Health).model_copy(update={"detail": {"watermark": site.now_s}})
        site.send("detector", "health", "main", health, retained)

    assert (site.state == "watching") == is_judged


def test_a_detector_that_comes_back_has_just_spoken() -> None:
    """Its first conclusion takes some seconds: how long it was away is no silence of it."""
    site = Site()
    site.judges, site.windows = False, {}
    site.observer.presence(STATUS["detector"], online=False)
    site.run(60)
    site.observer.presence(STATUS["detector"], online=True)

    assert "said nothing" not in site.texts

    site.run(9)

    assert "The detector has said nothing for " in site.texts


def test_a_reader_repeats_what_the_detector_says_when_that_is_worse() -> None:
    """The detector knows what a reader may not: all say the same."""
    site = Site()
    reason = WatchReason(what="judging", text="The state cannot be written.", remedy="make room")
    told = example(WatchState).model_copy(update={"state": "partly", "reasons": [reason]})
    site.judges = False
    site.send("detector", "watch", "main", told)

    assert site.state == "partly"
    assert site.texts == "The state cannot be written."


def test_state_that_cannot_be_written_is_said_until_it_can() -> None:
    """A full disk: all is counted and judged, and a power cut would take what was learned."""
    site = Site()

    site.health(state_file={"error": "No space left on device"})
    site.run(1)

    assert site.state == "partly"
    assert "What the capture knows cannot be kept over a restart: No space left" in site.texts
    site.health(state_file={"error": None})
    site.run(1)
    assert (site.state, site.texts) == ("watching", "")


def test_what_keeps_a_service_from_its_work_is_said_in_its_words() -> None:
    """Any service may say a trouble and its remedy in its health."""
    site = Site()

    site.health(trouble={"state": "full", "text": "the disk is full", "remedy": "make room"})
    site.run(1)

    assert (site.state, site.texts) == ("partly", "The capture: the disk is full.")
    site.health(trouble=None)
    site.run(1)
    assert site.state == "watching"


def test_foreign_numbers_are_bounded() -> None:
    """Interfaces, instances and texts of others fill no memory."""
    site = Site()
    for number in range(500):
        site.windows = {f"eth{number}": {}}
        site.run(1)
        site.observer.presence(Topic("lab", "prober", "status", f"p{number}"), online=True)
    site.health(
        interfaces_away={f"{n:03}" * 40: "y" * 5000 for n in range(1000)},
        state_file={"error": "z" * 5000},
        trouble={"text": "z" * 5000, "remedy": ["z"] * 5000},
    )

    facts = site.observer.facts()
    assert len(site.observer.interfaces) == watch.MAX_INTERFACES == 64
    assert len(facts.away) == 64
    assert {(len(name), len(why)) for name, why in facts.away.items()} == {(32, 120)}
    assert facts.unkept == {"capture": "z" * 120}
    ((text, remedy),) = facts.troubles.values()
    assert (text, len(remedy)) == ("z" * 200, 200)
    assert len(site.observer.state()[1]) <= 32
    assert all(len(reason.text) <= 255 for reason in site.observer.state()[1])


def test_what_is_away_is_known_until_capture_goes() -> None:
    """Nobody else's coming or going changes it."""
    site = Site()
    site.run(1)
    site.health(interfaces_away={"eth1": "the interface is down"})
    known = []
    for name, online in (("prober", False), ("capture", True), ("capture", False)):
        site.observer.presence(STATUS[name], online=online)
        known.append(dict(site.observer.facts().away))

    assert known == [{"eth1": "the interface is down"}] * 2 + [{}]


def test_a_pause_of_our_own_is_no_silence_of_others() -> None:
    """Whoever was stopped for a minute finds what came meanwhile still waiting to be read."""
    world = Site()

    world.now_s += 60
    world.observer.tick(world.now_s, None)

    assert world.observer.state() == ("watching", ())
    world.windows.clear()
    world.run(8)
    assert world.state == "blind"
    assert "No window of eth0 for" in world.texts
