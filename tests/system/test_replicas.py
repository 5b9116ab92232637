"""Two processes of one name, of each service: one works, the other waits, at a real Mosquitto."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.conftest import ROOT, Broker, wait_for
from tests.contract import contender

from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Subscriber

pytestmark = pytest.mark.timeout(120)

SERVICES = (
    "capture", "prober", "detector", "cloud-bridge", "dashboard", "history", "notifier",
    "home-assistant",
)  # fmt: skip
NEEDED = {
    "MONITORPI_TRUST_CLOCK": "true",
    "MONITORPI_INSTANCE": "main",  # a prober that is given no name finds one of its own
    "MONITORPI_CAPTURE__INTERFACES": '["lo"]',
    "MONITORPI_PROBER__TARGETS": '[{"address": "127.0.0.1"}]',
    "MONITORPI_PROBER__DISCOVER": "false",
    "MONITORPI_PROBER__ANNOUNCED": "false",
    "MONITORPI_CLOUD_BRIDGE__URL": "http://127.0.0.1:9",
    "MONITORPI_CLOUD_BRIDGE__CHANNELS__TRAFFIC": "1234567",
    "MONITORPI_CLOUD_BRIDGE__WRITE_KEYS__TRAFFIC": "A" * 16,
    "MONITORPI_NOTIFIER__DESTINATIONS__DESK__URL": "json://127.0.0.1:9",
}
"""What services cannot run without."""


@pytest.fixture
def start(
    broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[Any]]
) -> Callable[[str], subprocess.Popen[Any]]:
    """Start services with one state folder and one name; what each says is in a file of its own."""
    ports = {f"MONITORPI_{name}__PORT": str(free_port()) for name in ("DASHBOARD", "HISTORY")}
    environment = broker.environment(**NEEDED, **ports, MONITORPI_STATE_DIR=str(tmp_path / "state"))

    def run(service: str) -> subprocess.Popen[Any]:
        with log(tmp_path, len(processes)).open("wb") as said:
            processes.append(contender.start(service, environment, stderr=said))
        return processes[-1]

    return run


def log(folder: Path, number: int) -> Path:
    """Return where the process of this number writes what it says."""
    return folder / f"said-{number}"


def taken_over(broker: Broker) -> int:
    """Return how often the broker ended a connection because another came under its name."""
    return (broker.folder / "mosquitto.log").read_text().count("already connected")


@pytest.mark.parametrize("service", SERVICES)
def test_a_second_process_waits_and_follows(
    broker: Broker, start: Any, subscribe: Any, tmp_path: Path, service: str
) -> None:
    """It says so once, disturbs nobody, ends with 0 when told, and takes over from one that ends.

    Docker starts no container again that runs, nor one that was stopped.
    """
    seen: Subscriber = subscribe(broker.port)
    topic = f"/{service}/status/main"
    first = start(service)
    wait_for(lambda: seen.of(topic) == ["online"], 20, "the first")
    second, third = start(service), start(service)
    for number in (1, 2):
        wait_for(lambda n=number: "standing by" in log(tmp_path, n).read_text(), 20, "waiting")

    second.terminate()

    assert second.wait(10) == 0
    health = len(seen.of(f"/{service}/health/main"))
    wait_for(lambda: len(seen.of(f"/{service}/health/main")) > health, 10, "the first's health")
    assert seen.of(topic) == ["online"]
    assert taken_over(broker) == 0

    first.terminate()

    assert first.wait(15) == 0
    wait_for(lambda: seen.of(topic) == ["online", "offline", "online"], 30, "the other to follow")
    assert third.poll() is None
    for number in (1, 2):
        (line,) = [one for one in log(tmp_path, number).read_text().splitlines() if "stand" in one]
        assert "stop it, or give this one another name (MONITORPI_INSTANCE)" in line


@pytest.mark.parametrize("service", SERVICES)
def test_two_that_start_at_once_are_one_soon(
    broker: Broker, start: Any, subscribe: Any, tmp_path: Path, service: str
) -> None:
    """As replicas of one container do: nobody is thrown off again and again."""
    seen: Subscriber = subscribe(broker.port)
    both = start(service), start(service)

    def waiting() -> list[int]:
        return sorted(log(tmp_path, n).read_text().count("standing by") for n in (0, 1))

    def health() -> list[str]:
        return seen.of(f"/{service}/health/main")

    wait_for(lambda: waiting() == [0, 1], 60, "one to wait")
    before = len(health())
    wait_for(lambda: len(health()) >= before + 2, 60, "two words of health more")

    assert len({json.loads(text)["started_at"] for text in health()}) == 1
    assert taken_over(broker) == 0
    assert [one.poll() for one in both] == [None, None]
    assert waiting() == [0, 1]
    assert seen.of(f"/{service}/status/main") == ["online"]


def test_who_is_ahead_and_says_nothing_is_not_waited_for_long(
    broker: Broker, start: Any, subscribe: Any, tmp_path: Path
) -> None:
    """One that hangs keeps its lock: another is online soon after a start would have been."""
    seen: Subscriber = subscribe(broker.port)
    (tmp_path / "state").mkdir()
    with (tmp_path / "state" / "lab-detector-main.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)

        start("detector")

        wait_for(lambda: seen.of("/detector/status/main") == ["online"], 40, "the one that works")


def test_containers_start_only_what_has_failed_again() -> None:
    """A replica that waits runs on; nothing is left in volumes without a name."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

    for service in SERVICES:
        assert services[service]["restart"] == "unless-stopped"
    for name in ("accounts", "broker"):  # its image declares both as volumes
        kept = {one["target"] for one in services[name]["volumes"] if isinstance(one, dict)}
        assert kept == {"/mosquitto/data", "/mosquitto/log"}
    named = [one for each in services.values() for one in each.get("volumes", [])]
    assert all(":" in one for one in named if isinstance(one, str))
