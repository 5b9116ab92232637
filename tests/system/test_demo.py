from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import is_running

from monitorpi_common.messages import Service
from monitorpi_lab.demo import steps
from monitorpi_lab.demo.testbed import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.lab, pytest.mark.calm, pytest.mark.timeout(240)]

SHORT_S = steps.MINIMUM_S
ATTACKER = "00:00:5e:00:53:04"


@pytest.fixture(autouse=True)
def privileged() -> None:
    """Skip, and say why, where no demo can run."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the demo makes network namespaces")


@dataclass
class Demo:
    """A demo in a process of its own, with what it has said so far."""

    process: subprocess.Popen[str]
    printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.printed.append(line.rstrip())

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Wait until a line with the text was said, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.printed:
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        pytest.fail(f"the demo never said {text!r}:\n" + "\n".join(self.printed))

    def result(self) -> dict[str, Any]:
        """Wait for the end and return the object it prints."""
        assert self.process.stdout is not None
        printed = self.process.stdout.read()
        self.process.wait(60)
        self._reader.join(5)
        return dict(json.loads(printed)) if printed else {}

    def children(self) -> list[int]:
        """Return the process ids of everything it has started itself."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                stat = (folder / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == self.process.pid:
                found.append(int(folder.name))
        return found

    def find(self, name: str) -> int | None:
        """Return the process id of one of its services, or of the broker."""
        wanted = "mosquitto.conf" if name == "broker" else f"monitorpi_{name.replace('-', '_')}"
        for pid in self.children():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if wanted.encode() in command and is_running(pid):
                return pid
        return None

    def kill(self, name: str) -> None:
        """Kill -9 one of its services, or the broker, and wait until it is back."""
        before = self.child(name)
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 15
        while (now := self.find(name)) is None or now == before:
            assert time.monotonic() < deadline, f"{name} did not come back"
            time.sleep(0.05)

    def child(self, name: str) -> int:
        """Wait for one of its services, or the broker, and return its process id."""
        deadline = time.monotonic() + 15
        while (pid := self.find(name)) is None:
            assert time.monotonic() < deadline, f"{name} is no child of the demo"
            time.sleep(0.05)
        return pid


@pytest.fixture
def start() -> Iterator[Callable[[float], Demo]]:
    """Start demos that never outlive their test."""
    started: list[Demo] = []

    def demo(seconds: float) -> Demo:
        command = [sys.executable, "-m", "monitorpi_cli", "demo", "--json"]
        process = subprocess.Popen(
            [*command, "--seconds", f"{seconds:g}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Demo(process))
        return started[-1]

    yield demo
    for one in started:
        one.process.kill()
        one.process.communicate()


def test_both_floods_are_found_and_nothing_else(start: Callable[[float], Demo]) -> None:
    """Alerts open on the attacker within three seconds and close; page and messages are open."""
    demo = start(SHORT_S)
    demo.wait_for("sees   capture")
    look_at_the_page(demo)
    watch_the_messages(demo)

    result = demo.result()

    assert demo.process.returncode == 0, "\n".join(demo.printed)
    assert result.keys() == {
        "floods",
        "alerts_before",
        "alerts_on_others",
        "cloud_rows",
        "messages",
    }
    assert [flood["rule"] for flood in result["floods"]] == ["syn-flood", "icmp-flood"]
    for flood in result["floods"]:
        assert (flood["attacker_mac"], flood["alert_mac"]) == (ATTACKER, ATTACKER)
        assert 0 < flood["seconds_to_alert"] <= steps.ALERT_WITHIN_S
        assert 0 < flood["seconds_to_close"] <= steps.SETTLE_S
    assert (result["alerts_before"], result["alerts_on_others"]) == (0, 0)
    assert result["messages"]["traffic"] >= SHORT_S - 2
    if installed(Service.CLOUD_BRIDGE):
        assert result["cloud_rows"] > 0
        demo.wait_for("each the sum of their windows")


def look_at_the_page(demo: Demo) -> None:
    """Load the page from the address the demo names, as a browser on this machine would."""
    if not installed(Service.DASHBOARD):
        return
    demo.wait_for("dashboard is online")
    address = demo.wait_for("page     http").split()[-1]
    with urllib.request.urlopen(address, timeout=5) as page:  # noqa: S310 - an address of ours
        assert page.status == 200
        assert b"<html" in page.read().lower()


def watch_the_messages(demo: Demo) -> None:
    """Paste the mosquitto_sub line that the demo names into another terminal."""
    command = demo.wait_for("messages mosquitto_sub").split("messages ", 1)[1]
    seen = subprocess.run(
        [*shlex.split(command), "-C", "3", "-W", "10"], capture_output=True, text=True, check=True
    ).stdout
    assert all(one.startswith("monitorpi/v1/demo/") for one in seen.splitlines())


@pytest.mark.soak
def test_every_part_can_be_killed_during_the_demo(start: Callable[[float], Demo]) -> None:
    """Kill -9 of each service and of the broker: each comes back, and the demo still ends well."""
    demo = start(SHORT_S + 5)
    kills = {
        "sees   capture": ("broker", "prober", "dashboard"),
        "ALERT  syn-flood": ("detector", "cloud-bridge"),
        "closed syn-flood": ("capture",),
        "ALERT  icmp-flood": ("broker", "detector"),
    }

    for moment, parts in kills.items():
        demo.wait_for(moment)
        for part in parts:
            if part == "broker" or installed(Service(part)):
                demo.kill(part)

    result = demo.result()
    assert demo.process.returncode == 0, "\n".join(demo.printed)
    assert [flood["alert_mac"] for flood in result["floods"]] == [ATTACKER, ATTACKER]


def test_a_demo_that_is_interrupted_leaves_nothing(start: Callable[[float], Demo]) -> None:
    """Ctrl-C in the middle of a flood: no service, no broker, no lab, no folder is left."""
    demo = start(SHORT_S)
    demo.wait_for("FLOOD")
    children = demo.children()

    demo.process.send_signal(signal.SIGINT)

    assert demo.process.wait(20) == 130
    assert [pid for pid in children if is_running(pid)] == []
    assert list(Path(tempfile.gettempdir()).glob(f"monitorpi-lab-{demo.process.pid}-*")) == []


def test_a_demo_that_is_killed_leaves_nothing_running(start: Callable[[float], Demo]) -> None:
    """Kill -9 in the middle of a flood: the kernel ends everything that belongs to it."""
    demo = start(SHORT_S)
    demo.wait_for("FLOOD")
    children = demo.children()

    demo.process.kill()

    deadline = time.monotonic() + 15
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_too_short_a_demo_is_refused_with_the_minimum(start: Callable[[float], Demo]) -> None:
    """Fewer seconds than both alerts need to close: exit 2, and the least number is named."""
    demo = start(SHORT_S - 1)

    assert demo.result() == {}
    assert demo.process.returncode == 2
    assert demo.printed[-1].endswith(f"give at least {SHORT_S:g}")
