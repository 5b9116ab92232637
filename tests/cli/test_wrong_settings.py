"""Settings that are wrong: each one line that says where and what to write; up and doctor agree."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cli.wrong import TABLE, Wrong

from monitorpi_cli.doctor.machine import check_settings
from monitorpi_cli.stack.plan import make_plan
from monitorpi_common import settings
from monitorpi_common.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what is configured on this machine out of the tests."""
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "default.toml")
    monkeypatch.setattr(settings, "DEFAULT_SECRETS", tmp_path / "no-secrets")
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path / "state"))


def arranged(wrong: Wrong, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path | None:
    """Put everything where it would be; return the configuration file."""
    for name, value in wrong.environment.items():
        monkeypatch.setenv(name, value)
    secrets = folder / "state" / "secrets" / "cloud-bridge"
    secrets.mkdir(parents=True)
    for name, content in wrong.secrets.items():
        (secrets / name).write_bytes(content)
    if not wrong.toml:
        return None
    file = folder / "monitorpi.toml"
    file.write_text(wrong.toml)
    return file


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.says[:40])
def test_up_and_doctor_say_the_same_line(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mistake is one line with its origin, and ``up`` starts nothing."""
    file = arranged(wrong, tmp_path, monkeypatch)

    with pytest.raises(ConfigurationError) as caught:
        make_plan(argparse.Namespace(config=file, site=None, interface=None, scale=None))
    found = [str(one) for one in check_settings(file)]

    (line,) = caught.value.lines
    assert found == [f"settings: {line}"]
    assert "\n" not in line
    assert "Traceback" not in line
    assert wrong.says in line
    assert line.startswith((wrong.where, f"{wrong.where}{tmp_path}", f"{tmp_path}/{wrong.where}"))


@pytest.mark.parametrize(
    ("make", "says"),
    [(os.mkfifo, "no file; give one"), (lambda path: path.symlink_to(path), "symbolic links")],
    ids=["pipe", "loop"],
)
def test_a_secret_that_is_no_file_is_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    """A pipe would keep ``up`` waiting for ever."""
    folder = tmp_path / "state" / "secrets" / "cloud-bridge"
    folder.mkdir(parents=True)
    make(folder / "broker__password")

    (found,) = [str(one) for one in check_settings(None)]

    assert found.startswith(f"settings: secret {folder}/broker__password: ")
    assert says in found


def test_what_an_orchestrator_tells_of_a_service_of_our_name_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kubernetes and Docker's links set such variables for a service called ``monitorpi``."""
    told = {
        "MONITORPI_SERVICE_HOST": "10.43.0.7",
        "MONITORPI_SERVICE_PORT_HTTP": "8080",
        "MONITORPI_PORT": "tcp://10.43.0.7:8080",
        "MONITORPI_PORT_8080_TCP_ADDR": "10.43.0.7",
        "MONITORPI_BROKER_PORT": "tcp://10.43.0.8:1883",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    assert list(check_settings(None)) == []


def test_a_misspelt_variable_starts_no_service(tmp_path: Path) -> None:
    """One line and exit code 2, from ``up`` and from each service alone."""
    wrong = os.environ | {"MONITORPI_BROKERS__HOST": "there", "MONITORPI_STATE_DIR": str(tmp_path)}

    for module in (["monitorpi_cli", "up"], ["monitorpi_capture"], ["monitorpi_dashboard"]):
        run = subprocess.run(
            [sys.executable, "-m", *module],
            env=wrong, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

        (line,) = run.stderr.splitlines()
        assert run.returncode == 2
        assert "MONITORPI_BROKERS__HOST: unknown variable" in line


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    """Three mistakes in three tables are three lines, and the exit code is 2."""
    file = tmp_path / "monitorpi.toml"
    file.write_text(
        "[capture]\nengine = 'x'\n[prober]\nprobes = 0\n[detector.rules.x]\nfloor = 1\n"
    )

    run = subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", "up", "--config", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 3
    assert all(line.startswith("monitorpi: configuration: ") for line in run.stderr.splitlines())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MONITORPI_SECRETS_DIR", ""),
        ("MONITORPI_CONFIG", ""),
        ("MONITORPI_BROKER", ""),
        ("MONITORPI_BROKER__PASSWORD", ""),
        ("MONITORPI_CAPTURE__INTERFACES", ""),
    ],
)
def test_a_variable_that_is_set_to_nothing_is_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str
) -> None:
    """As compose files leave them: no folder of its own, no empty password."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broker__pasword").write_text("in the current folder")
    monkeypatch.setenv(variable, value)

    plan = make_plan(argparse.Namespace(config=None, site=None, interface=None, scale=None))

    assert plan.other_broker is None


@pytest.mark.parametrize(
    "written",
    ["B8:27:EB:12:34:56", "b8-27-eb-12-34-56", "B827.EB12.3456", "b827eb-123456", "B827EB123456"],
)
def test_mac_addresses_are_taken_as_labels_print_them(tmp_path: Path, written: str) -> None:
    """Capitals, hyphens, dots or nothing between: it is the same address."""
    file = tmp_path / "monitorpi.toml"
    file.write_text(
        f"[capture]\npinned_macs = ['{written}']\n[detector]\nignore = ['{written}']\n"
        f"[detector.devices.'{written}'.syn-flood]\nfloor = 5\n[prober]\npin = ['{written}']\n"
    )

    assert list(check_settings(file)) == []


def test_copies_of_secrets_and_byte_order_marks_do_no_harm(tmp_path: Path) -> None:
    """An editor's copy is no key, and a mark in front of a text is no part of it."""
    secrets = tmp_path / "state" / "secrets" / "cloud-bridge"
    secrets.mkdir(parents=True)
    (secrets / "broker__password").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    (secrets / "broker__password~").write_bytes(b"\xff")
    (secrets / "broker__password.dpkg-old").write_text("x")
    file = tmp_path / "monitorpi.toml"
    file.write_bytes(b"\xef\xbb\xbfsite = 'attic'\n")

    assert list(check_settings(file)) == []
