"""How a live capture starts, and why it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
from tests.capture.livewire import ARP, Wire, frame
from tests.conftest import wait_for

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"MONITORPI_CAPTURE__INTERFACES": '["eth7"]'},
            "there is no interface 'eth7': plug it in, or set capture.interfaces to one",
        ),
        ({}, "plug the mirror port in"),
    ],
)
def test_a_missing_interface_is_exit_code_three(
    wire: Wire, settings: dict[str, str], text: str
) -> None:
    """One line says which are there; no traceback."""
    sensor = wire.start(**settings)
    code, log = sensor.end()

    assert code == 3
    assert text in log
    assert "Traceback" not in log


def test_without_permission_it_is_exit_code_three(wire: Wire) -> None:
    """The line names the capability that is missing."""
    wire.plug()
    reduced = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    service = [sys.executable, "-m", "monitorpi_capture", "--bus", "-"]
    ours = {"MONITORPI_CAPTURE__INTERFACES": "eth0", "MONITORPI_CAPTURE__ENGINE": "socket"}
    process = subprocess.run(
        ["ip", "netns", "exec", wire.name, *reduced, *service],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=os.environ | ours,
    )

    assert process.returncode == 3
    assert "CAP_NET_RAW" in process.stderr
    assert "Traceback" not in process.stderr


def test_without_configuration_the_wired_interface_is_chosen(wire: Wire) -> None:
    """It says which one it took."""
    wire.plug("eth10", "far10")
    wire.plug("eth2", "far2")
    sensor = wire.start()

    wait_for(lambda: sensor.windows("eth2"))
    _, log = sensor.stop()

    assert "interface=eth2" in log


def test_devices_are_told_by_a_live_sensor(wire: Wire) -> None:
    """Who does ARP for ten seconds is a device with its address."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]')
    wait_for(sensor.windows)

    def device() -> dict[str, Any] | None:
        wire.send((1, frame("0806", ARP, dst="ff:ff:ff:ff:ff:ff")))
        found = [one for one in sensor.poll() if one["topic"].endswith("/device/020000000001")]
        return found[-1]["payload"] if found else None

    report = wait_for(device, seconds=20)
    sensor.stop()

    assert report["ips"] == ["192.0.2.1"]
    assert report["present"]
