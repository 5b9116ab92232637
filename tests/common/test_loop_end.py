"""The loop of a service: state of our own name, rivals, sources, the end."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.common.loopworld import DEVICE, Later, World, raw

from monitorpi_common.bus import Raw, Subscribed
from monitorpi_common.examples import AT, EXAMPLES, example
from monitorpi_common.loop import Stop
from monitorpi_common.messages import (
    Alert,
    Foreign,
    Health,
    Publication,
    Result,
    Service,
    Tombstone,
)
from monitorpi_common.service import (
    Follow,
    Outside,
    Received,
    ResourceError,
)
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitorpi_common.service import Tick

ALERT = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Alert))


# --- our own name ---------------------------------------------------------------------------------


@dataclass
class Retention:
    """Keeps what it is told."""

    calls: list[Any] = field(default_factory=list)
    newer: bool = False
    kept: list[Any] = field(default_factory=list)
    closing: list[str] | None = None
    forgotten: list[Any] = field(default_factory=list)

    def open(self) -> None:
        """Note it."""
        self.calls.append("open")

    def subscribed(self) -> None:
        """Note it."""
        self.calls.append("subscribed")

    def is_newer(self, *_: object) -> bool:
        """Return what the test wants."""
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

    def expired(self, tick: Tick) -> list[Any]:
        """Hand out what the broker forgot, once."""
        self.calls.append(("expired", tick.clock_synced))
        found, self.forgotten = self.forgotten, []
        return found

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
    stream = (Topic("lab", "detector", "result", "x"), example(Result))
    world.run(
        raw(*ALERT, retained=True), raw(*ALERT), raw(*DEVICE, retained=True),
        raw(*stream, retained=True),
    )  # fmt: skip

    assert world.bus.adopted == [raw(*ALERT, retained=True)]
    assert len(world.of(Received)) == 4


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


def test_what_a_step_of_the_clock_let_the_broker_forget_is_published(world: World) -> None:
    """At a tick, with what is left of its life; the core has it still."""
    world.retention = Retention(forgotten=[Kept()])

    world.run(Subscribed())

    assert ("expired", True) in world.retention.calls
    sent = [(topic, payload, left) for topic, payload, _, left in world.bus.sent]
    assert sent.count((str(ALERT[0]), b"kept", 30.0)) == 1
    assert world.of(Received) == []


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


def test_a_source_runs_in_a_thread_that_ends_with_the_process(world: World) -> None:
    """And is named for what it is; one that hangs holds up no end."""
    seen: list[tuple[str, bool]] = []

    class Named:
        def run(self, emit: Callable[[object], None]) -> None:
            thread = threading.current_thread()
            seen.append((thread.name, thread.daemon))
            emit("a")

        def stop(self) -> None:
            """End."""

    world.bus.live = False
    world.assembly = {"sources": [Named()], "reads_pipe": False}
    world.run(end="b")

    assert seen == [("Named", True)]


def test_a_core_may_read_something_else_from_now_on(world: World) -> None:
    """As when somebody looks at a page that nobody looked at before."""
    world.answers[str] = lambda _: [Follow(("a/+", "b/+"))]

    world.run("looked")

    assert world.bus.followed == [["a/+", "b/+"]]


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
