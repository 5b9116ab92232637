"""Ten minutes of mixed load: nothing crashes, nothing grows, no frame is unaccounted for."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.conftest import wait_for
from tests.memory import peak_mb

from monitorpi_dev.sender import DESTINATION, INTERFACE, Sender, source
from monitorpi_lab.namespace import LabError, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DURATION_S: Final = 600.0
RSS_MB: Final = 80
NEAR: Final = "vb"
FAR: Final = "va"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.soak,
    pytest.mark.timeout(DURATION_S + 180),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

LOADS: Final = {
    "ebpf": (
        {"frames": 2_000, "per_second": 1_000, "macs": 10, "kinds": 4},
        {"frames": 100_000, "per_second": 50_000, "macs": 3_000, "kinds": 4},
        {"frames": 150_000, "per_second": 148_800, "macs": 0},
        {"frames": 500_000, "macs": 50, "spread": 10_000},
        {"frames": 200_000, "macs": 6_000},
    ),
    "socket": (
        {"frames": 2_000, "per_second": 1_000, "macs": 10, "kinds": 4},
        {"frames": 40_000, "per_second": 20_000, "macs": 3_000, "kinds": 4},
        {"frames": 200_000, "macs": 50},
    ),
}
"""What the in-kernel sender sends on loopback in a round, by engine; the last of the socket's
loads is far more than it can take: it has to say what it lost."""


@dataclass
class Account:
    """One interface's frames over all lives of the service."""

    sent: int = 0
    counted: int = 0
    lost: int = 0

    @property
    def open(self) -> int:
        """Frames nobody has spoken of yet."""
        return self.sent - self.counted - self.lost


@dataclass
class Sensor:
    """The service, restarted now and then, and what all its lives said."""

    namespace: Namespace
    folder: Path
    accounts: dict[str, Account] = field(
        default_factory=lambda: {name: Account() for name in (INTERFACE, NEAR)}
    )
    windows: dict[str, int] = field(default_factory=lambda: {INTERFACE: 0, NEAR: 0})
    engine: str = "ebpf"
    lives: int = 0
    process: subprocess.Popen[bytes] | None = None
    peak_mb: float = 0.0
    _read: int = 0

    @property
    def said(self) -> Path:
        """Where this life's messages go."""
        return self.folder / f"said-{self.lives}"

    @property
    def log(self) -> Path:
        """Where all lives log."""
        return self.folder / "log"

    def start(self, engine: str) -> None:
        """Start it, and wait until it counts on both interfaces."""
        self.engine, self.lives, self._read = engine, self.lives + 1, 0
        settings = {
            "MONITORPI_SITE": "lab",
            "MONITORPI_CAPTURE__ENGINE": engine,
            "MONITORPI_CAPTURE__INTERFACES": f"{INTERFACE},{NEAR}",
        }
        with self.said.open("wb") as said, self.log.open("ab") as log:
            self.process = self.namespace.popen(
                [sys.executable, "-m", "monitorpi_capture", "--bus", "-"],
                stdout=said, stderr=log, env=os.environ | settings,
            )  # fmt: skip
        self.await_windows()

    def await_windows(self, more: int = 1) -> None:
        """Wait until it has told of windows of both interfaces that began after this call."""
        self.read()
        wanted = {name: count + 1 + more for name, count in self.windows.items()}
        wait_for(
            lambda: self.read() or all(self.windows[n] >= wanted[n] for n in wanted), 30, "windows"
        )

    def read(self) -> None:
        """Book what was said since the last call, and hold each window to its own sum."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with self.said.open("rb") as stream:
            stream.seek(self._read)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            one = json.loads(line)
            if "/traffic/" in one["topic"]:
                self.book(one["payload"])

    def book(self, window: dict[str, Any]) -> None:
        """Add a window to its interface's account."""
        listed = sum(device.get("tx", {}).get("packets", 0) for device in window["devices"])
        assert window["packets"] == listed + window["omitted"]["packets"]
        assert window["engine"] == self.engine
        account = self.accounts[window["interface"]]
        account.counted += window["packets"]
        account.lost += window["kernel_drops"]
        self.windows[window["interface"]] += 1

    def end_overdue(self) -> None:
        """Wait until every frame is counted or reported as lost."""

        def done() -> bool:
            self.read()
            return all(account.open <= 0 for account in self.accounts.values())

        with contextlib.suppress(pytest.fail.Exception):
            wait_for(done, 30)
        self.await_windows(0)
        assert {name: account.open for name, account in self.accounts.items()} == {
            INTERFACE: 0,
            NEAR: 0,
        }, self.accounts

    def stop(self, how: signal.Signals) -> None:
        """End this life of the service."""
        assert self.process is not None
        self.peak_mb = max(self.peak_mb, peak_mb(self.process.pid))
        self.process.send_signal(how)
        code = self.process.wait(20)
        assert code == (0 if how == signal.SIGTERM else -how)


@dataclass
class Cable:
    """A cable into the sensor that is pulled, cut off and laid anew."""

    namespace: Namespace
    number: int = 0

    def ip(self, *arguments: str) -> str:
        """Configure the network of the namespace, also while a frame sender blocks its thread."""
        command = [*self.namespace.prefix, "ip", *arguments]
        return subprocess.run(
            command, check=True, timeout=10, capture_output=True, text=True
        ).stdout

    def plug(self) -> None:
        """Lay it."""
        self.ip("link", "add", FAR, "type", "veth", "peer", "name", NEAR)
        for end in (FAR, NEAR):
            self.ip("link", "set", end, "up")

    def received(self) -> int:
        """Return the frames the sensor's end says it received since it was made."""
        report = json.loads(self.ip("-json", "-statistics", "link", "show", "dev", NEAR))
        return int(report[0]["stats64"]["rx"]["packets"])

    def wire(self) -> socket.socket:
        """Return a socket that sends into the far end."""
        wire: socket.socket = self.namespace.call(
            socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0
        )
        wire.bind((FAR, 0))
        return wire

    def send(self, wire: socket.socket, frames: int) -> None:
        """Send frames; those that a cable without a far end refuses are not on the wire."""
        tail = b"\x08\x00" + bytes.fromhex("45000028000000004006000001010101c0000202") + bytes(26)
        for _ in range(frames):
            self.number += 1
            with contextlib.suppress(OSError):
                wire.send(DESTINATION + source(self.number % 500) + tail)

    def flap(self, wire: socket.socket) -> None:
        """Switch the sensor's end off and on while frames are coming."""
        self.ip("link", "set", NEAR, "down")
        self.send(wire, 50)
        self.ip("link", "set", NEAR, "up")
        self.send(wire, 300)


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    """Run the service in a namespace with a quiet loopback and a cable."""
    namespace = Namespace("soak")
    namespace.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    namespace.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"])
    namespace.run(["ip", "link", "set", INTERFACE, "up"])
    yield Sensor(namespace, tmp_path)
    namespace.close()


def test_ten_minutes_of_flaps_and_restarts(sensor: Sensor, record_property: Any) -> None:
    """Sent is counted + lost on every interface, to the frame, whatever happens to either."""
    dice = random.Random(1)  # noqa: S311 - the same load each time
    cable = Cable(sensor.namespace)
    cable.plug()
    try:
        sender = Sender()
    except LabError as error:
        pytest.skip(str(error))
    received, rounds = 0, 0
    sensor.start("ebpf")
    end = time.monotonic() + DURATION_S

    while time.monotonic() < end:
        rounds += 1
        load: dict[str, Any] = dice.choice(LOADS[sensor.engine])
        with cable.wire() as wire:  # made before the namespace's own thread is busy sending
            running = sensor.namespace.submit(sender.send, **load)
            cable.send(wire, dice.randrange(200, 2_000))
            if rounds % 2:
                cable.flap(wire)
            sensor.accounts[INTERFACE].sent += running.result(60).frames
        before, received = received, cable.received()
        sensor.accounts[NEAR].sent += received - before
        sensor.end_overdue()
        if rounds % 3 == 0:
            cable.ip("link", "del", FAR)
            wait_for(lambda: "interface is gone" in sensor.log.read_text(), 10)
            cable.plug()
            received = cable.received()
            sensor.await_windows()
        if rounds % 5 == 0:
            sensor.stop(signal.SIGKILL if rounds % 2 else signal.SIGTERM)
            sensor.start("socket" if rounds % 20 == 10 else "ebpf")
    sensor.stop(signal.SIGTERM)
    sender.close()

    report = sensor.log.read_text()
    assert "Traceback" not in report
    assert "level=error" not in report
    assert sensor.peak_mb < RSS_MB
    for name, account in sensor.accounts.items():
        record_property(name, vars(account))
    record_property("rounds", rounds)
    record_property("lives", sensor.lives)
    record_property("peak_mb", round(sensor.peak_mb, 1))
    sys.stdout.write(f"{rounds=} {sensor.lives=} {sensor.peak_mb=:.1f} {sensor.accounts}\n")
