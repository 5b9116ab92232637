"""Interfaces whose names topics do not take are counted all the same."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from tests.capture.livewire import SENDER, Wire, frame
from tests.conftest import wait_for

from monitorpi_common.topics import slug

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]
NAMES = (
    "eth0.100", "br-lan", "wlan0@if5", "abcdefghijklmno", "a+b", "ETH1", "###", "é0", "a,c",
    "$HOME", "100", "[x]y", "{z}", '"q', "\\b",
)  # fmt: skip


@pytest.mark.parametrize("engine", ["ebpf", "socket"])
def test_each_name_that_linux_takes_is_counted(wire: Wire, engine: str) -> None:
    """Each has a topic of its own, and its messages say how it is called."""
    for number, name in enumerate(NAMES):
        wire.plug(name, f"far{number}")

    sensor = wire.start(
        MONITORPI_CAPTURE__INTERFACES=json.dumps(NAMES), MONITORPI_CAPTURE__ENGINE=engine
    )
    wait_for(lambda: all(sensor.windows(slug(name)) for name in NAMES), 30, "a window of each")
    for number, _ in enumerate(NAMES):
        wire.send((number + 1, frame("0800", "45")), far=f"far{number}")

    for number, name in enumerate(NAMES):

        def sent(name: str = name) -> int:
            rows = [row for one in sensor.windows(slug(name)) for row in one.devices]
            return sum(row.tx.get("packets", 0) for row in rows if row.mac == SENDER)

        wait_for(lambda number=number: sent() == number + 1, 20, f"the frames at {name}")
        assert {one.interface for one in sensor.windows(slug(name))} == {name}
    code, log = sensor.stop()
    assert code == 0, log
