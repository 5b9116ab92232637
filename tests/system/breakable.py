"""A stack whose broker, clocks, starts and services can be broken from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.conftest import wait_for
from tests.system.breakable_broker import BROKER_PORT, TlsBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

    from monitorpi_lab.lan import Lab

PAGE_PORT: Final = 8080
TITLES: Final = {
    "watching": "MonitorPi",
    "partly": "MonitorPi sees a part",
    "blind": "MonitorPi is BLIND",
}
CONFIG: Final = """
[prober]
interval_s = 5
discover = false
"""
FAULTS: Final = """
import os, pathlib, re, time

faults = pathlib.Path(os.environ["FAULTS"])

def apply():
    words = pathlib.Path("/proc/self/cmdline").read_bytes().decode(errors="replace")
    found = re.search(r"-m[\\0 ](monitorpi_\\w+)", words)
    if found is None:
        return
    if (faults / f"{found[1]}.off").exists():
        os.write(2, b"not now\\n")
        os._exit(3)
    if found[1] == "monitorpi_capture":
        real = time.time
        offset = faults / "offset"
        time.time = lambda: real() + float(offset.read_text())

apply()
os.register_at_fork(after_in_child=apply)
"""
"""What each service runs first (sitecustomize, or when it is forked under its name): it may not
start, or tell another time."""

LOOK: Final = """
window.wellAt = [];
const look = () => {
    if (document.body.innerText.includes("Nothing is wrong.")) window.wellAt.push(Date.now());
};
new MutationObserver(look).observe(
    document, { subtree: true, childList: true, characterData: true });
setInterval(look, 100);
"""
"""Notes in the browser each time at which the page says that nothing is wrong."""


class Stack:
    """``up`` on the sensor, and everybody who looks at it."""

    def __init__(self, lab: Lab, folder: Path, browser: Callable[[], Chrome]) -> None:
        self.lab = lab
        self.folder = folder
        self.faults = folder / "faults"
        self.faults.mkdir()
        (self.faults / "sitecustomize.py").write_text(FAULTS)
        self.set_clock(0)
        self.lines: list[str] = []
        self.broker = TlsBroker(lab, folder)
        self._browser = browser
        self._programs: list[subprocess.Popen[Any]] = []
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for name in ("capture", "detector", "prober"):
            self.switch_off(name)
        self.broker.start()
        file = self.folder / "monitorpi.toml"
        file.write_text(CONFIG)
        settings = {
            "STATE_DIR": self.folder / "state", "SITE": "lab",
            "BROKER__HOST": "127.0.0.1", "BROKER__PORT": BROKER_PORT,
            "BROKER__USERNAME": "somebody", "BROKER__PASSWORD": "theirs",
            "BROKER__TLS_CA": self.broker.ca[0], "DASHBOARD__PORT": PAGE_PORT,
        }  # fmt: skip
        environment = {f"MONITORPI_{name}": str(value) for name, value in settings.items()}
        faults = {"PYTHONPATH": str(self.faults), "FAULTS": str(self.faults)}
        self.up = self._run(
            [
                sys.executable, "-P", "-m", "monitorpi_cli", "up", "--config", str(file),
                "--interface", self.lab.sensor.interface,
            ],
            self.lines.append,
            env=os.environ | environment | faults,
        )  # fmt: skip
        wait_for(lambda: any("watches site" in line for line in self.lines), 30, "the greeting")
        wait_for(self._healthz, 20, "the page")
        self.page = self.lab.sensor.call(self._browser)
        self.lab.sensor.call(self.page.get, f"http://127.0.0.1:{PAGE_PORT}/")
        self.lab.sensor.call(self.page.execute_script, LOOK)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "page"):
            self.lab.sensor.call(self.page.quit)
        self.up.terminate()
        for program in self._programs[1:]:
            program.kill()
        for program in self._programs:
            program.wait(30)
        self.broker.stop()
        for reader in self._readers:
            reader.join(5)
        for program in self._programs:
            if program.stdout is not None:
                program.stdout.close()
        sys.stdout.write("\n".join([*self.lines, self.broker.log.read_text(errors="replace")]))

    def _run(
        self, command: list[str], take: Callable[[str], object], **options: Any
    ) -> subprocess.Popen[Any]:
        program = self.lab.sensor.popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )

        def read() -> None:
            for line in program.stdout:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    take(line.rstrip())

        self._programs.append(program)
        self._readers.append(threading.Thread(target=read, daemon=True))
        self._readers[-1].start()
        return program

    # --- who looks ------------------------------------------------------------------------------

    def _healthz(self) -> tuple[int, str] | None:
        def ask() -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", PAGE_PORT, timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                return answer.status, answer.read().decode().strip()

        with contextlib.suppress(OSError):
            return self.lab.sensor.call(ask)
        return None

    def _watch(self) -> str | None:
        """Return what stands at the broker, for whoever comes and looks."""
        done = self.lab.sensor.run(
            [
                "mosquitto_sub", "-h", "127.0.0.1", "-p", str(BROKER_PORT), "-V", "mqttv5",
                "--cafile", self.broker.ca[0], "-u", "somebody", "-P", "theirs",
                "-t", "monitorpi/v1/+/detector/watch/+", "-C", "1", "-W", "2",
            ],
            check=False,
        )  # fmt: skip
        return str(json.loads(done.stdout)["state"]) if done.stdout.strip() else None

    def _seen(self) -> tuple[str, str]:
        script = "return [document.title, document.body.innerText]"
        title, body = self.lab.sensor.call(self.page.execute_script, script)
        return str(title), str(body)

    def said_well(self, since_s: float) -> list[float]:
        """Return when, from a moment on, page or /healthz said that nothing is wrong.

        The page is looked at with each of its changes and ten times a second in between, since it
        was asked last; /healthz now.
        """
        script = "return window.wellAt.splice(0)"
        times = self.lab.sensor.call(self.page.execute_script, script)
        found = [at_ms / 1000 for at_ms in times]
        healthz = self._healthz()
        if healthz is not None and healthz[0] == http.client.OK:
            found.append(time.time())
        return [round(at_s - since_s, 1) for at_s in found if at_s >= since_s]

    def lacks(self, level: str, text: str, since: int, *, mqtt: bool) -> list[str]:
        """Return who does not say it yet, and what is said instead.

        ``since``: from which line of ``up`` on; ``mqtt``: whether anybody can say it there.
        """
        title, body = self._seen()
        said = self.lines[since:]
        missing = []
        if text not in body:
            missing.append(f"page: {body[:200]!r}")
        if not title.endswith(TITLES[level]):  # behind the number of open alerts
            missing.append(f"title: {title}")
        if ("Nothing is wrong." in body) != (level == "watching"):
            missing.append("page: Nothing is wrong.")
        if self._healthz() != (200 if level == "watching" else 503, level):
            missing.append(f"/healthz: {self._healthz()}")
        if mqtt and self._watch() != level:
            missing.append(f"MQTT: {self._watch()}")
        if not any(f" {level.upper()}" in line for line in said):
            missing.append(f"up: {said}")
        return missing

    # --- what can be broken ---------------------------------------------------------------------

    def set_clock(self, seconds: float) -> None:
        """Let capture's clock differ from all others."""
        (self.faults / "new").write_text(str(seconds))
        (self.faults / "new").rename(self.faults / "offset")

    def pid(self, service: str) -> int:
        """Return the process of a service, once there is one."""
        module = f"-m\0monitorpi_{service}".encode()

        def find() -> int | None:
            for pid in self._children():
                with contextlib.suppress(OSError):
                    if module in (pid / "cmdline").read_bytes():
                        return int(pid.name)
            return None

        found: int = wait_for(find, 10, f"a process of {service}")
        return found

    def _children(self) -> Iterator[Path]:
        for pid in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int(
                    (pid / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()[1]
                )
                if parent == self.up.pid:
                    yield pid

    def send(self, service: str, number: signal.Signals) -> None:
        """Send a service a signal."""
        os.kill(self.pid(service), number)

    def switch_off(self, service: str) -> None:
        """Let a service refuse to start."""
        (self.faults / f"monitorpi_{service}.off").touch()

    def switch_on(self, service: str) -> None:
        """Let it start."""
        (self.faults / f"monitorpi_{service}.off").unlink(missing_ok=True)

    def stop(self, service: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a service for good."""
        self.switch_off(service)
        self.send(service, how)

    def link(self, *words: str) -> None:
        """Change the mirror port."""
        self.lab.sensor.run(["ip", "link", "set", self.lab.sensor.interface, *words])

    def plug(self, state: str) -> None:
        """Take the cable out at the switch, or put it in."""
        self.lab.switch.run(["ip", "link", "set", "mirror", state])

    def take_interface(self) -> None:
        """Let the mirror port go, as a USB adapter that is pulled."""
        self.link("netns", self.lab.switch.path)

    def give_interface(self) -> None:
        """Put it back."""
        name = self.lab.sensor.interface
        self.lab.switch.run(["ip", "link", "set", name, "netns", self.lab.sensor.namespace.path])
        self.link("arp", "off", "up")

    def rename(self, name: str | None) -> None:
        """Give the mirror port another name, or its own again, as another kernel may."""
        own = self.lab.sensor.interface
        old, new = (own, name) if name else ("other0", own)
        self.lab.sensor.run(["ip", "link", "set", old, "down"])
        self.lab.sensor.run(["ip", "link", "set", old, "name", new, "up"])

    def flap(self) -> None:
        """Take the cable out and in, five times, and out."""
        for _ in range(5):
            self.plug("down")
            self.plug("up")
        self.plug("down")
