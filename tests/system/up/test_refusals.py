"""Settings and machines that ``up`` and the services refuse: one clear line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


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


@pytest.mark.parametrize("command", ["up", "doctor"])
@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (
            {"MONITORPI_STATE_DIR": "/proc/state"},
            (
                "MONITORPI_STATE_DIR: state_dir: /proc/state cannot be written: /proc: "
                "No such file or directory: set another one (state_dir, MONITORPI_STATE_DIR)"
            ),
        ),
        (
            {"MONITORPI_DASHBOARD__LISTEN": "192.0.2.1", "MONITORPI_DASHBOARD__PASSWORD": "x"},
            "dashboard.listen: 192.0.2.1 is no address of this machine; give one that is",
        ),
    ],
    ids=["state", "listen"],
)
def test_what_this_machine_does_not_have_is_one_clear_line(
    command: str, environment: dict[str, str], says: str
) -> None:
    """A folder nobody can write, an address of another host: exit code 2, from both commands."""
    run = subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", command],
        env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    (line,) = (run.stderr if command == "up" else run.stdout).splitlines()
    assert run.returncode == 2
    assert line.endswith(says)
