"""The programs of ``bench outages``, each on a machine of the lab, and by a clock of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cli.checkout import root

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from monitorpi_lab.lan import Host

_READY_S: Final = 60.0
_LOOK_S: Final = 0.2
_SAID: Final = 300
"""Characters of what a program said last."""


class OutagesError(Exception):
    """A program cannot be had, or has ended; the text says which."""


class OutagePrograms:
    """Starts, kills and watches them; what each prints is in a file of its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._running: dict[str, subprocess.Popen[Any]] = {}

    def start(
        self,
        host: Host,
        name: str,
        command: list[str],
        *,
        ahead_s: int = 0,
        variables: dict[str, str] | None = None,
        output: Path | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program whose clock is ahead of the machine's by some seconds."""
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("MONITORPI_")
        }
        environment |= {"MONITORPI_ROOT": str(root()), **(variables or {}), **clock(ahead_s)}
        log = self._folder / name
        with log.open("ab") as errors, (output or log).open("ab") as out:
            options = {"stdout": out, "stderr": errors, **options}
            process = host.popen(command, env=environment, **options)
        self._running[name] = process
        return process

    def kill(self, name: str) -> None:
        """Kill -9; it is no longer missed."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> str:
        """Close a program's input; return what it printed until its end.

        Raises:
            OutagesError: it failed.

        """
        process = self._running.pop(name)
        text, _ = process.communicate(timeout=_READY_S)
        if process.returncode:
            raise OutagesError(f"{name} failed: {self.log(name)[-_SAID:]}")
        return str(text)

    def check(self) -> None:
        """Look whether all run.

        Raises:
            OutagesError: one has ended that nobody has ended.

        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise OutagesError(f"{name} has ended: {self.log(name)[-_SAID:]}")

    def log(self, name: str) -> str:
        """Return what a program has printed."""
        return (self._folder / name).read_text(errors="replace")

    def wait(self, what: str, is_there: Callable[[], bool]) -> None:
        """Wait until something is there.

        Raises:
            OutagesError: it does not come.

        """
        ends_s = time.monotonic() + _READY_S
        while not is_there():
            self.check()
            if time.monotonic() > ends_s:
                raise OutagesError(f"{what} does not come")
            time.sleep(_LOOK_S)


def clock(ahead_s: int) -> dict[str, str]:
    """Return the variables that move a program's clock: libfaketime, the monotonic one untouched.

    Raises:
        OutagesError: it is not installed.

    """
    if not ahead_s:
        return {}
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise OutagesError("faketime is not installed: ./monitorpi bench installs it")
    return {
        "LD_PRELOAD": str(library), "FAKETIME": f"{ahead_s:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
