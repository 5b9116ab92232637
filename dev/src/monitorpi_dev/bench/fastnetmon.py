"""FastNetMon at the sensor's mirror port, beside our own stack, for ``bench detection``.

As its package sets it up, but for what it must be told: the interface, the victim as the network
it protects, the flood's floor as its limit, a script that it calls, and nobody to report to. It
calls the script once for a victim and bans it for half an hour: each flood has its own process.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_lab.namespace import LabError

if TYPE_CHECKING:
    from monitorpi_lab.lan import Lab

PROGRAM: Final = "/usr/sbin/fastnetmon"
_SETTINGS: Final = Path("/etc/fastnetmon.conf")
_STARTED: Final = "Start AF_PACKET worker process"
_START_S: Final = 10.0
_WARM_S: Final = 2.0
"""It works out rates once a second."""
_POLL_S: Final = 0.005
_END_S: Final = 5.0


def check() -> None:
    """Look whether it is installed.

    Raises:
        LabError: it is not.

    """
    if not shutil.which(PROGRAM) or not _SETTINGS.exists():
        raise LabError("FastNetMon is not installed: apt-get install fastnetmon")


class FastNetMon:
    """One process of it at a time."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._program: subprocess.Popen[Any] | None = None
        for name in ("networks", "whitelist", "alerts", "log"):
            (folder / name).touch()
        (folder / "networks").write_text(f"{lab.hosts[1].ip}/32\n", encoding="ascii")
        script = folder / "notify"
        script.write_text(f'#!/bin/sh\necho "$(date +%s.%N)" >>{folder}/alerts\n', encoding="ascii")
        script.chmod(0o755)

    def start(self, floor: float) -> None:
        """Start it with a limit in packets per second, and wait until it counts.

        Raises:
            LabError: it does not begin.

        """
        folder = self._folder
        (folder / "settings").write_text(self._settings(floor), encoding="utf-8")
        for name in ("alerts", "log"):
            (folder / name).write_text("", encoding="ascii")
        files = [
            "--configuration_file",
            str(folder / "settings"),
            "--log_file",
            str(folder / "log"),
        ]
        self._program = self._lab.sensor.popen(
            [PROGRAM, *files, "--disable_pid_logic"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_S
        while _STARTED not in (folder / "log").read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > deadline or self._program.poll() is not None:
                self.stop()
                raise LabError("FastNetMon did not begin to count")
            time.sleep(_POLL_S)
        time.sleep(_WARM_S)

    def _settings(self, floor: float) -> str:
        folder = self._folder
        text = _SETTINGS.read_text(encoding="utf-8")
        for key, value in {
            "interfaces": self._lab.sensor.interface,
            "mirror_afpacket": "on",
            "threshold_pps": round(floor),
            "ban_for_bandwidth": "off",
            "networks_list_path": folder / "networks",
            "white_list_path": folder / "whitelist",
            "notify_script_path": folder / "notify",
            "disable_usage_report": "on",
            "enable_api": "off",
            "prometheus": "off",
            "monitor_local_ip_addresses": "off",
            "cli_stats_file_path": folder / "shown",
            "cli_stats_ipv6_file_path": folder / "shown6",
        }.items():
            text = re.sub(rf"(?m)^{key} *=.*$", f"{key} = {value}", text)
        return text

    def alert_s(self, within_s: float) -> float | None:
        """Return the Unix time at which it called the script; None: not in time."""
        deadline = time.monotonic() + within_s
        while True:
            lines = (self._folder / "alerts").read_text(encoding="ascii").splitlines()
            if lines:
                return float(lines[0])
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End it."""
        program, self._program = self._program, None
        if program is None:
            return
        program.terminate()
        try:
            program.wait(_END_S)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
