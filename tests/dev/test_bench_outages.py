"""``bench outages``: links, servers and the store go away, and all that was sent is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest


def measure(*words: str, timeout_s: float) -> dict[str, Any]:
    """Run the command; returns what it found."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the bench makes network namespaces")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "monitorpi_cli", "bench", "outages", "--json", *words],
        capture_output=True, text=True, check=False, timeout=timeout_s,
    )  # fmt: skip
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["differences"], done.returncode) == ([], 0)
    assert all(one["caught_up_s"] is not None for one in found["absences"])
    return found


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_short_outages_lose_and_double_nothing() -> None:
    """Each link, a server, the one that leads, the store: each for three seconds."""
    found = measure("--cut", "3", "--away", "3", "--leaders", "1", timeout_s=280)

    assert [one["what"] for one in found["absences"]] == [
        "the link of berlin", "the link of paris", "the link of oslo",
        "a server that does not lead", "the server that leads", "VictoriaMetrics",
    ]  # fmt: skip
    assert found["stored_again"] > 0
    assert found["frames"] > 100_000
    assert found["alert_words"] > 3
    assert found["states"] > 3 * 6


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_links_that_are_cut_for_ten_minutes_lose_and_double_nothing() -> None:
    """And servers and store that are away for one, while rows come; `sites` names who is cut."""
    found = measure(timeout_s=3500)

    links = [one for one in found["absences"] if one["what"].startswith("the link")]
    assert [one["level"] for one in links] == ["unconnected"] * 3
    assert all(one["ended_s"] - one["began_s"] >= 600 for one in links)
    assert all(one["waiting"] > 500 for one in links)
