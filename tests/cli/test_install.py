"""The service of systemd: its unit, what is kept, what is removed, what status says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.doctor.finding import CheckResult
from monitorpi_cli.install import command, systemd, unit
from monitorpi_cli.install.command import absent, is_lost, purge, report, warnings
from monitorpi_cli.install.systemd import UnitState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLONE = Path("/opt/monitorpi")
CONFIG = Path("/etc/monitorpi/monitorpi.toml")


def plan(**more: object) -> unit.InstallPlan:
    """Return what a unit is made from."""
    given = {"root": CLONE, "python": CLONE / ".venv/bin/python", "config": CONFIG} | more
    return unit.InstallPlan(**given)  # type: ignore[arg-type]


def lines(**more: object) -> list[str]:
    """Return the lines of a unit."""
    return unit.text(plan(**more)).splitlines()


def test_the_unit_starts_up_with_the_settings_and_interfaces_it_was_given() -> None:
    """From the clone's own Python, which needs no set-up."""
    start = "/opt/monitorpi/.venv/bin/python -P -m monitorpi_cli up"

    found = lines(interfaces=["eth0", "eth1"])

    settings = "--config /etc/monitorpi/monitorpi.toml"
    assert f"ExecStart={start} {settings} --interface eth0 --interface eth1" in found
    assert "ExecStartPre=-+/opt/monitorpi/monitorpi prepare" in found


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (unit.STATE, "StateDirectory=monitorpi"),
        (Path("/srv/my state"), 'ReadWritePaths="/srv/my state"'),
    ],
)
def test_nothing_but_the_state_folder_can_be_written(state: Path, line: str) -> None:
    """Wherever it is configured to be."""
    found = lines(state=state)

    assert line in found
    assert "ProtectSystem=strict" in found
    assert sum(one.startswith(("ReadWritePaths=", "StateDirectory=")) for one in found) == 1


def test_each_capability_has_its_reason() -> None:
    """And there is none besides."""
    [line] = [one for one in lines() if one.startswith("CapabilityBoundingSet=")]

    names = line.partition("=")[2].split()

    assert names == list(unit.CAPABILITIES)
    assert all(f"# {name}: {unit.CAPABILITIES[name]}" in lines() for name in names)


def test_folders_with_odd_names_are_quoted() -> None:
    """Blanks, quotes, per cent and dollar signs mean nothing to systemd then."""
    odd = Path('/srv/my "Pi" 100% $HOME')

    found = lines(root=odd, python=odd / "python")

    assert any(
        one.startswith('ExecStart="/srv/my \\"Pi\\" 100%% $$HOME/python" -P') for one in found
    )
    assert 'Environment="MONITORPI_ROOT=/srv/my \\"Pi\\" 100%% $HOME"' in found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("state", [unit.STATE, Path("/srv/my state")])
def test_systemd_takes_the_unit(tmp_path: Path, state: Path) -> None:
    """As its own checker says; and the checker is asked."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    script = tmp_path / "monitorpi"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    text = unit.text(plan(root=tmp_path, python=python, state=state))

    assert systemd.verify(unit.NAME, text) == []
    assert systemd.verify(unit.NAME, text.replace("KillMode=mixed", "KillMode=odd")) != []


# --- what is kept and what goes -------------------------------------------------------------------


def test_purge_removes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    """A state folder that holds somebody else's files stays with them."""
    state, config = tmp_path / "state", tmp_path / "etc" / "monitorpi.toml"
    for folder in (state / "detector", state / "secrets" / "viewer", config.parent):
        folder.mkdir(parents=True)
    (state / "lock").touch()
    (state / "photos").touch()
    config.touch()

    said = purge(state, config)

    assert [path.name for path in tmp_path.rglob("*")] == ["state", "photos"]
    assert said == [
        f"{state} holds more than ours: what is left is kept",
        f"{config.parent} is gone",
    ]


def test_purge_follows_no_link(tmp_path: Path) -> None:
    """A folder that a link leads to is not ours."""
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    for folder in (state, elsewhere):
        folder.mkdir()
    (elsewhere / "precious").touch()
    (state / "detector").symlink_to(elsewhere)

    purge(state, tmp_path / "etc" / "monitorpi.toml")

    assert (elsewhere / "precious").exists()
    assert not state.exists()


@pytest.mark.parametrize(
    ("variable", "lost"),
    [
        ("MONITORPI_SITE", True),
        ("MONITORPI_STATE_DIR", True),
        ("MONITORPI_ROOT", False),
        ("MONITORPI_SECRETS_DIR", False),
        ("HOME", False),
    ],
)
def test_settings_of_the_shell_that_the_service_would_not_have(
    variable: str, *, lost: bool
) -> None:
    """They are refused: what was tried by hand would not be what runs."""
    assert is_lost(variable) is lost


def test_who_can_change_what_root_runs_is_told(tmp_path: Path) -> None:
    """A clone that others can write is worth a line."""
    tmp_path.chmod(0o777)
    [line] = warnings(tmp_path)

    assert "/opt/monitorpi" in line


# --- status ---------------------------------------------------------------------------------------


def test_status_says_what_systemd_and_the_watch_say() -> None:
    """Installed, at boot, running since, watching."""
    now = UnitState(
        is_installed=True, is_enabled=True, active="active", since="Mon", result="success"
    )

    said = report(
        now, [CheckResult("wrong", "watch", "site 'home': blind: no cable", "plug it in")]
    )

    assert said == [
        "installed  yes",
        "at boot    yes",
        "running    active since Mon",
        "watch      site 'home': blind: no cable: plug it in",
    ]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (UnitState(False, False, "inactive", None, ""), "no: sudo ./monitorpi install"),
        (UnitState(True, False, "active", "Mon", ""), "sudo systemctl enable"),
        (UnitState(True, True, "failed", None, "exit-code"), "failed (exit-code): journalctl"),
    ],
)
def test_what_is_not_so_has_its_remedy(now: UnitState, words: str) -> None:
    """As a command."""
    assert any(words in line for line in report(now, []))


@pytest.mark.skipif(systemd.is_running(), reason="systemd runs this machine")
@pytest.mark.parametrize("command", ["install", "uninstall", "status"])
def test_without_systemd_one_line_says_so(command: str) -> None:
    """Exit code 3, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert line.startswith(f"monitorpi {command}: ")


def test_an_interface_that_is_not_there_is_noted() -> None:
    """A name mistyped would be waited for in silence; an adapter may yet be plugged in."""
    there = ["eth0", "wlan0"]

    assert absent(["eth0"], there) == []
    assert absent(["eht0", "eth0"], there) == [
        "note: there is no interface 'eht0': it is waited for; there are eth0, wlan0"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="units of the machine are for root")
@pytest.mark.parametrize(
    ("act", "says"),
    [
        (command.install, "let what does run `./monitorpi up` at boot"),
        (command.uninstall, "it was not installed here"),
    ],
)
def test_a_machine_without_systemd_is_told_what_that_means(
    act: Callable[[Sequence[str]], int], says: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Whoever takes it out is not told how to start it."""
    monkeypatch.setattr(systemd, "is_running", lambda: False)

    assert act([]) == 3
    assert f"systemd does not run this machine: {says}\n" in capsys.readouterr().err
