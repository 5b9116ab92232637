"""Any program that takes the place of the service for Home Assistant must pass this."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.conftest import publish, wait_for
from tests.contract import contender
from tests.contract.litter import scatter
from tests.home_assistant.discovery import SCHEMA
from tests.memory import pss_mb

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, RuleState, Wire, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Broker, Subscriber

MOST_MB = 32
"""As a process of its own."""
CONFIG = "homeassistant/device/monitorpi-lab/config"


@pytest.fixture
def start(
    broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start services that never outlive the test."""

    def run(**more: str) -> subprocess.Popen[bytes]:
        known = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_HOME_ASSISTANT__INTERVAL_S": "1",
        }
        environment = broker.environment(**(known | more))
        processes.append(contender.start("home-assistant", environment, stderr=subprocess.PIPE))
        return processes[-1]

    return run


def alert(broker: Broker, key: str, state: str = "open") -> None:
    """Publish an alert as the detector does."""
    message = {
        **example(Alert).model_dump(mode="json"), "key": key, "state": state,
        "at": timestamp(datetime.now(UTC)),
    }  # fmt: skip
    publish(broker, f"monitorpi/v1/lab/detector/alert/{key}", json.dumps(message), "-r")


def announced(seen: Subscriber) -> list[str]:
    """Return every payload on the sensor's announcement; empty: taken back."""
    return seen.of(CONFIG)


def rules(seen: Subscriber) -> dict[str, Any]:
    """Return the newest state of each rule."""
    found = (RuleState.model_validate_json(text) for text in seen.of("/rule/") if text)
    return {state.rule: state for state in found}


def test_it_announces_states_and_rates(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any]
) -> None:
    """The sensor as documented, rates per interval, and a rule that stays on."""
    seen = subscribe(broker.port, "#")
    process = start()
    wait_for(lambda: "online" in seen.of("home-assistant/status/main"), 30, "it to be online")
    for _ in range(3):
        publish(broker, "monitorpi/v1/lab/capture/wire/eth0", example(Wire).encode().decode())
    alert(broker, "syn-flood-aa")
    alert(broker, "syn-flood-bb")
    alert(broker, "syn-flood-bb", "closed")

    def has_interface() -> bool:
        return any("eth0-bps" in text for text in announced(seen))

    wait_for(has_interface, 30, "the announcement")
    jsonschema.validate(json.loads(announced(seen)[-1]), SCHEMA)
    wait_for(lambda: seen.of("home-assistant/rates/eth0"), 30, "rates")
    assert json.loads(seen.of("home-assistant/rates/eth0")[0])["frames_per_s"] == 1031
    wait_for(lambda: rules(seen).get("syn-flood"), 20, "the rule's state")
    wait_for(lambda: rules(seen)["syn-flood"].open == 1, 20, "one of two to be left")
    assert rules(seen)["syn-flood"].state == "ON"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert announced(seen)[-1]


def test_litter_on_what_it_reads_hides_no_alert(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any]
) -> None:
    """Kept by the broker from before its start and coming while it runs; the next alert is on."""
    topics = ["detector/watch/main", "detector/alert/x-y", "capture/wire/eth0",
              "prober/target/192-0-2-1", "detector/status/main"]  # fmt: skip
    seen = subscribe(broker.port, "monitorpi/v1/lab/home-assistant/#")
    scatter(broker, topics)
    publish(broker, "homeassistant/status", "{garbage", "-r")
    process = start()
    wait_for(lambda: "online" in seen.of("home-assistant/status/main"), 40, "it to be online")
    scatter(broker, topics)

    alert(broker, "syn-flood-aa")
    wait_for(lambda: "syn-flood" in rules(seen) and rules(seen)["syn-flood"].state == "ON", 40)

    assert process.poll() is None


def test_birth_is_answered_and_off_leaves_nothing(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any]
) -> None:
    """Announced again when Home Assistant starts; taken back by a later process."""
    seen = subscribe(broker.port, "homeassistant/#")
    process = start()
    wait_for(lambda: announced(seen), 30, "the announcement")
    before = len(announced(seen))

    publish(broker, "homeassistant/status", "online")
    wait_for(lambda: len(announced(seen)) > before, 20, "the answer to a birth")
    process.kill()
    process.wait()
    start(MONITORPI_HOME_ASSISTANT__ENABLED="false")
    wait_for(lambda: not announced(seen)[-1], 30, "the announcement to be taken back")

    late = subscribe(broker.port, "homeassistant/#")
    publish(broker, "homeassistant/end", "end")
    wait_for(lambda: late.of("homeassistant/end"), 20)
    assert late.of("/config") == []


@pytest.mark.ours
def test_it_takes_little_memory(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any]
) -> None:
    """With all of its states published it holds no more than it needs."""
    seen = subscribe(broker.port, "#")
    process = start()
    wait_for(lambda: "online" in seen.of("home-assistant/status/main"), 30, "it to be online")
    alert(broker, "syn-flood-aa")
    wait_for(lambda: rules(seen).get("syn-flood"), 20, "the rule's state")

    assert pss_mb(process.pid) <= MOST_MB
