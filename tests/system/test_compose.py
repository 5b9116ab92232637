"""The containers on a real engine: built, healthy, a lab's flood told, gone without a trace.

Replicas that are not wanted wait quietly, labels tell the licences, the demo needs nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT, wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_lab import flood
from monitorpi_lab.background import BackgroundTraffic
from monitorpi_lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PROJECT = "monitorpi-test"
SERVICES = ("capture", "prober", "detector", "dashboard", "history")
REPLICAS = ("capture", "prober", "detector")
"""Of these two are started; the others publish a port, which Docker gives but once."""
LIMITS = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"
QUIET = """
services:
  prober:
    environment:
      # the lab's addresses are not this machine's: nothing may be sent to them
      MONITORPI_PROBER__ANNOUNCED: "false"
      # nor is this machine's own network to be swept
      MONITORPI_PROBER__DISCOVER: "false"
"""


def docker(*arguments: str, check: bool = True, both: bool = False, **environment: str) -> str:
    """Run a docker command and return what it printed, where ``both`` is set as errors too."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        pytest.fail(f"docker {' '.join(arguments)}: {done.stderr[-3000:]}")
    return done.stdout + done.stderr if both else done.stdout


def compose(*arguments: str, **environment: str) -> str:
    """Run a compose command of the test's own project."""
    more = environment.pop("more", "")
    files = ["-f", "compose.yaml", *(["-f", more] if more else [])]
    return docker("compose", "-p", PROJECT, *files, *arguments, **environment)


@pytest.fixture
def engine() -> None:
    """Skip, and say why, where there is no engine."""
    if shutil.which("docker") is None or not docker("info", "-f", "{{.ID}}", check=False).strip():
        pytest.skip(
            "NO DOCKER ENGINE: the containers were not tested; set DOCKER_HOST to test them"
        )


@pytest.fixture
def lab(engine: None) -> Iterator[Lab]:
    """Run a lab whose mirror port ends in the host's own network, as a Pi's wired port does."""
    del engine
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")
    with Lab(6, mirror="mirror-test") as one, BackgroundTraffic(one):
        one.sensor.run(["ip", "link", "set", "mirror-test", "netns", "1"])
        subprocess.run(["sysctl", "-qw", "net.ipv6.conf.mirror-test.disable_ipv6=1"], check=True)
        subprocess.run(["ip", "link", "set", "mirror-test", "arp", "off", "up"], check=True)
        yield one


def password_of(*arguments: str) -> str | None:
    """Return what a command in a container printed; None: it was refused."""
    said = docker("compose", "-p", PROJECT, *arguments, check=False).strip()
    return said or None


def health() -> list[tuple[str, str]]:
    """Return the service of each container with its health."""
    lines = compose("ps", "-a", "--format", "json").splitlines()
    return [(one["Service"], one["Health"] or one["State"]) for one in map(json.loads, lines)]


def all_healthy(*services: str) -> bool:
    """Return whether each of these services is there, and all of its containers are healthy."""
    found = [state for state in health() if state[0] in services]
    return sorted(found) == sorted((name, "healthy") for name in services)


def unnamed_volumes() -> set[str]:
    """Return the volumes that nobody has named."""
    return set(docker("volume", "ls", "-q", "-f", "label=com.docker.volume.anonymous").split())


SPDX = {
    "Apache License 2.0 or GPLv3": "(Apache-2.0 OR GPL-3.0-only)",
    "EPL-2.0 OR BSD-3-Clause": "(EPL-2.0 OR BSD-3-Clause)",
    "GNU Lesser General Public License v3.0": "LGPL-3.0-only",
}
"""Licences that packages do not name as SPDX does, or that stand in brackets in an expression."""
LICENCES = """
import importlib.metadata
for found in importlib.metadata.distributions():
    print(found.metadata.get("License-Expression") or found.metadata.get("License") or found.name)
"""


def licences_of(image: str) -> set[str]:
    """Return the licences of the packages in an image, as SPDX expressions."""
    python = ["run", "--rm", "--network=none", "--entrypoint=/app/bin/python", image, "-c"]
    found = {SPDX.get(line, line) for line in docker(*python, LICENCES).splitlines()}
    return {part for one in found for part in one.split(" AND ")}


def check_image(image: str) -> None:
    """Check that an image tells its licences, and holds neither compiler nor installer."""
    label = '{{index .Config.Labels "org.opencontainers.image.licenses"}}'
    told = docker("image", "inspect", "-f", label, image).strip()
    assert set(told.split(" AND ")) == licences_of(image)
    look = "command -v clang uv; ls /app/lib/python3*/site-packages | grep -E '^(pip|setuptools)'"
    tools = ["run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", f"{look}; true"]
    assert docker(*tools) == ""


def test_a_fresh_clone_runs_in_containers(lab: Lab, tmp_path: Path) -> None:
    """``docker compose up`` with nothing to write: healthy, an alert on the attacker, clean end."""
    port, page = free_port(), free_port()
    environment = {
        "MONITORPI_INTERFACES": '["mirror-test"]',
        "MONITORPI_PORT": str(port),
        "MONITORPI_PAGE_PORT": str(page),
        "MONITORPI_SITE": "box",
    }
    quiet = tmp_path / "quiet.yaml"
    quiet.write_text(QUIET)
    unnamed = unnamed_volumes()
    try:
        scale = [word for name in REPLICAS for word in ("--scale", f"{name}=2")]
        compose("up", "--build", "--detach", *scale, more=str(quiet), **environment)
        wait_for(
            lambda: all_healthy(*SERVICES, *REPLICAS, "broker"), 120, f"all healthy: {health()}"
        )
        show = ["run", "--rm", "--no-deps", "--entrypoint", "cat", "accounts"]
        password = compose(*show, "/secrets/viewer/broker__password").strip()
        subscriber = subprocess.Popen(
            [
                "mosquitto_sub", "-p", str(port), "-u", "viewer", "-P", password, "-W", "60",
                "-C", "1", "-t", "monitorpi/v1/box/detector/alert/+",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        attacker, victim = lab.hosts[3], lab.hosts[1]
        flood.start(attacker, flood.flood_between(attacker, victim, "syn", 1000)).wait()

        alert = json.loads(subscriber.communicate(timeout=70)[0])

        for name in (*SERVICES, "broker"):
            for container in compose("ps", "-q", name).split():
                limits = docker("inspect", "-f", LIMITS, container).split()
                assert all(int(limit) > 0 for limit in limits), f"{name} has no limit: {limits}"
        for name in SERVICES:
            read = ("exec", name, "cat")
            assert password_of(*read, f"/secrets/{name}/broker__password")
            assert password_of(*read, "/secrets/operator/broker__password") is None
        for name in SERVICES:
            check_image(f"{PROJECT}-{name}")
        for name in REPLICAS:
            both = compose("ps", "-q", name).split()
            logs = [docker("logs", container, both=True) for container in both]
            assert sum("standing by" in log for log in logs) == 1
            restarts = docker("inspect", "-f", "{{.RestartCount}}", *both).split()
            assert restarts == ["0", "0"]
        assert "already connected" not in docker(
            "logs", compose("ps", "-q", "broker").strip(), both=True
        )
        assert unnamed_volumes() == unnamed
        assert (alert["rule"], alert["state"]) == ("syn-flood", "open")
        assert alert["subject"] == attacker.mac.replace(":", "")
    finally:
        compose("down", "--volumes", "--rmi", "local", "--timeout", "20")
    left = [
        docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}"),
        docker("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}"),
        docker("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}"),
    ]
    assert "".join(left).strip() == ""


def test_without_an_interface_the_line_for_the_environment_file_is_said(
    engine: None, tmp_path: Path
) -> None:
    """Nothing to count on: the log says what to write where.

    Whoever makes the secrets is left out: they are looked for where there is a folder.
    """
    del engine
    alone = tmp_path / "alone.yaml"
    alone.write_text("services: {capture: {network_mode: none}}\n")
    settings = ["-e", "MONITORPI_BROKER__PORT=1", "-e", "MONITORPI_SECRETS_DIR=/tmp"]
    try:
        run = ["run", "--rm", "--build", "--no-deps", *settings, "capture"]
        files = ["-f", "compose.yaml", "-f", str(alone)]
        said = docker("compose", "-p", PROJECT, *files, *run, check=False, both=True)
    finally:
        compose("down", "--volumes", "--rmi", "local")

    assert 'MONITORPI_INTERFACES=["eth0"] in .env' in said


def test_the_demo_needs_nothing_but_an_engine(engine: None) -> None:
    """Both floods are found in a lab inside the container; the LAN outside sees none of it."""
    del engine
    unnamed = unnamed_volumes()
    try:
        compose("build", "demo")
        said = compose("run", "--rm", "demo", "--seconds", "39", "--json")
        check_image(f"{PROJECT}-demo")
    finally:
        compose("--profile", "demo", "down", "--volumes", "--rmi", "local")

    result = json.loads(said)
    assert (len(result["floods"]), result["alerts_on_others"]) == (2, 0)
    assert unnamed_volumes() == unnamed


def test_an_image_keeps_the_contract_of_its_service(engine: None) -> None:
    """``./monitorpi contract`` asks a container the same as a command, kill and end among it."""
    del engine
    try:
        compose("build", "detector")
        words = ["contract", "detector", "--json", "--container", "--", "--user", "0"]
        asked = subprocess.run(
            [sys.executable, "-P", "-m", "monitorpi_cli", *words, f"{PROJECT}-detector"],
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
    finally:
        compose("down", "--volumes", "--rmi", "local")

    assert json.loads(asked.stdout)["keeps_contract"], asked.stdout
