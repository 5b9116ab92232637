"""``bench sites``: what is sent is stored, each value once, and what it took is said."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.calm
@pytest.mark.timeout(200)
def test_a_small_centre_stores_what_its_sites_send() -> None:
    """Real servers of NATS and VictoriaMetrics, for five seconds."""
    done = subprocess.run(
        [
            sys.executable, "-P", "-m", "monitorpi_cli", "bench", "sites", "--json",
            "--sites", "60", "--devices", "10", "--values", "3", "--seconds", "5",
        ],
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["samples"] == found["stored"] == 5 * (10 * 3 + 16)
    assert found["sent"]["messages"] == found["read"]["messages"] == 5 * 3
    assert {one["name"] for one in found["programs"]} == {
        "nats-server 1", "nats-server 2", "nats-server 3", "VictoriaMetrics", "the sites",
        "who stores",
    }  # fmt: skip
    assert all(one["rss_mib"] > 1 for one in found["programs"])
