"""A real Home Assistant, headless, shows what we announce. Long: it needs Python 3.13 and 200 MB.

python3.13 -m venv hass
hass/bin/pip install homeassistant==2025.4.4 home-assistant-frontend==20250411.0 \
        paho-mqtt==2.1.0 hassil==2.2.3 home-assistant-intents==2025.3.28 pymicro-vad==1.0.1 \
        pyspeex-noise==1.0.2 mutagen==1.47.0 ha-ffmpeg==3.2.2 SQLAlchemy==2.0.39 \
        fnv-hash-fast==1.4.0 psutil-home-assistant==0.0.1 Pillow==11.1.0
MONITORPI_HASS=hass/bin/hass ./monitorpi soak tests/home_assistant
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import publish, wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Device, Target, WatchState, Wire, timestamp
from monitorpi_common.topics import mac_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Broker

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]
HASS = os.environ.get("MONITORPI_HASS", "")
PROGRAM = Path(sys.executable).parent / "monitorpi-home-assistant"
ROOT = "monitorpi/v1/lab"
READY_S = 180
FOLLOWS_S = 60

CONFIGURATION = """
http:
  server_host: 127.0.0.1
  server_port: {port}
logger:
  default: warning
observer:
"""
MANIFEST = {
    "domain": "observer", "name": "Observer", "version": "1.0.0", "codeowners": [],
    "documentation": "https://example.org", "dependencies": [], "iot_class": "local_push",
}  # fmt: skip
OBSERVER = """
import json

async def async_setup(hass, config):
    out = await hass.async_add_executor_job(open, hass.config.path("states.jsonl"), "a", 1)

    def write(event):
        new = event.data.get("new_state")
        line = {"id": event.data["entity_id"], "state": new.state if new else None}
        out.write(json.dumps(line) + "\\n")

    hass.bus.async_listen("state_changed", write)
    return True
"""
STAMP = "2026-01-01T00:00:00+00:00"


def entry(port: int) -> dict[str, Any]:
    """Return Home Assistant's entry for the broker, as its own set-up writes it."""
    one = {
        "created_at": STAMP, "modified_at": STAMP, "disabled_by": None, "discovery_keys": {},
        "data": {"broker": "127.0.0.1", "port": port, "discovery": True}, "domain": "mqtt",
        "entry_id": "01JT0000000000000000000000", "version": 1, "minor_version": 2, "options": {},
        "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user",
        "subentries": [], "title": "broker", "unique_id": None,
    }  # fmt: skip
    return {
        "version": 1, "minor_version": 5, "key": "core.config_entries", "data": {"entries": [one]},
    }  # fmt: skip


@dataclass
class Hass:
    """A Home Assistant that runs, and what it shows."""

    folder: Path
    log: Path

    def states(self) -> dict[str, str | None]:
        """Return the newest state of each entity; None: it is gone."""
        file = self.folder / "states.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        found: dict[str, str | None] = {}
        for line in lines:
            try:
                one = json.loads(line)
            except ValueError:
                continue  # it is being written
            found[one["id"]] = one["state"]
        return found

    def shows(self, entity: str, state: str | None, within_s: float = FOLLOWS_S) -> None:
        """Wait until an entity is in a state."""

        def is_there() -> bool:
            states = self.states()
            return entity in states and states[entity] == state

        wait_for(is_there, within_s, f"{entity} to be {state}")

    def complaints(self) -> list[str]:
        """Return the errors and warnings of its log that are about MQTT or us."""
        return [
            line
            for line in self.log.read_text().splitlines()
            if (" ERROR " in line or " WARNING " in line)
            and ("mqtt" in line.lower() or "monitorpi" in line.lower())
        ]


@pytest.fixture
def hass(broker: Broker, tmp_path: Path) -> Iterator[Hass]:
    """Run a Home Assistant that has our broker."""
    if not HASS or not Path(HASS).exists():
        pytest.skip("no Home Assistant: this test's first lines say how to get one")
    folder = tmp_path / "hass"
    own = folder / "custom_components" / "observer"
    own.mkdir(parents=True)
    (folder / ".storage").mkdir()
    (folder / "configuration.yaml").write_text(CONFIGURATION.format(port=free_port()))
    (own / "manifest.json").write_text(json.dumps(MANIFEST))
    (own / "__init__.py").write_text(OBSERVER)
    (folder / ".storage" / "core.config_entries").write_text(json.dumps(entry(broker.port)))
    log = tmp_path / "hass.log"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [HASS, "--skip-pip", "--config", str(folder)], stdout=stream, stderr=stream,
            env=environment,
        )  # fmt: skip
    yield Hass(folder, log)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def start(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start our service; it never outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(**more: str) -> subprocess.Popen[bytes]:
        known = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_HOME_ASSISTANT__INTERVAL_S": "1",
            "MONITORPI_HOME_ASSISTANT__DEVICES": "all",
            "MONITORPI_HOME_ASSISTANT__BUTTONS": "true",
        }
        environment = broker.environment(**(known | more))
        started.append(subprocess.Popen([PROGRAM], env=environment, stderr=subprocess.DEVNULL))
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.wait()


def alert(broker: Broker, key: str, state: str = "open") -> None:
    """Publish an alert as the detector does."""
    message = {
        **example(Alert).model_dump(mode="json"), "key": key, "state": state,
        "at": timestamp(datetime.now(UTC)),
    }  # fmt: skip
    publish(broker, f"{ROOT}/detector/alert/{key}", json.dumps(message), "-r")


def sense(broker: Broker) -> None:
    """Publish what a sensor, a prober and a detector publish."""
    for service in ("capture", "prober", "detector"):
        publish(broker, f"{ROOT}/{service}/status/main", "online", "-r")
    device, target = example(Device), example(Target)
    publish(broker, f"{ROOT}/capture/device/{mac_id(device.mac)}", device.encode().decode(), "-r")
    publish(broker, f"{ROOT}/prober/target/192-168-1-10", target.encode().decode(), "-r")
    publish(broker, f"{ROOT}/detector/watch/main", example(WatchState).encode().decode(), "-r")


def test_home_assistant_shows_what_there_is(
    broker: Broker, hass: Hass, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Entities appear, follow, are unavailable with their service, and go without a trace."""
    sense(broker)
    service = start()

    def window() -> None:
        publish(broker, f"{ROOT}/capture/wire/eth0", example(Wire).encode().decode())

    def shows_rates() -> bool:
        window()
        return hass.states().get("sensor.monitorpi_lab_eth0_syn") == "1012.0"

    wait_for(shows_rates, READY_S, "the rates to appear")
    hass.shows("sensor.monitorpi_lab_watch", "partly")
    hass.shows("binary_sensor.printer_reachable", "on")
    hass.shows("sensor.printer_packet_loss", "0.0")
    hass.shows("device_tracker.workshop_presence", "home")

    # two alerts of one rule, of which one closes
    hass.shows("binary_sensor.monitorpi_lab_syn_flood", "off")
    alert(broker, "syn-flood-aa")
    alert(broker, "syn-flood-bb")
    hass.shows("sensor.monitorpi_lab_open_alerts", "2")
    alert(broker, "syn-flood-bb", "closed")
    hass.shows("sensor.monitorpi_lab_open_alerts", "1")
    assert hass.states()["binary_sensor.monitorpi_lab_syn_flood"] == "on"
    assert hass.states()["event.monitorpi_lab_alert"] not in (None, "unknown", "unavailable")
    alert(broker, "syn-flood-aa", "closed")
    hass.shows("binary_sensor.monitorpi_lab_syn_flood", "off")

    # what is down loses everything; what is not measured is unknown
    down = example(Target)
    last = down.last.model_copy(update={"loss_ratio": None, "rtt_avg_ms": None, "state": "down"})
    down = down.model_copy(update={"state": "down", "last": last})
    publish(broker, f"{ROOT}/prober/target/192-168-1-10", down.encode().decode(), "-r")
    hass.shows("binary_sensor.printer_reachable", "off")
    hass.shows("sensor.printer_packet_loss", "100")
    hass.shows("sensor.printer_round_trip", "unknown")

    # a service that is not there
    publish(broker, f"{ROOT}/prober/status/main", "offline", "-r")
    hass.shows("binary_sensor.printer_reachable", "unavailable")
    assert hass.states()["device_tracker.workshop_presence"] == "home"
    publish(broker, f"{ROOT}/detector/status/main", "offline", "-r")
    hass.shows("binary_sensor.monitorpi_lab_syn_flood", "unavailable")

    # switched off
    service.kill()
    service.wait()
    start(MONITORPI_HOME_ASSISTANT__ENABLED="false")
    hass.shows("sensor.monitorpi_lab_watch", None)

    def ours() -> list[str]:
        return [
            entity for entity, state in hass.states().items()
            if state is not None and any(n in entity for n in ("monitorpi", "printer", "workshop"))
        ]  # fmt: skip

    wait_for(lambda: not ours(), FOLLOWS_S, "everything of ours to go")
    assert hass.complaints() == []
