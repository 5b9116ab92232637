"""What tests of all folders share: a real Mosquitto, and children that never outlive a test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
CAPTURES = Path(os.environ.get("MONITORPI_CAPTURES", ROOT.parent / "shared" / "captures"))


if settings.get_current_profile_name() == "default":  # `mutate` has one of its own
    settings.register_profile("monitorpi", deadline=None)  # a busy machine takes its time
    settings.load_profile("monitorpi")

# Whoever started us in the background may have left it ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each folder's modules are spread over the run, whole stacks over its first half.

    So at each moment some tests wait and some compute: the processor is neither idle nor short.
    Stacks take longest, and none begins when all others have ended. Engines come last.
    """
    folders: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(item.path for item in items):
        folders.setdefault(path.parent, []).append(path)
    places = {
        path: number / len(modules) / (2 if "system" in path.parts else 1)
        for modules in folders.values()
        for number, path in enumerate(modules)
    }
    for item in items:
        if item.get_closest_marker("engine") or item.get_closest_marker("calm"):
            item.add_marker(pytest.mark.alone)
    items.sort(key=lambda item: (item.get_closest_marker("engine") is not None, places[item.path]))


@pytest.fixture(scope="session")
def privileged() -> None:
    """Skip, and say why, where no lab can be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")
    for tool in ("ip", "tc", "ethtool", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} (apt-get install iproute2 ethtool util-linux)")


def wait_for(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Poll until the condition is true and return its value; fail after the given time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {seconds} s in vain" + (f" for {what}" if what else ""))


def is_running(pid: int) -> bool:
    """Return whether a process runs (one that waits to be buried does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


@dataclass
class Broker:
    """A real Mosquitto on loopback that can be killed, frozen and started again on its port."""

    folder: Path
    port: int = field(default_factory=free_port)
    settings: str = "allow_anonymous true"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\npersistence false\nuser root\n{self.settings}\n"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", config], stdout=log, stderr=log)
        wait_for(self._accepts, what="Mosquitto to listen")

    def _accepts(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Kill -9: no goodbye to anybody."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment for a service that shall use this broker."""
        ours = {
            "MONITORPI_SITE": "lab",
            "MONITORPI_BROKER__PORT": str(self.port),
            "MONITORPI_STATE_DIR": str(self.folder / "state"),
        }
        return os.environ | ours | more


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Run a Mosquitto without users for the time of one test."""
    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        pytest.skip("Mosquitto is not installed: ./monitorpi test installs it")
    folder = tmp_path / "broker"
    folder.mkdir()
    one = Broker(folder)
    one.start()
    yield one
    one.kill()


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[Any]]]:
    """Hold what a test starts: it has ended, by force, before the broker does."""
    started: list[subprocess.Popen[Any]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def publish(broker: Broker, topic: str, payload: str, *options: str) -> None:
    """Publish as another program would: with the client of the broker's own package."""
    command = ["mosquitto_pub", "-p", str(broker.port), "-V", "mqttv5", "-q", "1", "-t", topic]
    subprocess.run([*command, "-m", payload, *options], check=True, timeout=20)


@dataclass
class Subscriber:
    """A mosquitto_sub that collects what it is sent as (topic, text, retained)."""

    process: subprocess.Popen[bytes]
    seen: list[tuple[str, str, bool]] = field(default_factory=list)
    subscribed: bool = False
    rest: bytes = b""

    def poll(self) -> list[tuple[str, str, bool]]:
        """Return everything seen so far."""
        assert self.process.stdout is not None
        while True:
            try:
                chunk = os.read(self.process.stdout.fileno(), 65536)
            except BlockingIOError:
                break
            if not chunk:
                break
            self.rest += chunk
        *lines, self.rest = self.rest.split(b"\n")
        for line in (raw.decode() for raw in lines):
            if not line.startswith("{"):
                self.subscribed |= line.startswith("Subscribed")
                continue
            record = json.loads(line)
            self.seen.append((record["topic"], record.get("payload", ""), bool(record["retain"])))
        return self.seen

    def of(self, part: str) -> list[str]:
        """Return the payloads on topics that contain the text."""
        return [text for topic, text, _ in self.poll() if part in topic]


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    """Start subscribers with the real client of the broker's own package."""
    started: list[Subscriber] = []

    def start(port: int, topic: str = "monitorpi/#", *options: str) -> Subscriber:
        command = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            "-p",
            str(port),
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-d",
            "-F",
            "%j",
        ]
        process = subprocess.Popen([*command, "-t", topic, *options], stdout=subprocess.PIPE)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        one = Subscriber(process)
        started.append(one)
        wait_for(lambda: one.poll() is not None and one.subscribed, what="the subscription")
        return one

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        if one.process.stdout is not None:
            one.process.stdout.close()


@pytest.fixture
def captures() -> Path:
    """Return the folder of public captures, or skip where there is none."""
    if not (CAPTURES / "labels.tsv").exists():
        pytest.skip(f"no public captures at {CAPTURES}: set MONITORPI_CAPTURES to use some")
    return CAPTURES


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return files with a certificate for loopback, which nobody vouches for, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, private = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", private, "-out", cert,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return str(cert), str(private)
