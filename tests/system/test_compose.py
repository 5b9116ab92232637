"""The containers on a real engine: built, healthy, a lab's flood told, gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT, wait_for

from monitorpi_cli.lab import flood
from monitorpi_cli.lab.hosts import Household
from monitorpi_cli.lab.lan import Lab
from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PROJECT = "monitorpi-test"
SERVICES = ("capture", "prober", "detector", "dashboard")
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


def docker(*arguments: str, check: bool = True, **environment: str) -> str:
    """Run a docker command and return what it printed."""
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
    return done.stdout


def compose(*arguments: str, **environment: str) -> str:
    """Run a compose command of the test's own project."""
    more = environment.pop("more", "")
    files = ["-f", "compose.yaml", *(["-f", more] if more else [])]
    return docker("compose", "-p", PROJECT, *files, *arguments, **environment)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Run a lab whose mirror port ends in the host's own network, as a Pi's wired port does."""
    if shutil.which("docker") is None or not docker("info", "-f", "{{.ID}}", check=False).strip():
        pytest.skip(
            "NO DOCKER ENGINE: the containers were not tested; set DOCKER_HOST to test them"
        )
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")
    with Lab(6, mirror="mirror-test") as one, Household(one):
        one.sensor.run(["ip", "link", "set", "mirror-test", "netns", "1"])
        subprocess.run(["sysctl", "-qw", "net.ipv6.conf.mirror-test.disable_ipv6=1"], check=True)
        subprocess.run(["ip", "link", "set", "mirror-test", "arp", "off", "up"], check=True)
        yield one


def password_of(*arguments: str) -> str | None:
    """Return what a command in a container printed; None: it was refused."""
    said = docker("compose", "-p", PROJECT, *arguments, check=False).strip()
    return said or None


def health() -> dict[str, str]:
    """Return the health of each running container by its service."""
    lines = compose("ps", "-a", "--format", "json").splitlines()
    return {one["Service"]: one["Health"] or one["State"] for one in map(json.loads, lines)}


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
    try:
        compose("up", "--build", "--detach", more=str(quiet), **environment)
        wait_for(
            lambda: all(health().get(name) == "healthy" for name in (*SERVICES, "broker")),
            120,
            f"all to be healthy: {health()}",
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
            container = compose("ps", "-q", name).strip()
            limits = docker("inspect", "-f", LIMITS, container).split()
            assert all(int(limit) > 0 for limit in limits), f"{name} has no limit: {limits}"
        for name in SERVICES:
            read = ("exec", name, "cat")
            assert password_of(*read, f"/secrets/{name}/broker__password")
            assert password_of(*read, "/secrets/operator/broker__password") is None
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
