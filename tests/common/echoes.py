"""The smallest service as a process: what its tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.conftest import Broker, Subscriber

ECHO = Path(__file__).with_name("echo_service.py")
STATUS = "detector/status/main"
DEVICE = (
    '{"mac":"b8:27:eb:12:34:56","first_seen":"2026-01-01T00:00:00Z",'
    '"last_seen":"2026-01-01T00:00:00Z","present":true,"hostname":"%s"}'
)
DEVICE_TOPIC = "monitorpi/v1/lab/capture/device/b827eb123456"
COMMAND_TOPIC = "monitorpi/v1/lab/detector/command/c1"

Start = "Callable[..., subprocess.Popen[str]]"


def publish(broker: Broker, topic: str, payload: str, *options: str) -> None:
    """Publish with the broker's own client."""
    command = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-t", topic]
    subprocess.run([*command, "-s", *options], input=payload, text=True, check=True)


def online(subscriber: Subscriber, times: int = 1) -> None:
    """Wait until the service has said ``online`` that many times."""
    wait_for(lambda: subscriber.of(STATUS).count("online") >= times, 20, f"online x{times}")
