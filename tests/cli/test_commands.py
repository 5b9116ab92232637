"""The table of commands: each can be asked what it does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from monitorpi_cli import thingspeak
from monitorpi_cli.__main__ import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_options(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """``--help`` prints the usage and does nothing else."""
    try:
        code: object = main([*name.split(), "--help"])
    except SystemExit as ended:
        code = ended.code

    said = capfd.readouterr()
    assert code == 0, said.err
    assert said.out.startswith("usage: ")
    assert said.err == ""


@pytest.mark.parametrize(
    "name", sorted({name.split()[0] for name, (of, _) in COMMANDS.items() if "_dev." in of})
)
def test_a_developers_command_brings_the_developers_packages(name: str) -> None:
    """In a fresh clone too; only `evaluate` runs on what users have."""
    arms = re.findall(
        r"^    ([a-z| ]+)\)((?:.|\n)*?);;", (ROOT / "monitorpi").read_text(), re.MULTILINE
    )
    mine = [body for names, body in arms if name in names.split(" | ")]

    assert any("environment development" in body for body in mine) == (name != "evaluate")


def test_a_reader_that_goes_is_no_fault() -> None:
    """Output into a pipe that nobody reads to its end: no traceback, the exit code of SIGPIPE."""
    command = [sys.executable, "-m", "monitorpi_cli", "help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    """One line says what is wrong, the table follows; exit 2."""
    done = run("floood")

    assert done.returncode == 2
    assert done.stderr.startswith("monitorpi: there is no command 'floood'\n")
    assert all(f"  {name}" in done.stderr for name in COMMANDS)


def test_a_command_of_a_package_that_is_not_there_is_refused_with_its_name() -> None:
    """A Pi may run without the lab and developers' tools: one line, and exit 3."""
    paths = f"{ROOT}/cli/src:{ROOT}/libs/common/src"
    done = subprocess.run(
        [sys.executable, "-S", "-m", "monitorpi_cli", "demo"],
        env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    assert done.stderr == "monitorpi demo: is of the package monitorpi-lab, not installed here\n"


@pytest.mark.parametrize("hours", ["nan", "-1", "0.1", "soon"])
def test_too_few_hours_for_every_benign_case_are_refused(
    hours: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What says that nothing hard was taken for a flood has had every hard case in it."""
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--scenarios", "--hours", hours])

    assert "--hours: give 0.5 or more" in capsys.readouterr().err


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_a_set_up_that_is_ended_leaves_no_policy_behind(tmp_path: Path, signal: str) -> None:
    """While packages are installed Debian starts no services; for ever would be another matter.

    After a kill nobody can tidy up: the next set-up does.
    """
    if os.geteuid() != 0:
        pytest.skip("needs a mount namespace: run as root")
    first = f"{tmp_path}/first"
    # apt-get does what it is told to before it lets dpkg work
    hook = 'for one; do case $one in DPkg::Pre-Invoke::=*) sh -c "${one#*::=}" ;; esac; done; '
    ends = f"{hook}if [ -e {first} ]; then exit 1; else touch {first}; kill -{signal} $PPID; fi"
    for name, body in {"dpkg-query": "echo no", "apt-get": ends}.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\ncase "$*" in *update*) ;; *) {body} ;; esac\n')
        program.chmod(0o755)
    twice = f"{ROOT}/monitorpi up; ls /usr/sbin >&2; {ROOT}/monitorpi up; ls /usr/sbin"

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none /usr/sbin; {twice}"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert done.stdout == ""
    assert ("policy-rc.d" in done.stderr) == (signal == "KILL")


@pytest.mark.parametrize("key", ["K\r\nX-Injected: 1", "Schlüssel", "K\0"])
def test_a_cloud_that_shows_a_key_no_header_can_hold_changes_nothing(
    tmp_path: Path, key: str
) -> None:
    """What a service answers is not trusted: nothing is written, and the old key stays."""
    shown = {"id": 1, "api_keys": [{"api_key": key, "write_flag": True}]}

    with pytest.raises(ValueError, match="no key"):
        thingspeak._keep_keys(tmp_path, "traffic", thingspeak.Channel.model_validate(shown))

    assert list(tmp_path.iterdir()) == []
