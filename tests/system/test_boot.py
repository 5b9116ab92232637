"""A machine under systemd, in a container: installed once, at each boot, gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

MACHINE = """
ARG BASE
FROM ${BASE}
RUN apt-get update && \\
    apt-get install -y --no-install-recommends systemd systemd-sysv dbus mosquitto \\
        mosquitto-clients procps python3-venv clang libc6-dev && \\
    systemctl disable mosquitto
COPY clone /opt/monitorpi
STOPSIGNAL SIGRTMIN+3
ENV container=docker
CMD ["/lib/systemd/systemd"]
"""
NAME = "monitorpi-boot-test"


def docker(*arguments: str, check: bool = True) -> str:
    """Run a docker command and return what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        pytest.fail(f"docker {' '.join(arguments)}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a machine with a clone of this folder and the packages a Pi has."""
    if shutil.which("docker") is None or not docker("info", "-f", "{{.ID}}", check=False).strip():
        pytest.skip("NO DOCKER ENGINE: no machine was booted; set DOCKER_HOST to boot one")
    folder = tmp_path_factory.mktemp("machine")
    _clone(folder / "clone")
    (folder / "Dockerfile").write_text(MACHINE)
    base = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
    docker("build", "--quiet", "--build-arg", f"BASE={base}", "--tag", NAME, str(folder))
    volatile = ["--tmpfs", "/run", "--tmpfs", "/run/lock"]
    docker("run", "--detach", "--privileged", "--cgroupns=private", *volatile, "--name", NAME, NAME)
    try:
        wait_for(_is_up, 30, "the machine to be up")
        yield NAME
    finally:
        docker("rm", "--force", NAME, check=False)
        docker("rmi", "--force", NAME, check=False)


def _clone(folder: Path) -> None:
    """Copy what the repository has, as a clone would."""
    folder.mkdir()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run(*command: str, check: bool = True) -> str:
    """Run a command on the machine."""
    return docker("exec", NAME, *command, check=check)


def monitorpi(*arguments: str) -> str:
    """Run ours there."""
    return run("/opt/monitorpi/monitorpi", *arguments)


def refusal(*arguments: str) -> str:
    """Run ours there, which must fail; return what it says."""
    command = ["docker", "exec", NAME, "/opt/monitorpi/monitorpi", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    return done.stderr


def _is_up() -> bool:
    state = docker("exec", NAME, "systemctl", "is-system-running", check=False).strip()
    return state in ("running", "degraded")


def watches() -> bool:
    """Ask whether it is installed, runs and watches."""
    said = run("/opt/monitorpi/monitorpi", "status", "--json", check=False)
    told = json.loads(said) if said.startswith("{") else {}
    return bool(told.get("watch")) and all(one["mark"] == "ok" for one in told["watch"])


def children() -> list[str]:
    """Return what runs of ours, and under which account."""
    listed = run("ps", "-eo", "user:16,args").splitlines()
    ours = (line.split(None, 1) for line in listed if "monitorpi" in line and "ps -eo" not in line)
    return [f"{user} {'mosquitto' if '/mosquitto ' in line else line}" for user, line in ours]


def test_it_is_installed_boots_comes_back_and_goes(machine: str) -> None:
    """One machine's life: installed twice, killed, booted, uninstalled, purged."""
    wrong = ["sh", "-c", "echo '[capture]\nmax_macs = 1' >/root/wrong.toml"]
    run(*wrong)
    refused = refusal("install", "--config", "/root/wrong.toml")
    assert "configuration: /root/wrong.toml: capture.max_macs" in refused
    assert run("find", "/etc", "-name", "*monitorpi*") == ""

    said = monitorpi("install", "--interface", "eth0")
    assert "MonitorPi runs, now and at each boot" in said
    wait_for(watches, 60, "it to watch")
    journal = run("journalctl", "--unit", "monitorpi", "--output", "cat", "--no-pager")
    assert "engine=ebpf" in journal, "counting in the kernel is among what the unit may do"
    assert any(line.startswith("mosquitto mosquitto") for line in children())

    again = monitorpi("install", "--interface", "eth0")
    assert "monitorpi.toml is kept as it is" in again
    assert "monitorpi.service is as it was" in again
    assert "is as it was" not in monitorpi("install")  # another command line

    settings = "/etc/monitorpi/monitorpi.toml"
    run("sed", "-i", "1i broker = { port = 1999 }", settings)
    run("sh", "-c", "nohup mosquitto -p 1999 >/dev/null 2>&1 & sleep 1")
    run("systemctl", "stop", "monitorpi")
    assert "port 1999 is taken" in refusal("install")
    run("sed", "-i", "1d", settings)
    run("systemctl", "stop", "monitorpi")
    monitorpi("install")

    pid = run("systemctl", "show", "--property=MainPID", "--value", "monitorpi").strip()
    run("kill", "-9", pid)
    wait_for(lambda: run("systemctl", "is-active", "monitorpi", check=False) != "active\n", 10)
    wait_for(watches, 60, "it to be back after a kill")

    docker("restart", "--time", "30", machine)
    wait_for(_is_up, 30, "the machine to be up again")
    wait_for(watches, 60, "it to watch after a boot")

    assert "kept: /etc/monitorpi, /var/lib/monitorpi" in monitorpi("uninstall")
    assert children() == []
    assert run("ls", "/var/lib/monitorpi/secrets/viewer") == "broker__password\n"
    monitorpi("uninstall", "--purge")
    left = run("find", "/etc", "/var/lib", "-name", "*monitorpi*", check=False)
    assert left == ""
