"""A service as a process against a real Mosquitto: kill, freeze, restart, garbage, commands."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.common.echoes import (
    COMMAND_TOPIC,
    DEVICE,
    DEVICE_TOPIC,
    STATUS,
    Start,
    online,
    publish,
)
from tests.conftest import Broker, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Subscriber


def test_a_service_is_online_answers_and_says_goodbye(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Start, a message in, an answer out, SIGTERM: last words, ``offline``, exit code 0."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)
    publish(broker, DEVICE_TOPIC, DEVICE % "printer")
    wait_for(lambda: any('"printer"' in text for text in seen.of("alert/b827eb123456")))

    service.send_signal(signal.SIGTERM)

    assert service.wait(10) == 0
    wait_for(lambda: seen.of(STATUS)[-1] == "offline")
    assert seen.of("alert/last")


def test_health_comes_again_soon_after_the_start(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Who restarts a service need not wait a minute for counters that say something."""
    subscriber = subscribe(broker.port)

    echo()

    second = wait_for(lambda: subscriber.of("/health/")[1:2], 15, "a second health message")
    assert json.loads(second[0])["published_total"] > 0


def test_the_will_speaks_at_once_after_a_kill(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A service killed with -9 is ``offline`` within a second, retained for late comers."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    service.kill()

    wait_for(lambda: seen.of(STATUS)[-1] == "offline", 1.0)
    later = subscribe(broker.port)
    wait_for(lambda: later.of(STATUS) == ["offline"])


def test_garbage_is_counted_and_nobody_dies(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Bytes that are no message, wrong types, deep nesting and binary leave the service alive."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    for garbage in (
        "{",
        "[]",
        "null",
        '{"mac": 1}',
        "[" * 100_000,
        "\x00\x01",
        DEVICE % ("x" * 999),
    ):
        publish(broker, DEVICE_TOPIC, garbage)
    publish(broker, "monitorpi/v1/lab/capture/status/main", "neither")
    publish(broker, DEVICE_TOPIC, DEVICE % "still-here")

    wait_for(lambda: any("still-here" in text for text in seen.of("alert/b827eb123456")))
    assert service.poll() is None


def test_commands_get_a_result(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A good command is obeyed; unknown, wrong, impossible and retained ones say why not."""
    seen = subscribe(broker.port)
    echo()
    online(seen)
    good = '{"name":"silence","args":{"key":"%s","minutes":5},"at":"2026-01-01T00:00:00Z"}'
    cases = [
        (good % "some-key", True, None),
        (good % "unknown", False, "no such alert"),
        (good.replace("minutes", "minuets") % "some-key", False, "minutes: Field required"),
        (good.replace("silence", "explode") % "k", False, "unknown command; known: silence"),
        ("garbage", False, "Invalid JSON"),
    ]

    for number, (payload, ok, error) in enumerate(cases, start=1):
        publish(broker, COMMAND_TOPIC, payload)
        results = wait_for(lambda n=number: (r := seen.of("result/c1")) and len(r) >= n and r)
        result = json.loads(results[number - 1])

        assert result["ok"] is ok
        assert error is None or error in result["error"]


def test_a_retained_command_is_refused(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """What would be obeyed at every restart is not obeyed at all."""
    seen = subscribe(broker.port)
    order = '{"name":"silence","args":{"key":"k","minutes":5},"at":"2026-01-01T00:00:00Z"}'
    publish(broker, COMMAND_TOPIC, order, "-r")

    echo()

    results = wait_for(lambda: seen.of("result/c1"))
    assert "retained" in json.loads(results[0])["error"]
    assert seen.of("alert/k") == []


def test_a_bug_ends_the_process_and_the_will_speaks(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """An exception of the core: exit code 1, ``offline`` by the will, a traceback for us."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    publish(broker, DEVICE_TOPIC, DEVICE % "bug")

    assert service.wait(10) == 1
    assert service.stderr is not None
    assert "RuntimeError: as asked" in service.stderr.read()
    wait_for(lambda: seen.of(STATUS)[-1] == "offline")


@pytest.mark.parametrize("key", ["bug", "invalid"])
def test_a_bug_in_a_command_ends_the_process(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber], key: str
) -> None:
    """What the core raises of a valid command is no bad input, even where it looks like one."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    order = '{"name":"silence","args":{"key":"%s","minutes":5},"at":"2026-01-01T00:00:00Z"}'
    publish(broker, COMMAND_TOPIC, order % key)

    assert service.wait(10) == 1
    assert service.stderr is not None
    assert "Traceback" in service.stderr.read()
    assert seen.of("result/c1") == []


@pytest.mark.parametrize(("fail", "code"), [("resource", 3), ("bug", 1)])
def test_a_source_that_fails_ends_the_service(echo: Start, fail: str, code: int) -> None:
    """A missing resource is exit code 3 and one line; a bug in a source is exit code 1."""
    service = echo("--fail", fail)

    assert service.wait(10) == code
    assert service.stderr is not None
    error = service.stderr.read()
    assert ("Traceback" in error) == (fail == "bug")
    if fail == "resource":
        assert error.strip().splitlines()[-1].endswith("there is no such thing: plug it in")


def test_the_broker_may_come_later(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A service started before its broker waits for it and loses no state of its own."""
    broker.kill()
    service = echo(MONITORPI_DETECTOR__STATES="5")
    with pytest.raises(subprocess.TimeoutExpired):
        service.wait(2.5)

    broker.start()
    seen = subscribe(broker.port)

    online(seen)
    wait_for(lambda: len({t for t, _, _ in seen.poll() if "alert/state" in t}) == 5)


def test_a_killed_broker_learns_all_state_anew(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """After kill -9 of a broker without memory every retained topic and ``online`` come back."""
    before = subscribe(broker.port)
    service = echo(MONITORPI_DETECTOR__STATES="1500")
    topics = {f"monitorpi/v1/lab/detector/alert/state-{n}" for n in range(1500)}
    wait_for(lambda: topics <= {topic for topic, _, _ in before.poll()}, 30, "the first states")

    broker.kill()
    broker.start()
    after = subscribe(broker.port)

    wait_for(lambda: topics <= {topic for topic, _, _ in after.poll()}, 30, "the states again")
    online(after)
    assert service.poll() is None


def test_state_of_an_earlier_process_outlives_the_broker(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A restarted service publishes again what its predecessor left, when the broker forgets it."""
    seen = subscribe(broker.port)
    first = echo(MONITORPI_DETECTOR__STATES="5")
    topics = {f"monitorpi/v1/lab/detector/alert/state-{n}" for n in range(5)}
    wait_for(lambda: topics <= {topic for topic, _, _ in seen.poll()})
    online(seen)  # its states come before
    first.kill()
    first.wait()
    echo()
    online(seen, 2)
    publish(broker, DEVICE_TOPIC, DEVICE % "after")  # comes behind what was retained
    wait_for(lambda: any('"after"' in text for text in seen.of("alert/b827eb123456")))

    broker.kill()
    broker.start()
    after = subscribe(broker.port)

    wait_for(lambda: topics <= {topic for topic, _, _ in after.poll()}, 30, "the states again")


def test_a_frozen_broker_is_noticed_and_left(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A broker that stops answering costs the connection, not the service: it is back after."""
    seen = subscribe(broker.port)
    service = echo(MONITORPI_LOG_LEVEL="info")
    online(seen)

    broker.freeze()
    assert service.stderr is not None
    assert any("connection lost" in line for line in service.stderr)  # after two keepalives
    broker.thaw()

    wait_for(lambda: seen.of(STATUS).count("online") >= 2, 40, "a second online")
    publish(broker, DEVICE_TOPIC, DEVICE % "after-ice")
    wait_for(lambda: any("after-ice" in text for text in seen.of("alert/b827eb123456")))
    assert service.poll() is None


def test_a_stream_of_commands_is_carried_out_in_part(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Of 200 at once some are obeyed; the rest is counted, and every one is accounted for."""
    seen = subscribe(broker.port)
    echo()
    online(seen)
    command = '{"name":"silence","args":{"key":"echo-x","minutes":1},"at":"2026-01-01T00:00:00Z"}'

    lines = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-l"]
    text = "\n".join([command] * 200)
    subprocess.run([*lines, "-t", COMMAND_TOPIC], input=text, text=True, check=True)

    def accounted() -> bool:
        results, health = seen.of("/result/"), seen.of("/health/")
        return len(results) + json.loads(health[-1])["rejected_total"] == 200

    wait_for(accounted, 20, "all 200")
    assert 50 <= len(seen.of("/result/")) < 200
