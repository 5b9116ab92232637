"""Taps that count in processes of their own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final, Protocol

from monitorpi_dev.bench import taps
from monitorpi_dev.sender import INTERFACE
from monitorpi_lab.namespace import LabError

if TYPE_CHECKING:
    from monitorpi_dev.bench.taps import Counted
    from monitorpi_lab.namespace import Namespace

TCPDUMP: Final = "tcpdump"
REST_S: Final = 0.1
_PCAP_REST_S: Final = 1.2
"""libpcap hands frames over when a block is full, or after a second."""


class TapProcess(Protocol):
    """A tap that counts in a process of its own."""

    pid: int
    rest_s: float
    """It has worked off its buffers when it does nothing for so long."""

    def take(self) -> Counted:
        """Return what it counted since the last call."""
        ...

    def close(self) -> None:
        """End it."""


class OwnTap:
    """A tap of :mod:`.taps`."""

    rest_s = REST_S

    def __init__(self, space: Namespace, name: str, rows: int) -> None:
        module = [sys.executable, "-P", "-m", taps.__name__]
        self._program = space.popen(
            [*module, name, INTERFACE, str(rows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._program.pid
        self._answer()

    def _answer(self) -> str:
        line: str = self._program.stdout.readline() if self._program.stdout else ""
        if not line:
            raise LabError(f"a tap ended (exit code {self._program.wait()}); see above")
        return line

    def take(self) -> Counted:
        """Ask it."""
        assert self._program.stdin is not None  # noqa: S101 - asked for
        self._program.stdin.write("\n")
        self._program.stdin.flush()
        counted, omitted = self._answer().split()
        return int(counted), int(omitted)

    def close(self) -> None:
        """Its input ends, so it ends."""
        self._program.communicate()


class Tcpdump:
    """tcpdump, printing a line per frame: what a script would read."""

    rest_s = _PCAP_REST_S

    def __init__(self, space: Namespace) -> None:
        buffer = str(taps.RECEIVE_BUFFER // 1024)
        self._program = space.popen(
            [TCPDUMP, "-i", INTERFACE, "-n", "-e", "-s", "128", "-B", buffer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._program.pid
        self._before = 0
        self._line("listening on")

    def _line(self, wanted: str) -> str:
        for line in self._program.stderr or ():
            if wanted in line:
                return str(line)
        raise LabError(f"{TCPDUMP} ended (exit code {self._program.wait()})")

    def take(self) -> Counted:
        """Have it say how many (SIGUSR1; BSD's name for it is SIGINFO)."""
        self._program.send_signal(signal.SIGUSR1)
        captured = re.search(r"(\d+) packets? captured", self._line("captured"))
        total = int(captured[1]) if captured else 0
        before, self._before = self._before, total
        return total - before, 0

    def close(self) -> None:
        """End it."""
        self._program.terminate()
        self._program.communicate()
