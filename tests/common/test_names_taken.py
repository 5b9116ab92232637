"""Processes of one name against a real Mosquitto: who waits, who takes over, who gives way."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from tests.common.echoes import (
    DEVICE,
    DEVICE_TOPIC,
    STATUS,
    Start,
    online,
    publish,
)
from tests.conftest import Broker, wait_for

from monitorpi_common import vacancy
from monitorpi_common.log import Log
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from tests.conftest import Subscriber


def test_a_second_process_of_the_same_name_waits_for_it(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Two clients of one id would throw each other out for ever: the later one waits, and says so.

    It takes over when the first one is killed.
    """
    seen = subscribe(broker.port)
    first = echo()
    online(seen)
    second = echo()

    assert second.stderr is not None
    assert "another process runs as detector instance 'main'" in second.stderr.readline()
    assert seen.of(STATUS) == ["online"]

    first.kill()
    first.wait()

    online(seen, 2)
    assert seen.of(STATUS) == ["online", "offline", "online"]
    assert second.poll() is None


def test_a_process_that_was_frozen_gives_its_name_to_whoever_has_it_by_then(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """The broker gives up on one that hangs, the one that waits takes over, and is left alone."""
    seen = subscribe(broker.port)
    first = echo()
    online(seen)
    second = echo()
    assert second.stderr is not None
    second.stderr.readline()

    first.send_signal(signal.SIGSTOP)
    online(seen, 2)  # 1.5 keepalives, and the broker looks each few seconds
    publish(broker, DEVICE_TOPIC, DEVICE % "while-it-hangs")
    wait_for(lambda: seen.of("alert/b827eb123456"))
    first.send_signal(signal.SIGCONT)

    assert first.wait(20) == 3
    assert first.stderr is not None
    assert "another process runs as detector instance 'main'" in first.stderr.read()
    publish(broker, DEVICE_TOPIC, DEVICE % "after-it")
    wait_for(lambda: len(seen.of("alert/b827eb123456")) == 2)
    assert second.poll() is None
    assert seen.of(STATUS) == ["online", "offline", "online"]


def test_a_process_that_was_frozen_and_missed_by_nobody_goes_on(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """The name is still its own, whatever the broker said of it meanwhile."""
    seen = subscribe(broker.port)
    first = echo()
    online(seen)

    first.send_signal(signal.SIGSTOP)
    wait_for(lambda: "offline" in seen.of(STATUS), 30)
    first.send_signal(signal.SIGCONT)

    online(seen, 2)
    publish(broker, DEVICE_TOPIC, DEVICE % "after-it")
    wait_for(lambda: any("after-it" in text for text in seen.of("alert/b827eb123456")))
    assert first.poll() is None


def test_a_flood_of_statuses_holds_up_nobody_who_looks_for_a_name(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known by then has to do."""
    monkeypatch.setattr(vacancy, "AWAY_S", 0.3)
    over = threading.Event()

    def flood() -> None:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        while not over.wait(0.001):
            client.publish("monitorpi/v1/lab/prober/status/main-7", "online")
        client.disconnect()
        client.loop_stop()

    thread = threading.Thread(target=flood)
    thread.start()
    status = Topic("lab", "prober", "status", "main")
    began_s = time.monotonic()
    found = vacancy.online_names(BrokerSettings(port=broker.port), status, Log("test"))
    took_s = time.monotonic() - began_s
    over.set()
    thread.join()

    assert found == {"main-7"}
    assert took_s < 5


def test_a_process_that_waits_for_its_name_can_be_stopped(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """SIGTERM ends it with 0; the one that runs is not disturbed."""
    seen = subscribe(broker.port)
    first = echo()
    online(seen)
    second = echo()
    assert second.stderr is not None
    second.stderr.readline()

    second.terminate()

    assert second.wait(10) == 0
    publish(broker, DEVICE_TOPIC, DEVICE % "behind-it")  # what was said before has come by then
    wait_for(lambda: seen.of("alert/b827eb123456"))
    assert first.poll() is None
    assert seen.of(STATUS) == ["online"]


def test_a_broker_that_remembers_an_older_start_ends_nobody(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A broker may come back with an old memory: what stands still on a topic is nobody's rival."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)
    (health,) = wait_for(lambda: seen.of("health/main"))[:1]
    older = json.loads(health) | {"started_at": "2020-01-01T00:00:00.000Z"}

    broker.kill()
    broker.start()
    topic = "monitorpi/v1/lab/detector/health/main"
    publish(broker, topic, json.dumps(older), "-r")
    after = subscribe(broker.port)

    online(after)
    publish(broker, DEVICE_TOPIC, DEVICE % "still-here")
    wait_for(lambda: any("still-here" in text for text in after.of("alert/b827eb123456")))
    assert service.poll() is None
