"""Floors proposed from what a running stack hears."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import icmplib
import pytest
from tests.system.conftest import ON_LOOPBACK, running_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.calm, pytest.mark.timeout(120)]

COMMAND = (sys.executable, "-m", "monitorpi_cli", "suggest-thresholds")
RATE = 40.0


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Write a configuration that captures on this machine's loopback."""
    file = tmp_path / "monitorpi.toml"
    state = tmp_path / "state"
    file.write_text(f'state_dir = "{state}"\n{ON_LOOPBACK}')
    return file


@pytest.fixture
def stack(settings: Path) -> Iterator[Path]:
    """Run `up` as a site the settings do not know; returns its configuration file."""
    with running_up(settings, "--site", "elsewhere"):
        yield settings


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
