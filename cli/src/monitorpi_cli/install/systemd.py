"""systemd, asked by its own programs. I/O."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitorpi_common.service import ResourceError

RUNS: Final = Path("/run/systemd/system")
"""There where systemd is the machine's first process (sd_booted(3))."""
UNITS: Final = Path("/etc/systemd/system")


@dataclass(frozen=True)
class UnitState:
    """What systemd knows of a unit."""

    is_installed: bool
    is_enabled: bool
    active: str
    """``active``, ``inactive``, ``failed``, ``activating`` ..."""
    since: str | None
    result: str


def is_running() -> bool:
    """Return whether systemd runs this machine."""
    return RUNS.is_dir()


def control(*arguments: str) -> str:
    """Run systemctl.

    Raises:
        ResourceError: it is not there, or refuses.

    """
    done = _run("systemctl", *arguments)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise ResourceError(f"systemctl {' '.join(arguments)} failed: {output[-1]}")
    return done.stdout


def state_of(unit: str) -> UnitState:
    """Return what systemd knows of a unit; one that is not there is inactive."""
    names = "LoadState,UnitFileState,ActiveState,ActiveEnterTimestamp,Result"
    lines = control("show", unit, f"--property={names}").splitlines()
    found = dict(line.partition("=")[::2] for line in lines)
    return UnitState(
        is_installed=found.get("LoadState") == "loaded",
        is_enabled=found.get("UnitFileState") == "enabled",
        active=found.get("ActiveState", "unknown"),
        since=found.get("ActiveEnterTimestamp") or None,
        result=found.get("Result", "unknown"),
    )


def journal(unit: str, lines: int) -> list[str]:
    """Return the last lines a unit wrote; none where the journal is not for us."""
    if shutil.which("journalctl") is None:
        return []
    done = _run("journalctl", f"--unit={unit}", f"--lines={lines}", "--output=cat", "--no-pager")
    return done.stdout.splitlines() if not done.returncode else []


def verify(name: str, text: str) -> list[str]:
    """Return what ``systemd-analyze verify`` has against a unit; none where it is not there."""
    if shutil.which("systemd-analyze") is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_text(text, encoding="utf-8")
        done = _run("systemd-analyze", "verify", "--man=no", str(file))
    lines = [line for line in done.stderr.splitlines() if name in line]
    return lines or (["systemd-analyze verify refuses it"] if done.returncode else [])


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ResourceError(f"{command[0]} cannot be run: {error.strerror}") from None
