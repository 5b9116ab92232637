from __future__ import annotations

import subprocess
import time
from typing import Protocol

from monitorpi_cli.stack.viewer import Arrival, Viewer
from monitorpi_common.settings import BrokerSettings


class Broker(Protocol):
    """What these tests use of the real broker."""

    port: int

    def start(self) -> None:
        """Start it on its port."""

    def kill(self) -> None:
        """Kill -9."""


def publish(broker: Broker, topic: str, payload: str, *options: str) -> None:
    """Publish with the broker's own client."""
    command = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", topic, "-m", payload]
    subprocess.run([*command, *options], check=True)


def receive(viewer: Viewer, seconds: float = 5.0) -> Arrival:
    """Wait for the next message."""
    arrival = viewer.next(seconds)
    assert arrival is not None
    return arrival


def test_what_is_published_is_received_with_its_time(broker: Broker) -> None:
    """Retained and live messages arrive with topic, payload and time of arrival."""
    publish(broker, "monitorpi/v1/lab/capture/status/main", "online", "-r")

    with Viewer(BrokerSettings(port=broker.port), ["monitorpi/v1/lab/#"]) as viewer:
        first = receive(viewer)
        before = time.time()
        publish(broker, "monitorpi/v1/lab/capture/command/1", '{"name":"reset"}')
        second = receive(viewer)

    assert (first.topic.kind, first.payload, first.retained) == ("status", b"online", True)
    assert (second.topic.id, second.retained) == ("1", False)
    assert before <= second.at_s <= before + 5


def test_what_is_no_topic_of_ours_is_not_received(broker: Broker) -> None:
    """A topic of another form is passed over in silence."""
    with Viewer(BrokerSettings(port=broker.port), ["monitorpi/#"]) as viewer:
        publish(broker, "monitorpi/v1/lab/capture/status/main", "online", "-r")
        receive(viewer)
        publish(broker, "monitorpi/odd", "x")
        publish(broker, "monitorpi/v1/lab/capture/status/main", "offline")

        assert receive(viewer).payload == b"offline"


def test_a_broker_that_comes_back_is_read_again(broker: Broker) -> None:
    """After kill -9 and a new start of the broker, the subscription stands again."""
    topic = "monitorpi/v1/lab/capture/status/main"
    with Viewer(BrokerSettings(port=broker.port), ["monitorpi/v1/lab/#"]) as viewer:
        publish(broker, topic, "1", "-r")
        receive(viewer)
        broker.kill()
        broker.start()
        publish(broker, topic, "2", "-r")

        assert receive(viewer, 10).payload == b"2"
