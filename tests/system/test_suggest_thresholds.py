"""Floors proposed from what a running stack hears."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import icmplib
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

COMMAND = (sys.executable, "-m", "monitorpi_cli", "suggest-thresholds")
RATE = 40.0


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Write a configuration that captures on this machine's loopback."""
    file = tmp_path / "monitorpi.toml"
    state = tmp_path / "state"
    file.write_text(f'state_dir = "{state}"\n[capture]\ninterfaces = ["lo"]\n')
    return file


@pytest.fixture
def stack(settings: Path) -> Iterator[Path]:
    """Run `up` until the test ends; returns its configuration file."""
    if os.geteuid() != 0:
        pytest.skip("needs root: capture opens a packet socket")
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("needs Mosquitto (apt-get install mosquitto)")
    command = [sys.executable, "-m", "monitorpi_cli", "up", "--config", str(settings)]
    command += ["--site", "elsewhere"]  # which the settings do not know
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "mosquitto_sub" in line:
                break
        yield settings
        process.send_signal(signal.SIGTERM)
        process.stdout.read()


def test_floors_come_from_what_the_running_stack_hears(stack: Path) -> None:
    """Beside pings at a known rate the floor of echo requests is three times that rate."""
    with subprocess.Popen(
        [*COMMAND, "--config", str(stack), "--seconds", "8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        answers = icmplib.ping("127.0.0.1", count=int(6 * RATE), interval=1 / RATE, timeout=0.5)
        said, complaints = process.communicate(timeout=30)

    assert answers.packets_received == answers.packets_sent
    assert process.returncode == 0, complaints
    windows = re.match(r"# from (\d+) windows", said)
    assert windows is not None
    assert 4 <= int(windows[1]) <= 9
    floor = tomllib.loads(said)["detector"]["rules"]["icmp-flood"]["floor"]
    assert 0.8 * 3 * RATE <= floor <= 1.2 * 2 * 3 * RATE  # the loopback shows each frame twice


def test_without_a_stack_it_says_so(settings: Path) -> None:
    """Nothing runs: one line with the remedy, and the exit code of a missing resource."""
    ended = subprocess.run(
        [*COMMAND, "--config", str(settings), "--seconds", "1"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 3
    assert "start ./monitorpi up first" in ended.stderr
    assert ended.stderr.count("\n") == 1
