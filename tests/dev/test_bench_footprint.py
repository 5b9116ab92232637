"""The bench of the whole stack, with a few devices for a moment."""

from __future__ import annotations

import json
import os

import pytest

from monitorpi_dev.bench import crowd, footprint
from monitorpi_lab import frames


@pytest.mark.lab
@pytest.mark.timeout(180)
def test_every_process_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Services, broker, `up` and loader have a row each, and one has the sum."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the bench makes network namespaces")

    assert footprint.main(["--json", "--devices", "3", "--settle", "4", "--seconds", "2"]) == 0
    told = json.loads(capsys.readouterr().out)

    rows = {row["service"]: row for row in told["rows"]}
    named = {"capture", "prober", "detector", "history", "dashboard", "up", "loader", "broker"}
    assert set(rows) == named | {"all"}
    assert all(row["devices"] == 3 and row["pss_mib"] > 0 for row in told["rows"])
    for figure, tolerance in (("pss_mib", 0.1), ("cpu_ratio", 0.001)):
        total = sum(rows[name][figure] for name in named)
        assert rows["all"][figure] == pytest.approx(total, abs=tolerance)
    assert rows["up"]["pss_mib"] < 60
    assert told["first_window_s"] > 0
    assert told["start_cpu_s"] > 0


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/x/python -P -m monitorpi_cli up --config y", "up"),
        ("/x/python -P -m monitorpi_home_assistant", "home-assistant"),
        ("/x/python -P -m monitorpi_prober.sources.sweep eth0", "sweep"),
        ("monitorpi: loader", "loader"),
        ("/usr/sbin/mosquitto -c /x", "broker"),
        ("sleep 1", "other"),
    ],
)
def test_processes_are_told_apart(command: str, name: str) -> None:
    """By their command lines, as a person would."""
    assert footprint.service_of(command) == name


def test_a_device_says_each_second_what_it_is_said_to() -> None:
    """Four kinds of frames of its own, and two answers."""
    senders = [frame[6:12] for frame in crowd.spoken(300)]

    assert senders.count(frames.mac_bytes(crowd.mac(300))) == len(crowd.KINDS)
    assert senders.count(frames.mac_bytes(crowd.mac(0))) == 2
    assert len({crowd.ip(n) for n in range(1024)} | {crowd.SENSOR_IP}) == 1025
