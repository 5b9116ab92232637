"""All retained state reaches every reader, whatever a broker's own limit of queued messages."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.conftest import Broker, wait_for

from monitorpi_cli.stack import broker as broker_files
from monitorpi_common.bus import BusEvent, Raw
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import pattern

if TYPE_CHECKING:
    from pathlib import Path

STATE = {"capture/device": 4096, "prober/target": 1024, "detector/alert": 512}
"""As many as a site may have at once."""
PAYLOAD = "x" * 600
"""About what a device's message takes."""


def publish_all(port: int) -> set[str]:
    """Publish everything, retained; return the topics."""
    topics = {
        f"monitorpi/v1/lab/{kind}/{number:012x}"
        for kind, many in STATE.items()
        for number in range(many)
    }
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(topic, PAYLOAD, 1, retain=True) for topic in topics]
    for one in sent:
        one.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    return topics


@pytest.mark.parametrize("limit", [1000, None])
def test_all_state_of_a_full_site_reaches_a_reader(tmp_path: Path, limit: int | None) -> None:
    """4,096 devices, 1,024 targets and 512 alerts: with Mosquitto's default limit and with ours."""
    ours = broker_files.configuration([], "/nowhere", "root")
    lines = [line for line in ours.splitlines() if line.startswith("max_")]
    if limit is not None:
        lines = [f"max_queued_messages {limit}"]
    one = Broker(tmp_path, settings="\n".join(["allow_anonymous true", *lines]))
    one.start()
    try:
        topics = publish_all(one.port)
        inbox = Inbox()
        bus = MqttBus(BrokerSettings(port=one.port), "reader", None, Log("test"))
        bus.open(inbox, [pattern("lab", *kind.split("/")) for kind in STATE])
        seen: set[str] = set()

        def all_seen() -> bool:
            while (item := inbox.take(0)) is not None:
                if isinstance(item, Raw):
                    seen.add(item.topic)
                elif isinstance(item, BusEvent):
                    bus.event(item)
            return seen == topics

        wait_for(all_seen, 30, f"all {len(topics)} messages")

        bus.close()
    finally:
        one.kill()


def test_a_subscriber_of_the_brokers_own_package_gets_all(tmp_path: Path) -> None:
    """Whoever looks with mosquitto_sub at our own broker sees everything."""
    ours = broker_files.configuration([], "/nowhere", "root")
    lines = [line for line in ours.splitlines() if line.startswith("max_")]
    one = Broker(tmp_path, settings="\n".join(["allow_anonymous true", *lines]))
    one.start()
    try:
        topics = publish_all(one.port)
        command = ["mosquitto_sub", "-p", str(one.port), "-q", "1", "-t", "monitorpi/#", "-F", "%t"]
        done = subprocess.run(
            [*command, "-C", str(len(topics)), "-W", "30"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert len(set(done.stdout.split()) & topics) == len(topics)
    finally:
        one.kill()
