"""The loop of a service, item by item: time, what comes in, commands."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.common.loopworld import DEVICE, Later, World, raw

from monitorpi_common import __version__, clock, loop
from monitorpi_common.bus import Disconnected, InputEnded, Raw, Report
from monitorpi_common.examples import AT, example
from monitorpi_common.loop import Stop
from monitorpi_common.messages import (
    Alert,
    Health,
    Publication,
)
from monitorpi_common.service import (
    CommandReceived,
    CommandRefusedError,
    Outside,
    Presence,
    Received,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMAND = Topic("lab", "detector", "command", "c1")


def command(name: str = "acknowledge", args: str = '{"key":"k"}', **more: Any) -> Raw:
    """Return a command as it comes in."""
    text = f'{{"name":"{name}","args":{args},"at":"2026-01-01T00:00:00Z"}}'
    return Raw(str(COMMAND), text.encode(), **more)


# --- time -----------------------------------------------------------------------------------------


def test_ticks_come_each_second_and_health_each_third(world: World) -> None:
    """Before anything else at the start; a second that was missed is not made up for."""
    world.run(*[Later(0.5)] * 12, Later(100.0), Later(0.5), Later(0.5))

    times = [tick.boot_s - 1050 for tick in world.of(Tick)]
    assert times[:8] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 106.0]
    assert isinstance(world.handled[0], Tick), "no core judges before it knows the time"
    assert [tick.at for tick in world.of(Tick)][1] == AT + timedelta(seconds=1)
    health = [Health.model_validate_json(one) for one in world.payloads("/health/")]
    assert [(one.at - AT).total_seconds() for one in health] == [0.0, 3.0, 6.0, 106.0]


def test_a_core_is_handed_nothing_when_nothing_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for the next tick ends with none."""
    came = iter([None, None, Later(1.0), Stop()])
    monkeypatch.setattr(world.inbox, "take", lambda _: next(came))

    world.run()

    assert None not in world.handled
    assert len(world.of(Tick)) == 2  # at once, and a second later


def test_health_tells_what_the_parts_count(world: World) -> None:
    """And how old we are, and how much memory we have."""
    world.assembly["outside"] = ["elsewhere"]
    world.run(Later(4.0), Raw("elsewhere", b"x"), Raw("nonsense", b"x"), Later(3.04), Later(0.0))

    first, *_, second = (Health.model_validate_json(one) for one in world.payloads("/health/main"))
    assert (first.version, first.started_at, first.uptime_s) == (__version__, AT, 0.0)
    assert (second.uptime_s, second.clock_synced) == (7.0, True)
    assert (second.published_total, second.received_total, second.rejected_total) == (1, 2, 1)
    assert (second.refused_total, second.queue_dropped_total) == (4, 5)
    assert (first.queue_depth, second.queue_depth) == (3 + 6, 3 + 2)
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
    assert [tick.broker for tick in world.of(Tick)] == ["not connected yet"] * 2 + ["refused"]
    assert world.lines == [("warning", "bus", {"what": "refused"})]

    says("connected", failed=False)
    world.run(Disconnected("x"), Later(1.0))
    assert [tick.broker for tick in world.of(Tick)][3:] == ["not connected yet", None]
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


def test_health_follows_a_command(world: World) -> None:
    """With the next tick, so that what it changed is seen by everybody; not one that is refused."""
    world.run(Later(0.5), Later(0.5), command(), Later(1.0), command("dance"), Later(1.0))

    health = [Health.model_validate_json(one) for one in world.payloads("/health/")]
    assert [(one.at - AT).total_seconds() for one in health] == [0.0, 2.0]


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
