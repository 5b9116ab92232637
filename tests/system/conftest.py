"""What tests of the whole stack share: `up` as a program, on this machine's loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ON_LOOPBACK = '[capture]\ninterfaces = ["lo"]\n[prober]\ndiscover = false\n'
"""This machine's own network is nobody's to sweep in a test."""


@contextlib.contextmanager
def running_up(config: Path, *options: str) -> Iterator[None]:
    """Run `up` until the block ends; the block begins when it has said where to look."""
    if os.geteuid() != 0:
        pytest.skip("needs root: capture opens a packet socket")
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("needs Mosquitto (apt-get install mosquitto)")
    command = [sys.executable, "-m", "monitorpi_cli", "up", "--config", str(config), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert any("mosquitto_sub" in line for line in process.stdout), "up has ended"
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
