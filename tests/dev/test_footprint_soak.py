"""What the notifier and the service for Home Assistant take beside 256 devices. Long."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from monitorpi_dev.bench import footprint

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = 256
MOST_OF_A_CORE = 0.01
"""Both together."""
MOST_MIB = {"notifier": 33, "home-assistant": 30}
"""35 and 32 MB."""
CONFIG = """
[home-assistant]
devices = "all"
[notifier.destinations.desk]
url = "json://127.0.0.1:9/"
"""

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.soak, pytest.mark.timeout(300)]


@pytest.mark.usefixtures("privileged")
def test_whom_people_are_told_by_takes_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each device is shown to Home Assistant, and nothing has to be told."""
    config = tmp_path / "monitorpi.toml"
    config.write_text(CONFIG)

    code = footprint.main(["--json", "--devices", str(DEVICES), "--config", str(config)])

    assert code == 0
    rows = {one["service"]: one for one in json.loads(capsys.readouterr().out)["rows"]}
    assert sum(rows[name]["cpu_ratio"] for name in MOST_MIB) <= MOST_OF_A_CORE
    assert {name: most for name, most in MOST_MIB.items() if rows[name]["pss_mib"] > most} == {}
