"""What is killed comes back, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import is_running, wait_for
from tests.system.up.conftest import QUIET_S, Start, children_of

from monitorpi_common.topics import mac_id
from monitorpi_lab import flood

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_lab.lan import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_killed_services_and_brokers_come_back(up: Start) -> None:
    """Kill -9: ``offline`` at once and back in 5 s; a new broker learns all state anew."""
    one = up()
    names = [name for name in one.children() if name != "broker"]
    assert {"capture", "detector", "prober", "dashboard", "history"} <= set(names)
    for name in names:
        one.online(name)
    wait_for(lambda: one.of("capture/device/"), 60, "a device")
    devices = {topic for _, topic, _ in one.messages if "/capture/device/" in topic}

    for name in names:
        pid = wait_for(lambda name=name: one.children().get(name), 10)
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda name=name: [t for t, text in one.of(f"{name}/status/") if text == "offline"],
            2,
            f"{name} to be offline",
        )
        one.online(name, 2)
        back = [at for at, text in one.of(f"{name}/status/") if text == "online"][-1]
        assert back - killed < 5, f"{name} took {back - killed:.1f} s"

    before = one.children()
    one.messages.clear()
    os.kill(before["broker"], signal.SIGKILL)
    for name in names:
        one.online(name)
    wait_for(
        lambda: devices <= {topic for _, topic, _ in one.messages}, 30, "the devices' state again"
    )
    after = one.children()
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


def test_all_killed_at_once_knows_its_devices_and_alerts_again(up: Start, lab: Lab) -> None:
    """Kill -9 of broker and services, as a power cut: alert and devices are the same again."""
    one = up()
    for name in ("capture", "detector", "prober"):
        one.online(name)
    wait_for(lambda: len(one.kept("capture")) >= len(lab.hosts), 90, "devices to be written")
    attacker, victim = lab.hosts[3], lab.hosts[1]
    running = flood.start(attacker, flood.flood_between(attacker, victim, "syn", 1000, seconds=10))
    key = f"syn-flood-{attacker.mac.replace(':', '')}"
    wait_for(lambda: f"alert/{key}" in one.kept("detector"), 30, "the alert to be written")
    alert = next(a for _, a in one.alerts() if a["key"] == key)
    kept = one.kept("capture")  # what came in the last minute may be lost
    published = [json.loads(text) for _, text in one.of("capture/device/")]
    devices = {a["mac"]: a for a in published if f"device/{mac_id(a['mac'])}" in kept}
    assert len(devices) >= len(lab.hosts)

    for pid in [*one.children().values(), one.process.pid]:
        os.kill(pid, signal.SIGKILL)
    one.stop()
    running.wait()
    again = up()
    again.online("detector")

    wait_for(lambda: [a for _, a in again.alerts() if a["key"] == key], 20, "the alert")
    seen = {a["id"] for _, a in again.alerts() if a["key"] == key}
    assert seen == {alert["id"]}
    wait_for(
        lambda: [a for _, a in again.alerts() if a["key"] == key and a["state"] == "closed"],
        QUIET_S + 30,
        "the alert to end",
    )

    def known() -> dict[str, Any]:
        return {a["mac"]: a for _, text in again.of("capture/device/") for a in [json.loads(text)]}

    wait_for(lambda: devices.keys() <= known().keys(), 20, "the devices")
    assert {mac: known()[mac]["first_seen"] for mac in devices} == {
        mac: one["first_seen"] for mac, one in devices.items()
    }
    assert not [a for _, a in again.alerts() if a["rule"] == "new-device"]


def test_a_killed_up_leaves_nobody_and_starts_again(up: Start) -> None:
    """Kill -9 of ``up`` ends services and broker; the next one keeps the passwords."""
    one = up()
    one.online("capture")
    left = one.children()
    assert {"broker", "capture", "detector", "prober", "dashboard", "history"} <= set(left)
    password = one.password("viewer")

    one.process.kill()
    one.process.wait()

    wait_for(lambda: not any(map(is_running, left.values())), 10, f"{left} to end")
    again = up()
    again.online("capture")
    assert again.password("viewer") == password


def test_a_service_that_lacks_something_is_said_and_the_rest_runs(up: Start) -> None:
    """An interface that is not there: said with its remedy; it is looked for again later."""
    one = up("--interface", "nope0")

    wait_for(lambda: any("the rest runs on" in line for line in one.lines), 15, "the complaint")
    one.online("detector")

    assert any("nope0" in line for line in one.lines)
    said = "monitorpi: capture lacks something; the rest runs on; starting again in 5 s"
    assert said in one.lines
    assert one.stop() == 0


def test_up_ends_when_nobody_reads_it(lab: Lab, tmp_path: Path) -> None:
    """The reader of its output goes: the stack stops in order instead of running unseen."""
    process = lab.sensor.popen(
        [sys.executable, "-m", "monitorpi_cli", "up", "--interface", lab.sensor.interface],
        env=os.environ | {"MONITORPI_STATE_DIR": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "-v -t" in line:
            break
    children = {name: pid for pid, name in children_of(process.pid)}
    process.stdout.close()

    os.kill(children["detector"], signal.SIGKILL)

    assert process.wait(30) == 0
    wait_for(lambda: not any(map(is_running, children.values())), 5, "all to end")
