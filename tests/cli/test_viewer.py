from __future__ import annotations

import subprocess
import time
from typing import Protocol

from monitorpi_cli.stack.viewer import Arrival, Viewer


class Broker(Protocol):
    """What these tests use of the real broker."""

    port: int

    def start(self) -> None:
        """Start it on its port."""

    def kill(self) -> None:
        """Kill -9."""


def say(broker: Broker, topic: str, payload: str, *options: str) -> None:
    """Publish with the broker's own client."""
    command = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", topic, "-m", payload]
    subprocess.run([*command, *options], check=True)


def hear(viewer: Viewer, seconds: float = 5.0) -> Arrival:
    """Wait for the next message."""
    heard = viewer.next(seconds)
    assert heard is not None
    return heard


def test_what_is_said_is_heard_with_its_time(broker: Broker) -> None:
    """Retained and live messages arrive with topic, payload and time of arrival."""
    say(broker, "monitorpi/v1/lab/capture/status/main", "online", "-r")

    with Viewer(broker.port, None, None, ["monitorpi/v1/lab/#"]) as viewer:
        first = hear(viewer)
        before = time.time()
        say(broker, "monitorpi/v1/lab/capture/command/1", '{"name":"reset"}')
        second = hear(viewer)

    assert (first.topic.kind, first.payload, first.retained) == ("status", b"online", True)
    assert (second.topic.id, second.retained) == ("1", False)
    assert before <= second.at_s <= before + 5


def test_what_is_no_topic_of_ours_is_not_heard(broker: Broker) -> None:
    """A topic of another form is passed over in silence."""
    with Viewer(broker.port, None, None, ["monitorpi/#"]) as viewer:
        say(broker, "monitorpi/v1/lab/capture/status/main", "online", "-r")
        hear(viewer)
        say(broker, "monitorpi/odd", "x")
        say(broker, "monitorpi/v1/lab/capture/status/main", "offline")

        assert hear(viewer).payload == b"offline"


def test_a_broker_that_comes_back_is_heard_again(broker: Broker) -> None:
    """After kill -9 and a new start of the broker, the subscription stands again."""
    topic = "monitorpi/v1/lab/capture/status/main"
    with Viewer(broker.port, None, None, ["monitorpi/v1/lab/#"]) as viewer:
        say(broker, topic, "1", "-r")
        hear(viewer)
        broker.kill()
        broker.start()
        say(broker, topic, "2", "-r")

        assert hear(viewer, 10).payload == b"2"
