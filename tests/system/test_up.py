"""``./monitorpi up`` on real frames: floods told once, services and broker killed, bad settings."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import is_running, wait_for

from monitorpi_common.record import decode
from monitorpi_lab import flood
from monitorpi_lab.background import BackgroundTraffic
from monitorpi_lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

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
        found = {}
        for pid in Path("/proc").glob("[0-9]*"):
            try:
                stat = (pid / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
                command = (pid / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if int(stat[1]) == self.process.pid and stat[0] != "Z":
                service = re.search(r"-m monitorpi_(\w+)", command)
                name = service[1].replace("_", "-") if service else "broker"
                found[name] = int(pid.name)
        return found

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


def test_two_floods_are_two_alerts_on_the_attacker(
    up: Start, lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    """Each flood of 1,000/s opens one alert within 3 s, on its MAC, which closes; nothing else."""
    one = up()
    for service in ("capture", "detector", "prober"):
        one.online(service)
    wait_for(lambda: len(one.of("capture/traffic/")) >= 4, 30, "some calm windows")
    assert one.alerts() == []
    attacker, victim = lab.hosts[3], lab.hosts[1]

    for kind, rule in (("syn", "syn-flood"), ("icmp_echo", "icmp-flood")):
        running = flood.start(
            attacker, flood.flood_between(attacker, victim, kind, 1000, seconds=3)
        )
        first = running.first_frame_s()

        def told(rule: str = rule, state: str = "open") -> list[tuple[float, dict[str, Any]]]:
            return [(at, a) for at, a in one.alerts() if a["rule"] == rule and a["state"] == state]

        opened_at, alert = wait_for(told, 10, f"{rule} to open")[0]
        running.wait()
        wait_for(lambda rule=rule: told(rule, "closed"), QUIET_S + 15, f"{rule} to close")

        assert opened_at - first <= 3
        assert alert["subject"] == attacker.mac.replace(":", "")
        assert alert["evidence"]["victims"][0]["mac"] == victim.mac
        assert len({a["id"] for _, a in one.alerts() if a["rule"] == rule}) == 1
        record_property(f"{rule}_seconds_to_alert", round(opened_at - first, 2))
    others = {a["key"] for _, a in one.alerts()} - {
        f"{rule}-{attacker.mac.replace(':', '')}" for rule in ("syn-flood", "icmp-flood")
    }
    assert others == set()

    def shown() -> list[str]:
        return [line for line in one.lines if "syn-flood" in line or "icmp-flood" in line]

    wait_for(lambda: sum("closed" in line for line in shown()) == 2, 5, "the lines people read")
    for rule in ("syn-flood", "icmp-flood"):
        said = [line.split()[1] for line in shown() if rule in line]
        # a line more where the first window was not yet critical
        assert said in (
            ["CRITICAL", "closed"],
            ["WARNING", "CRITICAL", "closed"],
            ["WARNING", "closed"],
        )
    assert one.stop() == 0
    assert one.children() == {}


def test_killed_services_and_brokers_come_back(up: Start) -> None:
    """Kill -9: ``offline`` at once and back in 5 s; a new broker learns all state anew."""
    one = up()
    names = [name for name in one.children() if name != "broker"]
    assert {"capture", "detector", "prober", "dashboard", "history"} <= set(names)
    for name in names:
        one.online(name)
    wait_for(lambda: one.of("capture/device/"), 60, "a device")
    devices = {topic for _, topic, _ in one.messages if "/capture/device/" in topic}

    for name in names:
        pid = wait_for(lambda name=name: one.children().get(name), 10)
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda name=name: [t for t, text in one.of(f"{name}/status/") if text == "offline"],
            2,
            f"{name} to be offline",
        )
        one.online(name, 2)
        back = [at for at, text in one.of(f"{name}/status/") if text == "online"][-1]
        assert back - killed < 5, f"{name} took {back - killed:.1f} s"

    before = one.children()
    one.messages.clear()
    os.kill(before["broker"], signal.SIGKILL)
    for name in names:
        one.online(name)
    wait_for(
        lambda: devices <= {topic for _, topic, _ in one.messages}, 30, "the devices' state again"
    )
    after = one.children()
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


def test_garbage_on_any_topic_kills_nobody(up: Start) -> None:
    """Each service publishes nonsense on its own topics: counted, and all live on."""
    one = up()
    for name in ("capture", "detector", "prober", "dashboard"):
        one.online(name)
    before = one.children()

    for service, kinds in {
        "capture": ("traffic", "device", "status", "health", "packet"),
        "prober": ("probe", "target", "status"),
        "detector": ("alert", "health", "result"),
    }.items():
        for kind in kinds:
            for text in ("garbage", "{}", "[]", "\x00\x01", '{"mac": {}}', "9" * 5000):
                one.publish(service, f"monitorpi/v1/{SITE}/{service}/{kind}/x", text)
    seen = len(one.of("capture/traffic/"))
    wait_for(lambda: len(one.of("capture/traffic/")) > seen + 2, 15, "windows go on")

    assert one.children() == before


def test_a_running_stack_leaves_the_card_alone(up: Start) -> None:
    """Once all is known no file is written while nothing new happens: an SD card wears by writes.

    What may be written at most once a minute is not: the folder stays as it is for longer.
    """
    one = up()
    for name in ("capture", "detector", "prober", "dashboard"):
        one.online(name)
    wait_for(lambda: one.kept("capture") and one.kept("prober"), 60, "devices to be written")
    before, since = changes(one.state), time.monotonic()

    def is_quiet() -> bool:
        nonlocal before, since
        now = changes(one.state)
        if now != before:
            before, since = now, time.monotonic()
        return time.monotonic() - since > 75

    wait_for(is_quiet, 220, "75 s without a write")


def test_all_killed_at_once_knows_its_devices_and_alerts_again(up: Start, lab: Lab) -> None:
    """Kill -9 of broker and services, as a power cut: alert and devices are the same again."""
    one = up()
    for name in ("capture", "detector", "prober"):
        one.online(name)
    wait_for(lambda: len(one.kept("capture")) >= len(lab.hosts), 90, "devices to be written")
    attacker, victim = lab.hosts[3], lab.hosts[1]
    running = flood.start(attacker, flood.flood_between(attacker, victim, "syn", 1000, seconds=10))
    key = f"syn-flood-{attacker.mac.replace(':', '')}"
    wait_for(lambda: f"alert/{key}" in one.kept("detector"), 30, "the alert to be written")
    alert = next(a for _, a in one.alerts() if a["key"] == key)
    devices = {a["mac"]: a for _, text in one.of("capture/device/") for a in [json.loads(text)]}

    for pid in [*one.children().values(), one.process.pid]:
        os.kill(pid, signal.SIGKILL)
    one.stop()
    running.wait()
    again = up()
    again.online("detector")

    wait_for(lambda: [a for _, a in again.alerts() if a["key"] == key], 20, "the alert")
    seen = {a["id"] for _, a in again.alerts() if a["key"] == key}
    assert seen == {alert["id"]}
    wait_for(
        lambda: [a for _, a in again.alerts() if a["key"] == key and a["state"] == "closed"],
        QUIET_S + 30,
        "the alert to end",
    )

    def known() -> dict[str, Any]:
        return {a["mac"]: a for _, text in again.of("capture/device/") for a in [json.loads(text)]}

    wait_for(lambda: devices.keys() <= known().keys(), 20, "the devices")
    assert {mac: known()[mac]["first_seen"] for mac in devices} == {
        mac: one["first_seen"] for mac, one in devices.items()
    }
    assert not [a for _, a in again.alerts() if a["rule"] == "new-device"]


def changes(folder: Path) -> dict[str, int]:
    """Return when each file and folder was last changed, in any way.

    Not those of the history, which writes what it counts: how much is measured by its own tests.
    """
    found = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "history")
    return {str(path.relative_to(folder)): path.stat().st_ctime_ns for path in found}


def test_another_port_is_taken_when_1883_is(up: Start, lab: Lab) -> None:
    """Somebody else's broker is left alone unless its port was asked for."""
    listener = [sys.executable, "-c", (
        "import socket, time\ns = socket.socket()\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind(('127.0.0.1', 1883)); s.listen(); print('taken', flush=True); time.sleep(120)"
    )]  # fmt: skip
    other = lab.sensor.popen(listener, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "taken\n"
    try:
        one = up()
        one.online("capture")

        assert one.port == 1884
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def test_a_killed_up_leaves_nobody_and_starts_again(up: Start) -> None:
    """Kill -9 of ``up`` ends services and broker; the next one keeps the passwords."""
    one = up()
    one.online("capture")
    left = one.children()
    assert {"broker", "capture", "detector", "prober", "dashboard", "history"} <= set(left)
    password = one.password("viewer")

    one.process.kill()
    one.process.wait()

    wait_for(lambda: not any(map(is_running, left.values())), 10, f"{left} to end")
    again = up()
    again.online("capture")
    assert again.password("viewer") == password


def test_one_stack_has_a_state_directory(up: Start, lab: Lab) -> None:
    """A second ``up`` with the same one says so and leaves the first alone."""
    one = up()
    one.online("capture")
    before = one.children()

    second = lab.sensor.popen(
        [sys.executable, "-m", "monitorpi_cli", "up"],
        env=os.environ | {"MONITORPI_STATE_DIR": str(one.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = second.communicate(timeout=30)

    assert second.returncode == 3
    assert said.strip() == (
        f"monitorpi: another MonitorPi runs with the state directory {one.state}: stop it, or set "
        "another one (MONITORPI_STATE_DIR)"
    )
    assert one.children() == before


def test_a_service_that_lacks_something_is_said_and_the_rest_runs(up: Start) -> None:
    """An interface that is not there: said with its remedy; it is looked for again later."""
    one = up("--interface", "nope0")

    wait_for(lambda: any("the rest runs on" in line for line in one.lines), 15, "the complaint")
    one.online("detector")

    assert any("nope0" in line for line in one.lines)
    said = "monitorpi: capture lacks something; the rest runs on; starting again in 5 s"
    assert said in one.lines
    assert one.stop() == 0


def test_a_page_with_a_password_is_told_too(up: Start, tmp_path: Path) -> None:
    """Its password is in the service's own secrets, and the greeting still names the page."""
    secrets = tmp_path / "state" / "secrets" / "dashboard"
    secrets.mkdir(parents=True)
    (secrets / "dashboard__password").write_text("for-a-test")

    one = up(
        MONITORPI_DASHBOARD__LISTEN="0.0.0.0", MONITORPI_DASHBOARD__PORT="18081", SUDO_USER="pi"
    )

    one.online("dashboard")
    assert "  page      http://127.0.0.1:18081/" in one.lines
    # started with sudo: who pastes the line is not root
    assert any(line.strip().startswith('-P "$(sudo cat ') for line in one.lines)


def test_up_says_when_nobody_watches_and_that_it_is_over(up: Start, lab: Lab) -> None:
    """A detector that hangs, a cable that is out: said within ten seconds, and well again."""
    one = up()
    for service in ("capture", "detector", "prober"):
        one.online(service)

    def states() -> list[str]:
        payloads = [json.loads(text) for _, text in one.of("detector/watch/") if text]
        return [payload["state"] for payload in payloads]

    def says(word: str, text: str, seconds: float) -> None:
        def said() -> bool:
            return any(f" {word}" in line and text in line for line in one.lines[before:])

        wait_for(said, seconds, f"{word} {text}: {one.lines}")

    def told(state: str) -> bool:
        seen = [alert for _, alert in one.alerts() if alert["rule"] == "sensor-blind"]
        return any(alert["state"] == state for alert in seen)

    wait_for(lambda: states()[-1:] == ["watching"], 30, "a sensor that works")
    interface = lab.sensor.interface
    before = len(one.lines)
    lab.sensor.run(["ip", "link", "set", interface, "down"])
    says("BLIND", f"No window of {interface}", 12)
    assert states()[-1] == "blind"
    wait_for(lambda: told("open"), 15, "the alert to open")
    lab.sensor.run(["ip", "link", "set", interface, "up"])
    says("WATCHING", "", 15)
    wait_for(lambda: told("closed"), 20, "the alert to close")

    before = len(one.lines)
    detector = one.children()["detector"]
    os.kill(detector, signal.SIGSTOP)
    says("BLIND", "The detector has said nothing for", 16)
    os.kill(detector, signal.SIGCONT)
    says("WATCHING", "", 15)


def test_a_broker_that_is_there_already_is_used(lab: Lab, tmp_path: Path) -> None:
    """A broker on this machine with a user of its own: the services log in there as that user."""
    passwords, rules = tmp_path / "passwords", tmp_path / "mosquitto.conf"
    passwords.write_text("somebody:theirs\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, capture_output=True)
    rules.write_text(f"listener 1884 127.0.0.1\nuser root\npassword_file {passwords}\n")
    theirs = lab.sensor.popen(["mosquitto", "-c", str(rules)], stderr=subprocess.DEVNULL)
    account = {"HOST": "127.0.0.1", "PORT": "1884", "USERNAME": "somebody", "PASSWORD": "theirs"}
    process = lab.sensor.popen(
        [sys.executable, "-m", "monitorpi_cli", "up", "--interface", lab.sensor.interface],
        env=os.environ
        | {"MONITORPI_STATE_DIR": str(tmp_path / "state")}
        | {f"MONITORPI_BROKER__{name}": value for name, value in account.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with lines_of(process) as lines:
            greeting = "  broker    127.0.0.1:1884 (as configured)"
            wait_for(lambda: greeting in lines, 30, "the greeting")
            reader = ["mosquitto_sub", "-p", "1884", "-u", "somebody", "-P", "theirs", "-W", "30"]
            for service in ("capture", "detector", "prober", "dashboard"):
                topic = f"monitorpi/v1/+/{service}/status/main"
                said = lab.sensor.run([*reader, "-C", "1", "-t", topic])
                assert said.stdout.strip() == "online"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    finally:
        theirs.kill()
        theirs.wait()


@contextlib.contextmanager
def lines_of(program: subprocess.Popen[str]) -> Iterator[list[str]]:
    """Collect what a program prints until the block ends, and the program with it."""
    lines: list[str] = []
    assert program.stdout is not None
    reader = threading.Thread(
        target=lambda: lines.extend(line.rstrip() for line in program.stdout or ()), daemon=True
    )
    reader.start()
    try:
        yield lines
    finally:
        program.kill()
        program.wait()
        reader.join(5)
        program.stdout.close()
        sys.stdout.write("\n".join([*lines, ""]))  # shown where a test fails


def test_a_broker_elsewhere_is_used_as_configured(lab: Lab, tmp_path: Path) -> None:
    """With another machine's broker there is no own one, and alerts are still told here."""
    there = lab.hosts[1]
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(f"listener 1999 {there.ip}\nallow_anonymous true\nuser root\n")
    broker = there.popen(["mosquitto", "-c", str(conf)], stderr=subprocess.DEVNULL)
    environment = os.environ | {
        "MONITORPI_STATE_DIR": str(tmp_path / "state"),
        "MONITORPI_BROKER__HOST": there.ip,
        "MONITORPI_BROKER__PORT": "1999",
    }
    command = [sys.executable, "-m", "monitorpi_cli", "up", "--site", SITE]
    process = lab.sensor.popen(
        [*command, "--interface", lab.sensor.interface],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with lines_of(process) as lines:
        wait_for(lambda: any("(as configured)" in line for line in lines), 30, "the greeting")
        wait_for(lambda: sum("connected" in line for line in lines) >= 4, 30, "all to be connected")
        flood.start(lab.hosts[3], flood.flood_between(lab.hosts[3], there, "syn", 500)).wait()
        wait_for(lambda: any(" syn-flood: " in line for line in lines), 15, "the alert")
        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == 0
    broker.terminate()
    broker.wait()
    assert f"  broker    {there.ip}:1999 (as configured)" in lines
    assert not (tmp_path / "state" / "broker").exists()
    assert not (tmp_path / "state" / "secrets").exists()


def test_up_ends_when_nobody_reads_it(lab: Lab, tmp_path: Path) -> None:
    """The reader of its output goes: the stack stops in order instead of running unseen."""
    process = lab.sensor.popen(
        [sys.executable, "-m", "monitorpi_cli", "up", "--interface", lab.sensor.interface],
        env=os.environ | {"MONITORPI_STATE_DIR": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "-v -t" in line:
            break
    children = Up.children(SimpleNamespace(process=process))  # type: ignore[arg-type] # all it reads
    process.stdout.close()

    os.kill(children["detector"], signal.SIGKILL)

    assert process.wait(30) == 0
    wait_for(lambda: not any(map(is_running, children.values())), 5, "all to end")


# --- wrong settings -----------------------------------------------------------------------------


def complaint(arguments: Sequence[str], **environment: str) -> tuple[int, list[str]]:
    """Run a program that must refuse and return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return done.returncode, done.stdout.strip().splitlines()


@pytest.mark.parametrize(
    ("service", "text", "words"),
    [
        ("capture", "[capture]\ninterfaecs = ['x']", ["interfaecs", "did you mean 'interfaces'"]),
        ("detector", "[detector.rules.syn-flood]\nfloor = -1", ["floor", "greater than 0"]),
        (
            "detector",
            "[detector]\nignore = ['b8-27-eb']",
            ["ignore", "no MAC address: write it as"],
        ),
        ("detector", "[detector.rules.sin-flood]\nfloor = 1", ["sin-flood"]),
        ("prober", "[[prober.targets]]\nadress = '192.0.2.1'", ["adress", "unknown key"]),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    tmp_path: Path, service: str, text: str, words: list[str]
) -> None:
    """Exit code 2, the file, the key, the reason, never a traceback."""
    file = tmp_path / "monitorpi.toml"
    file.write_text(text)

    code, said = complaint([f"monitorpi_{service}", "--config", str(file)])

    assert code == 2
    assert any(all(word in line for word in [str(file), *words]) for line in said), said


def test_a_missing_interface_names_those_there_are() -> None:
    """Exit code 3 and the remedy."""
    code, said = complaint(["monitorpi_capture"], MONITORPI_CAPTURE__INTERFACES='["nope0"]')

    assert code == 3
    assert len(said) == 1
    assert "nope0" in said[0]


def test_an_unreadable_secret_is_one_clear_line(tmp_path: Path) -> None:
    """A secret that is no text is named, not skipped."""
    (tmp_path / "broker__password").write_bytes(b"\xff\xfe\x00")

    code, said = complaint(["monitorpi_detector"], MONITORPI_SECRETS_DIR=str(tmp_path))

    assert code == 2
    assert len(said) == 1
    assert "broker__password: not UTF-8" in said[0]


def test_a_configured_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    """``up`` does not move away from a port somebody asked for."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])

        code, said = complaint(
            ["monitorpi_cli", "up"],
            MONITORPI_BROKER__PORT=port,
            MONITORPI_STATE_DIR=str(tmp_path / "state"),
        )

    assert code == 3
    remedy = "stop what listens there, or configure another (broker.port)"
    assert said == [f"monitorpi: port {port} is taken: {remedy}"]


def test_a_state_directory_that_cannot_be_written_is_one_clear_line() -> None:
    """Exit code 3, the folder, the reason and the variable that names another."""
    state = Path("/proc/state")

    code, said = complaint(["monitorpi_cli", "up"], MONITORPI_STATE_DIR=str(state))

    assert code == 3
    remedy = "run as its owner, make room on its disk, or set another one (MONITORPI_STATE_DIR)"
    what = f"the state directory {state} cannot be written (No such file or directory)"
    assert said == [f"monitorpi: {what}: {remedy}"]
