"""``up --scale``: more than one process of a service."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.system.up.conftest import Start

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_probers_share_and_a_detector_stands_by(up: Start) -> None:
    """Two probers under two names; of two detectors one works, and the other when it is killed."""
    one = up("--scale", "prober=2", "--scale", "detector=2")
    wait_for(lambda: one.of("prober/status/main-2"), 30, "the second prober")
    one.online("detector")
    wait_for(lambda: any("standing by" in line for line in one.lines), 30, "the standby")
    assert any("prober (2), detector (2)" in line for line in one.lines)
    wait_for(lambda: one.of("prober/probe/main-2"), 60, "rounds of the second prober")

    for pid in one.pids("detector"):  # the one that stands by is started anew
        os.kill(pid, signal.SIGKILL)

    one.online("detector", 2)
    wait_for(lambda: len(one.pids("detector")) == 2, 30, "another standby")
