from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def drill(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", "drill", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_without_a_stack_the_remedy_is_said(tmp_path: Path) -> None:
    """Nothing has ever run with this state directory: one line says to start it, exit 3."""
    ended = drill(MONITORPI_STATE_DIR=str(tmp_path))

    assert ended.returncode == 3
    assert ended.stderr == (
        f"monitorpi drill: no stack runs with the state directory {tmp_path}: "
        "start ./monitorpi up first\n"
    )


def test_a_stack_that_has_ended_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    """Its files are there, but nobody holds its lock: the same line."""
    (tmp_path / "lock").touch()
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "mosquitto.conf").write_text("listener 1 127.0.0.1\n")

    ended = drill(MONITORPI_STATE_DIR=str(tmp_path))

    assert ended.returncode == 3
    assert "start ./monitorpi up first" in ended.stderr


@pytest.mark.parametrize("rate", ["0", "-5", "many", "30000", "nan"])
def test_a_rate_out_of_bounds_is_refused(rate: str) -> None:
    """More than nothing and at most 20,000 frames a second."""
    ended = drill("--rate", rate)

    assert ended.returncode == 2
    assert "at most 20000 frames/s" in ended.stderr


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    """The error lists what can be drilled."""
    ended = drill("--rule", "smurf")

    assert ended.returncode == 2
    assert "syn-flood" in ended.stderr


def test_a_wrong_configuration_is_one_line(tmp_path: Path) -> None:
    """A missing file: exit 2, no traceback."""
    ended = drill("--config", str(tmp_path / "none.toml"))

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
