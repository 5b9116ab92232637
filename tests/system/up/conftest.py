"""``./monitorpi up`` on the sensor of a lab, with all it prints and publishes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_cli.stack.loader import TITLE
from monitorpi_common.record import decode
from monitorpi_lab.background import BackgroundTraffic
from monitorpi_lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SITE = "lab"
QUIET_S = 4
CONFIG = f"""
[detector.rules.syn-flood]
quiet_s = {QUIET_S}
[detector.rules.icmp-flood]
quiet_s = {QUIET_S}
[prober]
interval_s = 5
"""


@pytest.fixture(autouse=True)
def privileged() -> None:
    """Skip, and say why, where no lab can be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")


def children_of(up: int) -> Iterator[tuple[int, str]]:
    """Yield the process ids of the services and the broker that a process has started, by name."""
    for pid in Path("/proc").glob("[0-9]*"):
        try:
            stat = (pid / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
            command = (pid / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if command.startswith(TITLE):
            continue
        if int(stat[1]) == up and stat[0] != "Z":
            service = re.search(r"-m monitorpi_(\w+)", command)
            name = service[1].replace("_", "-") if service else "broker"
            yield int(pid.name), name


@dataclass
class Up:
    """A running ``up`` in the sensor's namespace, with all it printed and all it published."""

    lab: Lab
    process: subprocess.Popen[str]
    state: Path
    port: int = 1883
    lines: list[str] = field(default_factory=list)
    messages: list[tuple[float, str, str]] = field(default_factory=list)
    """Time of arrival, topic and payload of everything the viewer was sent."""
    readers: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read(self._read)
        wait_for(lambda: any("watches site" in line for line in self.lines), 30, "the greeting")
        ports = [re.search(r"broker +127\.0\.0\.1:(\d+)", line) for line in self.lines]
        wait_for(lambda: any("-v -t" in line for line in self.lines), 5, "the whole greeting")
        self.port = next(int(found[1]) for found in ports if found)
        self.viewer: subprocess.Popen[str] | None = None
        self.watch()

    def read(self, how: Callable[..., None], *what: Any) -> None:
        """Read a program's output in the background."""
        thread = threading.Thread(target=how, args=what, daemon=True)
        self.readers.append(thread)
        thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def password(self, user: str) -> str:
        """Return a user's password, from where the greeting says it is."""
        return (self.state / "secrets" / user / "broker__password").read_text().strip()

    def watch(self) -> None:
        """Subscribe to everything as the viewer, with the broker's own client."""
        command = [
            "mosquitto_sub", "-p", str(self.port), "-V", "mqttv5", "-q", "1", "-F", "%t %p",
            "-u", "viewer", "-P", self.password("viewer"), "-t", "monitorpi/#",
        ]  # fmt: skip
        self.viewer = self.lab.sensor.popen(command, stdout=subprocess.PIPE, text=True)
        self.read(self._collect, self.viewer)

    def _collect(self, viewer: subprocess.Popen[str]) -> None:
        assert viewer.stdout is not None
        for line in viewer.stdout:
            topic, _, payload = line.rstrip("\n").partition(" ")
            self.messages.append((time.time(), topic, payload))

    def publish(self, user: str, topic: str, payload: str) -> None:
        """Publish as one of the users."""
        command = ["mosquitto_pub", "-p", str(self.port), "-u", user, "-P", self.password(user)]
        self.lab.sensor.run([*command, "-t", topic, "-s"], input=payload)

    def of(self, part: str) -> list[tuple[float, str]]:
        """Return time and payload of the messages on topics with the text."""
        return [(at, payload) for at, topic, payload in self.messages if f"/{part}" in topic]

    def alerts(self) -> list[tuple[float, dict[str, Any]]]:
        """Return every alert message."""
        return [(at, json.loads(payload)) for at, payload in self.of("detector/alert/")]

    def online(self, service: str, times: int = 1) -> None:
        """Wait until a service has said that it is there."""

        def said() -> bool:
            return [text for _, text in self.of(f"{service}/status/")].count("online") >= times

        wait_for(said, 30, f"{service} to be online")

    def children(self) -> dict[str, int]:
        """Return the process ids of services and broker by their name."""
        return {name: pid for pid, name in children_of(self.process.pid)}

    def pids(self, service: str) -> list[int]:
        """Return the process ids of all that run as one service."""
        return [pid for pid, name in children_of(self.process.pid) if name == service]

    def kept(self, service: str) -> set[str]:
        """Return the names of what a service keeps in its file."""
        path = self.state / service / f"{service}-main.retained"
        return set(decode(path.read_bytes()).records) if path.exists() else set()

    def stop(self) -> int:
        """Press Ctrl-C, unless it has ended, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        if self.viewer is not None:
            self.viewer.kill()
            self.viewer.wait()
        for thread in self.readers:
            thread.join(5)
        for program in (self.process, self.viewer):
            if program is not None and program.stdout is not None:
                program.stdout.close()
        return code


Start = "Callable[..., Up]"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Run a lab of six hosts that live their lives."""
    with Lab(6) as one, BackgroundTraffic(one):
        yield one


@pytest.fixture
def up(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Run ``up`` on the lab's sensor."""
    started: list[Up] = []

    def start(*options: str, **environment: str) -> Up:
        config = tmp_path / "monitorpi.toml"
        config.write_text(CONFIG)
        state = tmp_path / "state"
        command = [sys.executable, "-m", "monitorpi_cli", "up", "--config", str(config), *options]
        process = lab.sensor.popen(
            [*command, "--interface", lab.sensor.interface, "--site", SITE],
            env=os.environ | {"MONITORPI_STATE_DIR": str(state), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        one = Up(lab, process, state)
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()
        sys.stdout.write("\n".join([*one.lines, ""]))  # shown where a test fails
