"""Whole simulated weeks: every incident told, hardly any noise."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_week_of_a_home(seed: int) -> None:
    """All ten incidents, and at most three alerts its owner would call noise."""
    command = [sys.executable, "-m", "monitorpi_cli", "evaluate", "--week", "--seed", str(seed)]

    done = subprocess.run([*command, "--json"], check=False, capture_output=True, text=True)

    week = json.loads(done.stdout)
    assert week["missed"] == []
    assert len(week["incidents"]) == 10
    assert week["noise"] <= 3, week["noise_by_rule"]
    assert done.returncode == 0
