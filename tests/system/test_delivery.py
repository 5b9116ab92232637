"""From a flood's first frame to the mail at a mail server: the whole way, in a lab. Long."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for
from tests.notifier.counterparts import Mail, MailServer

from monitorpi_cli.stack.broker import free_port
from monitorpi_cli.stack.plan import StackPlan
from monitorpi_cli.stack.stack import Stack
from monitorpi_cli.stack.viewer import Viewer
from monitorpi_common.messages import Service
from monitorpi_common.topics import mac_id, pattern
from monitorpi_lab import flood
from monitorpi_lab.lan import Lab
from monitorpi_lab.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 20
MEDIAN_S = 2.0
RATE = 1000.0
QUIET_S = 1.0

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.soak, pytest.mark.timeout(1200)]


def plan_of(lab: Lab, folder: Path, mail: MailServer) -> StackPlan:
    """Plan a stack that counts the lab's mirror port and tells the mail server."""
    config = folder / "delivery.toml"
    config.write_text(
        f'trust_clock = true\n[capture]\ninterfaces = ["{lab.sensor.interface}"]\n'
        f"[detector.rules.syn-flood]\nquiet_s = {QUIET_S}\n"
        "[notifier]\nmost_per_minute = 60\n[notifier.destinations.desk]\n"
        f'url = "{mail.url}"\ncloses = false\n'
    )
    (folder / "logs").mkdir()
    return StackPlan(
        site="lab", state_dir=folder / "state", port=free_port(), config=config,
        services=(Service.CAPTURE, Service.DETECTOR, Service.NOTIFIER),
        prefix={Service.CAPTURE: lab.sensor.namespace.prefix}, logs=folder / "logs",
    )  # fmt: skip


def run(lab: Lab, mail: MailServer) -> float:
    """Flood once from a MAC address of its own; returns the seconds to the mail."""
    attacker, victim = lab.hosts
    time.sleep(random.random())  # noqa: S311 - somewhere in a window
    running = flood.start(attacker, flood.flood_between(attacker, victim, "syn", RATE, seconds=10))
    first_s = running.first_frame_s()

    def opened() -> list[Mail]:  # an alert that got worse is a mail more
        return [
            one for one in mail.mails if one.at_s > first_s and not one.subject.startswith("NOW")
        ]

    first = wait_for(opened, 30, "the mail")[0]
    running.stop()
    assert mac_id(attacker.mac) in first.text.replace(":", "")
    return float(first.at_s - first_s)


def await_close(viewer: Viewer) -> None:
    """Wait until the alert has closed, and the time in which it would open again is over."""

    def is_closed() -> bool:
        arrival = viewer.next(1.0)
        return arrival is not None and b'"state":"closed"' in arrival.payload

    wait_for(is_closed, 60, "the alert to close")
    time.sleep(QUIET_S + 0.5)


async def measure(lab: Lab, plan: StackPlan, mail: MailServer) -> list[float]:
    """Run the stack and flood it again and again."""
    stack = Stack(plan, lambda _: None)
    stack.start()
    try:
        filters = [pattern("lab", "+", "status"), pattern("lab", "detector", "alert")]
        with Viewer(stack.viewer(), filters) as viewer:
            return await asyncio.to_thread(floods, lab, viewer, mail)
    finally:
        await stack.stop()


def floods(lab: Lab, viewer: Viewer, mail: MailServer) -> list[float]:
    """Wait for the services, then flood; returns the seconds of each run."""
    online: set[str] = set()

    def are_online() -> bool:
        arrival = viewer.next(1.0)
        if arrival is not None and arrival.payload == b"online":
            online.add(arrival.topic.service)
        return {"capture", "detector", "notifier"} <= online

    wait_for(are_online, 90, "the stack")
    found = []
    for _ in range(RUNS):
        found.append(run(lab, mail))
        await_close(viewer)
    return found


def test_a_flood_is_mailed_within_two_seconds(tmp_path: Path) -> None:
    """Twenty floods, the median; the worst is reported beside it."""
    with MailServer() as mail, Lab(2) as lab:
        plan = plan_of(lab, tmp_path, mail)
        with Relay(lab.sensor.namespace, plan.port):
            seconds = asyncio.run(measure(lab, plan, mail))

    print(f"median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s")  # noqa: T201
    assert statistics.median(seconds) <= MEDIAN_S, sorted(seconds)
