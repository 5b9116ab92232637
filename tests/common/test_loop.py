"""The loop of a service, item by item: a bus, a core and clocks of our own, nothing waits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common import __version__, clock, loop
from monitorpi_common.bus import Counters, Disconnected, InputEnded, Raw, Report, Subscribed
from monitorpi_common.examples import AT, EXAMPLES, example
from monitorpi_common.inbox import Inbox
from monitorpi_common.loop import Shell, Stop
from monitorpi_common.messages import (
    Alert,
    Device,
    Foreign,
    Health,
    Publication,
    Service,
    Tombstone,
)
from monitorpi_common.service import (
    Assembly,
    CommandReceived,
    CommandRefusedError,
    Outside,
    Presence,
    Received,
    ResourceError,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.settings import CommonSettings
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(frozen=True)
class Later:
    """Time passes while the core handles this."""

    seconds: float


@dataclass
class Bus:
    """Keeps what is published, and what else is asked of it."""

    live: bool = True
    adopts: bool = True
    alive: bool = True
    depth: int = 3
    counters: Counters = field(default_factory=lambda: Counters(1, 0, 0, 4, 5))
    sent: list[tuple[str, bytes, Any, Any]] = field(default_factory=list)
    adopted: list[Raw] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    report: Report | None = None
    flushed: int = 0
    calls: list[str] = field(default_factory=list)

    def open(self, _: Inbox, subscriptions: Sequence[str]) -> None:
        """Note what is asked for."""
        self.subscriptions = list(subscriptions)

    def event(self, _: object) -> Report | None:
        """Report as the test wants."""
        return self.report

    def publish(self, topic: object, payload: bytes, delivery: Any, expiry_s: Any) -> None:
        """Keep it."""
        self.sent.append((str(topic), payload, delivery, expiry_s))

    def adopt(self, raw: Raw, delivery: Any) -> bool:
        """Keep it."""
        del delivery
        self.adopted.append(raw)
        return self.adopts

    def flush(self) -> None:
        """Count it."""
        self.flushed += 1

    def close(self) -> None:
        """Note it."""
        self.calls.append("bus")


@dataclass
class World:
    """A detector's loop, driven by what lies in its inbox."""

    monkeypatch: pytest.MonkeyPatch
    bus: Bus = field(default_factory=Bus)
    now_s: float = 1000.0
    handled: list[Any] = field(default_factory=list)
    answers: dict[type, Callable[[Any], Iterable[Any]]] = field(default_factory=dict)
    assembly: dict[str, Any] = field(default_factory=dict)
    retention: Any = None
    common: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    inbox: Inbox = field(default_factory=Inbox)

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(loop.time, "monotonic", lambda: self.now_s)
        self.monkeypatch.setattr(clock, "boot_s", lambda: self.now_s + 50)
        self.monkeypatch.setattr(clock, "wall", lambda: AT + timedelta(seconds=self.now_s - 1000.0))

    def handle(self, item: object) -> Iterable[Any]:
        """Be the core."""
        if isinstance(item, Later):
            self.now_s += item.seconds
            return ()
        self.handled.append(item)
        answer = self.answers.get(type(item))
        return () if answer is None else answer(item)

    def close(self) -> Iterable[Any]:
        """Say last words."""
        self.bus.calls.append("core")
        return [Publication("last", example(Alert))]

    def detail(self) -> dict[str, Any]:
        """Say something of ourselves."""
        return {"mine": 1}

    def __getattr__(self, name: str) -> Any:
        """Be the log."""
        if name in ("info", "warning"):
            return lambda event, **fields: self.lines.append((name, event, fields))
        raise AttributeError(name)

    def run(self, *items: object, end: object | None = None) -> World:
        """Let the loop take some items and stop."""
        for item in (*items, end or Stop()):
            self.inbox.put(item)
        common = CommonSettings(site="lab", **{"trust_clock": True} | self.common)
        assembly = Assembly(core=self, **self.assembly)
        shell = Shell(Service.DETECTOR, common, assembly, self.bus, self.inbox, self,  # type: ignore[arg-type]
                      self.retention)  # fmt: skip
        shell.run()
        return self

    def of(self, kind: type) -> list[Any]:
        """Return what the core was handed of a kind."""
        return [item for item in self.handled if isinstance(item, kind)]

    def payloads(self, part: str) -> list[bytes]:
        """Return what was published on topics with a part."""
        return [payload for topic, payload, *_ in self.bus.sent if part in topic]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a loop that has not run yet."""
    return World(monkeypatch)


def raw(topic: Topic, message: Any, **more: Any) -> Raw:
    """Return a message as it comes in."""
    return Raw(str(topic), message.encode(), **more)


DEVICE = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Device))
ALERT = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Alert))
COMMAND = Topic("lab", "detector", "command", "c1")


def command(name: str = "acknowledge", args: str = '{"key":"k"}', **more: Any) -> Raw:
    """Return a command as it comes in."""
    text = f'{{"name":"{name}","args":{args},"at":"2026-01-01T00:00:00Z"}}'
    return Raw(str(COMMAND), text.encode(), **more)


# --- time -----------------------------------------------------------------------------------------


def test_ticks_come_each_second_and_health_each_third(world: World) -> None:
    """At once at the start; a second that was missed is not made up for."""
    world.run(*[Later(0.5)] * 12, Later(100.0), Later(0.5), Later(0.5))

    times = [tick.boot_s - 1050 for tick in world.of(Tick)]
    assert times[:8] == [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 106.0]
    assert [tick.at for tick in world.of(Tick)][1] == AT + timedelta(seconds=1)
    health = [Health.model_validate_json(one) for one in world.payloads("/health/")]
    assert [(one.at - AT).total_seconds() for one in health] == [0.5, 4.0, 106.0]


def test_health_tells_what_the_parts_count(world: World) -> None:
    """And how old we are, and how much memory we have."""
    world.assembly["outside"] = ["elsewhere"]
    world.run(Later(4.0), Raw("elsewhere", b"x"), Raw("nonsense", b"x"), Later(3.04), Later(0.0))

    first, second = (Health.model_validate_json(one) for one in world.payloads("/health/main"))
    assert (first.version, first.started_at, first.uptime_s) == (__version__, AT, 4.0)
    assert (second.uptime_s, second.clock_synced) == (7.0, True)
    assert (second.published_total, second.received_total, second.rejected_total) == (1, 2, 1)
    assert (second.refused_total, second.queue_dropped_total) == (4, 5)
    assert (first.queue_depth, second.queue_depth) == (3 + 5, 3 + 2)
    assert second.detail == {"mine": 1}
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert second.rss_bytes == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.3)


def test_the_clock_is_asked_each_ten_seconds(world: World) -> None:
    """Unless it is trusted; each tick says what was answered last."""
    answers = iter([False, True])
    world.monkeypatch.setattr(clock, "synchronised", lambda: next(answers))
    world.common = {"trust_clock": False}

    world.run(*[Later(1.0)] * 12)

    assert [tick.clock_synced for tick in world.of(Tick)] == [False] * 10 + [True] * 3


def test_a_pipe_has_no_time_of_its_own(world: World) -> None:
    """No tick, no health, no commands of its own; flushed where nothing waits."""
    world.bus.live = False
    world.assembly = {"subscriptions": ["a"], "outside": ["b"]}

    world.run(Later(10.0), end=InputEnded())

    assert world.of(Tick) == []
    assert world.payloads("health") == []
    assert world.bus.subscriptions == ["a", "b"]


def test_commands_and_our_own_health_are_subscribed_to(world: World) -> None:
    """Beside what the service wants."""
    world.assembly = {"subscriptions": ["a"], "outside": ["b"]}

    world.run()

    assert world.bus.subscriptions == [
        "a", "b", "monitorpi/v1/lab/detector/command/+", "monitorpi/v1/lab/detector/health/main",
    ]  # fmt: skip


@pytest.mark.parametrize(("alive", "touched"), [(True, True), (False, False)])
def test_the_heartbeat_beats_while_the_network_thread_lives(
    world: World, tmp_path: Path, alive: bool, touched: bool
) -> None:
    """A file that cannot be touched is a line of the log."""
    beat = tmp_path / "beat"
    world.common, world.bus.alive = {"heartbeat": beat}, alive

    world.run(Later(1.0))

    assert beat.exists() is touched
    if alive:
        beat.unlink()
        world.common = {"heartbeat": tmp_path / "missing" / "beat"}
        world.run(Later(1.0))
        assert world.lines[-1][:2] == ("warning", "cannot touch the heartbeat file")


def test_trouble_with_the_broker_is_in_each_tick_until_it_is_over(world: World) -> None:
    """From the start on; what is said is logged by its weight."""

    def says(text: str, *, failed: bool) -> None:
        world.bus.report = Report(text, failed)

    says("refused", failed=True)
    world.run(Later(1.0), Disconnected("x"), Later(1.0))
    assert [tick.broker for tick in world.of(Tick)] == ["not connected yet", "refused", "refused"]
    assert world.lines == [("warning", "bus", {"what": "refused"})]

    says("connected", failed=False)
    world.run(Disconnected("x"), Later(1.0))
    assert [tick.broker for tick in world.of(Tick)][3:] == [None, None]
    assert world.lines[-1] == ("info", "bus", {"what": "connected"})
    world.bus.report = None
    world.run(Disconnected("x"), Later(1.0))
    assert world.of(Tick)[-1].broker == "not connected yet"
    assert len(world.lines) == 2


# --- what comes in --------------------------------------------------------------------------------


def test_what_is_of_the_contract_reaches_the_core(world: World) -> None:
    """Messages, presences, tombstones, and bytes from outside our tree."""
    status = Topic("lab", "capture", "status", "main")
    world.assembly["outside"] = ["homeassistant/status"]

    world.run(
        raw(*DEVICE, retained=True), Raw(str(DEVICE[0]), b""), Raw(str(status), b"online"),
        Raw(str(status), b"offline"), Raw(str(status), b""),
        Raw("homeassistant/status", b"\xff", retained=True),
    )  # fmt: skip

    assert [item for item in world.handled if not isinstance(item, Tick)] == [
        Received(DEVICE[0], DEVICE[1], retained=True),
        TombstoneReceived(DEVICE[0]),
        Presence(status, online=True),
        Presence(status, online=False),
        Presence(status, online=False, taken_back=True),
        Outside("homeassistant/status", b"\xff", retained=True),
    ]
    assert (world.bus.counters.received, world.bus.counters.rejected) == (6, 0)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("nonsense", b"{}", ""),
        (str(DEVICE[0]), b"{", ""),
        (str(DEVICE[0]), b"{}", "mac: Field required"),
        (str(DEVICE[0]), b" " * (512 * 1024 + 1), "larger than 524288 bytes"),
        ("monitorpi/v1/lab/capture/secret/x", b"{}", "no message of the contract has the kind"),
        ("monitorpi/v1/lab/capture/status/main", b"maybe", ""),
    ],
)
def test_what_is_not_of_the_contract_is_counted(
    world: World, topic: str, payload: bytes, reason: str
) -> None:
    """Logged with its topic and the reason, in one line, and forgotten."""
    world.run(Raw(topic, payload))

    assert [item for item in world.handled if not isinstance(item, Tick)] == []
    assert (world.bus.counters.received, world.bus.counters.rejected) == (1, 1)
    ((level, event, fields),) = world.lines
    assert (level, event, fields["topic"]) == ("warning", "rejected a message", topic)
    assert reason in fields["reason"]
    assert "\n" not in fields["reason"]


def test_a_message_of_half_a_megabyte_is_read(world: World) -> None:
    """Not one byte more; what is wrong with it is wrong otherwise."""
    text = DEVICE[1].encode()

    world.run(Raw(str(DEVICE[0]), text + b" " * (512 * 1024 - len(text))))

    assert len(world.of(Received)) == 1


# --- commands -------------------------------------------------------------------------------------


def results(world: World) -> list[tuple[str, bool, str | None]]:
    """Return name, success and error of each result."""
    kind = loop.Result
    found = [kind.model_validate_json(one) for one in world.payloads("/result/c1")]
    return [(one.name, one.ok, one.error) for one in found]


def test_a_command_is_carried_out_and_answered(world: World) -> None:
    """What follows from it is published before its result."""
    world.answers[CommandReceived] = lambda _: [Publication("x", example(Alert))]

    world.run(command())

    (item,) = world.of(CommandReceived)
    assert (item.name, item.args.key, item.id) == ("acknowledge", "k", "c1")
    assert results(world) == [("acknowledge", True, None)]
    kinds = [topic.split("/")[4] for topic, *_ in world.bus.sent if "health" not in topic]
    assert kinds == ["alert", "result", "alert"]
    assert world.bus.counters.rejected == 0


@pytest.mark.parametrize(
    ("sent", "name", "error"),
    [
        (command("dance"), "dance", "unknown command; known: silence, acknowledge, set_threshold"),
        (command(args="{}"), "acknowledge", "key: Field required"),
        (command(retained=True), "unknown",
         "a retained command is refused: send it without retain"),
        (Raw(str(COMMAND), b"{}"), "unknown", "name: Field required"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_obeyed_says_why(
    world: World, sent: Raw, name: str, error: str
) -> None:
    """In its result, in the log and in the counter."""
    world.run(sent)

    assert results(world) == [(name, False, error)]
    assert world.of(CommandReceived) == []
    assert world.bus.counters.rejected == 1
    assert world.lines == [("warning", "refused a command", {"name": name, "reason": error})]


def test_a_core_may_refuse_a_command(world: World) -> None:
    """Its words are cut to what a result may hold."""

    def refuse(_: object) -> Iterable[Any]:
        raise CommandRefusedError("x" * 300)

    world.answers[CommandReceived] = refuse

    world.run(command())

    assert results(world) == [("acknowledge", False, "x" * 255)]


def test_commands_of_others_are_not_ours(world: World) -> None:
    """They are no message of the contract here."""
    world.run(Raw("monitorpi/v1/lab/prober/command/c1", b"{}"))

    assert world.payloads("/result/") == []
    assert world.bus.counters.rejected == 1


@pytest.mark.parametrize(("live", "answered"), [(True, 50 + 20), (False, 140)])
def test_commands_are_carried_out_fifty_at_once_and_twenty_a_second(
    world: World, live: bool, answered: int
) -> None:
    """What is more gets no answer; a pipe has as many as it has."""
    world.bus.live = live

    world.run(*[command()] * 70, Later(1.0), *[command()] * 70)

    assert len(results(world)) == answered
    assert world.bus.counters.rejected == 140 - answered


# --- our own name ---------------------------------------------------------------------------------


@dataclass
class Retention:
    """Keeps what it is told."""

    calls: list[Any] = field(default_factory=list)
    newer: bool = False
    kept: list[Any] = field(default_factory=list)
    closing: list[str] | None = None

    def open(self) -> None:
        """Note it."""
        self.calls.append("open")

    def subscribed(self) -> None:
        """Note it."""
        self.calls.append("subscribed")

    def is_newer(self, *_: object) -> bool:
        """Say what the test wants."""
        return self.newer

    def restored(self, *, is_live: bool) -> list[Any]:
        """Hand out what is kept, once."""
        self.calls.append(("restored", is_live))
        found, self.kept = self.kept, []
        return found

    def take(self, topic: Topic, message: object, payload: bytes, left_s: float | None) -> None:
        """Note it."""
        del message, payload
        self.calls.append(("take", topic.kind, topic.id, left_s))

    def forget(self, topic: Topic) -> None:
        """Note it."""
        self.calls.append(("forget", topic.kind, topic.id))

    def tick(self, *, is_set: bool) -> None:
        """Note it."""
        self.calls.append(("tick", is_set))

    def close(self) -> None:
        """Note it."""
        if self.closing is not None:
            self.closing.append("retention")

    def detail(self) -> dict[str, Any]:
        """Say something."""
        return {"records": 7}


def test_state_of_our_own_that_the_broker_retains_is_ours(world: World) -> None:
    """What another service retains is not, nor a stream, nor what is sent just now."""
    world.run(raw(*ALERT, retained=True), raw(*ALERT), raw(*DEVICE, retained=True))

    assert world.bus.adopted == [raw(*ALERT, retained=True)]
    assert len(world.of(Received)) == 3


@pytest.mark.parametrize(("adopts", "kept"), [(True, True), (False, False)])
def test_what_the_broker_retains_is_kept_once_it_is_ours(
    world: World, adopts: bool, kept: bool
) -> None:
    """With what is left of its time."""
    world.retention, world.bus.adopts = Retention(), adopts

    world.run(raw(*ALERT, retained=True, expiry_s=60))

    assert (("take", "alert", ALERT[0].id, 60) in world.retention.calls) is kept


def test_what_was_kept_is_newer_than_what_the_broker_retains(world: World) -> None:
    """The core is not handed the older of the two."""
    world.retention = Retention(newer=True)

    world.run(raw(*ALERT, retained=True))

    assert world.of(Received) == []
    assert world.bus.adopted == []


@dataclass
class Kept:
    """What a file held."""

    topic: Topic = ALERT[0]
    payload: bytes = b"kept"
    message: Any = ALERT[1]
    left_s: float = 30.0


def test_what_was_kept_is_published_and_handed_on(world: World) -> None:
    """As retained, before the first live message; asked for at each tick too."""
    world.retention = Retention(kept=[Kept()])

    world.run(raw(*DEVICE, retained=True), Subscribed(), raw(*DEVICE))

    calls = world.retention.calls
    assert calls[0] == "open"
    assert [one for one in calls if one == "subscribed"] == ["subscribed"]
    assert ("restored", True) in calls
    assert ("restored", False) in calls
    assert ("tick", True) in calls
    assert next((topic, payload, left) for topic, payload, _, left in world.bus.sent) == (
        str(ALERT[0]), b"kept", 30.0)  # fmt: skip
    assert Received(ALERT[0], ALERT[1], retained=True) in world.handled
    assert calls.count(("restored", True)) == 1
    health = Health.model_validate_json(world.payloads("/health/")[-1])
    assert health.detail == {"mine": 1, "state_file": {"records": 7}}


def test_what_is_published_is_kept_and_what_is_taken_back_is_not(world: World) -> None:
    """Each on its own topic, or on that of the service it is sent to."""
    world.retention = Retention()
    alert = example(Alert)
    world.answers[Outside] = lambda _: [
        Publication("x", alert), Publication("y", alert, to=Service.NOTIFIER),
        Tombstone("z", Alert), Foreign("homeassistant/x", b"1"),
    ]  # fmt: skip
    world.assembly["outside"] = ["go"]

    world.run(Raw("go", b""))

    sent = [(topic, payload) for topic, payload, *_ in world.bus.sent if "health" not in topic]
    assert sent[:4] == [
        ("monitorpi/v1/lab/detector/alert/x", alert.encode()),
        ("monitorpi/v1/lab/notifier/alert/y", alert.encode()),
        ("monitorpi/v1/lab/detector/alert/z", b""),
        ("homeassistant/x", b"1"),
    ]
    assert ("forget", "alert", "z") in world.retention.calls
    assert ("take", "alert", "x", alert.expiry_s) in world.retention.calls


def test_a_rival_that_started_before_us_has_the_name(world: World) -> None:
    """We end and say so; one that started later is a line of the log."""
    topic = Topic("lab", "detector", "health", "main")
    own = example(Health).model_copy(update={"started_at": AT})
    later = own.model_copy(update={"started_at": AT + timedelta(seconds=9)})
    earlier = own.model_copy(update={"started_at": AT - timedelta(seconds=9)})

    world.run(raw(topic, own), raw(topic, later))
    assert world.lines == [("warning", "another process tried to run under our name", {})]
    assert len(world.of(Received)) == 2

    with pytest.raises(ResourceError, match="another process runs as detector instance 'main'"):
        world.run(raw(topic, own), raw(topic, earlier))


# --- sources and the end --------------------------------------------------------------------------


@dataclass
class Source:
    """Emits some items in a thread of its own, then ends as the test wants."""

    items: Sequence[object] = ()
    error: BaseException | None = None
    calls: list[str] | None = None
    last: object | None = None
    emit: Any = None

    def run(self, emit: Callable[[object], None]) -> None:
        """Emit."""
        self.emit = emit
        for item in self.items:
            emit(item)
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Note it."""
        if self.calls is not None:
            self.calls.append("source")


def test_a_source_of_a_file_ends_a_pipe_that_reads_nothing(world: World) -> None:
    """After all it emitted was handled; with two of them, after the second."""
    world.bus.live = False
    world.assembly = {"sources": [Source(["a"]), Source(["b"])], "reads_pipe": False}

    world.run(end="c")

    assert sorted(world.handled) == ["a", "b", "c"]
    assert world.bus.sent[-1][0] == "monitorpi/v1/lab/detector/alert/last"


@pytest.mark.parametrize(("live", "reads_pipe"), [(True, False), (False, True)])
def test_a_source_that_ends_elsewhere_ends_nothing_else(
    world: World, live: bool, reads_pipe: bool
) -> None:
    """A service on a broker lives on, and so does a pipe that has more to read."""
    world.bus.live = live
    source = Source(["a"])
    world.assembly = {"sources": [source], "reads_pipe": reads_pipe}
    world.answers[str] = _chain(world)

    world.run(end=Later(0.0))

    assert [one for one in world.handled if isinstance(one, str)] == ["a", "b", "c"]


def _chain(world: World) -> Callable[[Any], Iterable[Any]]:
    after = {"a": "b", "b": "c"}

    def answer(item: str) -> Iterable[Any]:
        world.inbox.put(after.get(item, Stop()))
        return ()

    return answer


def test_what_a_source_could_not_read_is_said_at_the_end_of_a_pipe(world: World) -> None:
    """What it read was published; live it ends the service at once."""
    world.bus.live = False
    world.assembly = {"sources": [Source(["a"], ResourceError("broken file"))],
                      "reads_pipe": False}  # fmt: skip

    with pytest.raises(ResourceError, match="broken file"):
        world.run(end="b")

    assert sorted(world.handled) == ["a", "b"]
    assert world.bus.calls[-1] == "bus"


@pytest.mark.parametrize(
    ("live", "error"),
    [(True, ResourceError("gone")), (True, ValueError("bug")), (False, ValueError("bug"))],
)
def test_any_other_end_of_a_source_ends_the_service(
    world: World, live: bool, error: Exception
) -> None:
    """Without a goodbye: the last will is to speak."""
    world.bus.live = live
    world.assembly = {"sources": [Source(error=error)]}

    with pytest.raises(type(error), match=str(error)):
        world.run(end=Later(0.0))

    assert world.bus.calls == []


def test_the_end_comes_in_order(world: World) -> None:
    """Sources first and what they still emit, then last words, what is kept, the rest, the bus."""
    calls = world.bus.calls
    world.retention = Retention(closing=calls)
    world.assembly = {
        "sources": [Source(["last words of a source"], calls=calls)],
        "on_close": [lambda: calls.append("released")],
    }

    world.run()

    assert calls == ["source", "core", "retention", "released", "bus"]
    assert "last words of a source" in world.handled
    assert world.bus.sent[-1][0] == "monitorpi/v1/lab/detector/alert/last"
    assert world.bus.flushed <= 1
