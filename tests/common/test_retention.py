"""A service's retained state over a power cut: real processes, a real Mosquitto, real files."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Broker, publish, wait_for

from monitorpi_common.record import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Subscriber

ECHO = Path(__file__).with_name("echo_service.py")
STATUS = "detector/status/main"
DEVICE = (
    '{"mac":"b8:27:eb:12:34:56","first_seen":"2026-01-01T00:00:00Z",'
    '"last_seen":"2026-01-01T00:00:00Z","present":true,"hostname":"%s"}'
)
DEVICE_TOPIC = "monitorpi/v1/lab/capture/device/b827eb123456"
ALERT = "detector/alert/b827eb123456"

Start = "Callable[..., subprocess.Popen[str]]"


@pytest.fixture
def echo(broker: Broker, processes: list[subprocess.Popen[Any]]) -> Callable[..., Any]:
    """Start the smallest service, which writes under the detector's name, as a process."""

    def start(**environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, ECHO],
            env=broker.environment(**{"MONITORPI_TRUST_CLOCK": "true", **environment}),
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    return start


def file_of(broker: Broker) -> Path:
    """Return the file of the service."""
    return broker.folder / "state" / "detector-main.retained"


def records(broker: Broker) -> set[str]:
    """Return the names in the file."""
    path = file_of(broker)
    return set(decode(path.read_bytes()).records) if path.exists() else set()


def test_an_alert_outlives_broker_and_service(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Both killed at once: the same alert is there again, with what is left of its life."""
    seen = subscribe(broker.port)
    service = echo()
    wait_for(lambda: "online" in seen.of(STATUS))
    publish(broker, DEVICE_TOPIC, DEVICE % "printer")
    wait_for(lambda: "alert/b827eb123456" in records(broker), 15, "the first write")
    service.kill()
    broker.kill()
    service.wait()

    broker.start()
    echo()
    later = subscribe(broker.port)

    again = wait_for(lambda: later.of(ALERT), 15, "the alert to be back")
    assert json.loads(again[0])["summary"] == "printer"


def test_an_orderly_stop_writes_at_once(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """SIGTERM a moment after a change: it is in the file."""
    seen = subscribe(broker.port)
    service = echo()
    wait_for(lambda: "online" in seen.of(STATUS))
    publish(broker, DEVICE_TOPIC, DEVICE % "printer")
    wait_for(lambda: seen.of(ALERT))

    service.send_signal(signal.SIGTERM)

    assert service.wait(10) == 0
    assert records(broker) == {"alert/b827eb123456", "alert/last"}


def test_what_the_broker_has_newer_is_not_undone(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A service killed alone finds its last words at the broker, not those of its file."""
    seen = subscribe(broker.port)
    service = echo()
    wait_for(lambda: "online" in seen.of(STATUS))
    publish(broker, DEVICE_TOPIC, DEVICE % "before")
    wait_for(lambda: "alert/b827eb123456" in records(broker), 15, "the first write")
    service.kill()
    service.wait()
    newer = json.loads(seen.of(ALERT)[-1]) | {"summary": "after", "at": "2027-01-01T00:00:00Z"}
    topic = "monitorpi/v1/lab/detector/alert/b827eb123456"
    publish(broker, topic, json.dumps(newer), "-r")

    echo()
    wait_for(lambda: seen.of(STATUS).count("online") >= 2, 20, "the next one")
    publish(broker, DEVICE_TOPIC.replace("56", "57"), (DEVICE % "x").replace(":56", ":57"))
    wait_for(lambda: seen.of("alert/b827eb123457"))

    assert [json.loads(text)["summary"] for text in seen.of(ALERT)] == ["before", "after"]


@pytest.mark.parametrize("broken", ["garbage", "folder", "no folder"])
def test_a_broken_file_stops_nobody(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber], broken: str
) -> None:
    """Garbage, a folder in the file's place, no folder for it: it is reported, and that is all."""
    seen = subscribe(broker.port)
    path = file_of(broker)
    if broken == "no folder":
        path.parent.write_bytes(b"a file")
    else:
        path.parent.mkdir()
        path.mkdir() if broken == "folder" else path.write_bytes(b"\xff" * 5000)

    service = echo()
    wait_for(lambda: "online" in seen.of(STATUS))
    publish(broker, DEVICE_TOPIC, DEVICE % "printer")
    wait_for(lambda: seen.of(ALERT))
    if broken != "garbage":
        errors = wait_for(
            lambda: [one for one in _errors(seen) if one], 20, "health to say what is wrong"
        )
        assert errors[0] in ("Is a directory", "Not a directory", "File exists")
    service.send_signal(signal.SIGTERM)

    assert service.wait(10) == 0
    assert service.stderr is not None
    lines = [line for line in service.stderr.read().splitlines() if "state" in line]
    assert 1 <= len(lines) <= 3
    shutil.rmtree(path.parent, ignore_errors=True)


def _errors(seen: Subscriber) -> list[Any]:
    return [
        json.loads(text)["detail"]["state_file"]["error"] for text in seen.of("detector/health/")
    ]
