"""The same live, with both engines: real frames in a namespace, alerts by the clock on the wall."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.conftest import wait_for
from tests.system.crowd import (
    EACH_S,
    EXPECTED,
    FILLINGS,
    KNOWN,
    ROUTER,
    WARM_UP_S,
    attacks,
    filling,
    household,
    warm_up,
)

from monitorpi_dev.sender import INTERFACE, Sender
from monitorpi_lab.namespace import LabError, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.system.crowd import Filling, Timed

pytestmark = [
    pytest.mark.lab,
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
]

LINE_RATE: Final = 1_488_000


@dataclass
class Arrival:
    """What came out of the pipe, and when."""

    alerts: dict[str, float] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    windows: int = 0

    def take(self, line: bytes) -> None:
        """Book one line."""
        at_s = time.time()
        one = json.loads(line)
        topic, payload = one["topic"], one["payload"]
        if "/traffic/" in topic:
            self.windows += 1
        elif "/device/" in topic:
            self.devices[topic.rpartition("/")[2]] = payload or {}
        elif "/alert/" in topic and payload and payload["state"] == "open":
            key = f"{payload['rule']}-{payload['subject']}"
            self.alerts.setdefault(key, at_s)


@contextlib.contextmanager
def watching(space: Namespace, engine: str) -> Iterator[Arrival]:
    """Run capture and detector as one pipe in a namespace."""
    settings = {
        "MONITORPI_SITE": "lab",
        "MONITORPI_CAPTURE__ENGINE": engine,
        "MONITORPI_CAPTURE__INTERFACES": INTERFACE,
        "MONITORPI_DETECTOR__LEARNING_S": "15",
        "MONITORPI_DETECTOR__DHCP_SERVERS": json.dumps([ROUTER]),
    }
    heard = Arrival()
    with contextlib.ExitStack() as stack:
        programs: list[subprocess.Popen[bytes]] = []
        source = None
        for module in ("monitorpi_capture", "monitorpi_detector"):
            command = [sys.executable, "-m", module, "--bus", "-"]
            program = space.popen(
                command, stdin=source, stdout=subprocess.PIPE, env=os.environ | settings
            )
            programs.append(stack.enter_context(program))
            source = program.stdout
        stack.callback(programs[0].terminate)

        def read() -> None:
            for line in programs[-1].stdout or ():
                heard.take(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        wait_for(lambda: heard.windows > 0, 60, "no window")
        yield heard
        programs[0].terminate()
        reader.join(30)


def send(space: Namespace, timed: Iterable[Timed], begin_s: float) -> None:
    """Send frames when their time comes, on a clock that shows ``begin_s`` now."""
    zero_s = time.monotonic() - begin_s
    with space.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((INTERFACE, 0))
        for at_s, frame in timed:
            wait_s = zero_s + at_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            sock.send(frame)


def scene(
    space: Namespace, sender: Sender, engine: str, how: Filling
) -> tuple[dict[str, float | None], Arrival]:
    """Live, fill, attack; return how long each alert took."""
    at_once = how.per_second >= LINE_RATE
    begins_s = WARM_UP_S + (0 if at_once else how.seconds) + 3
    plan = list(attacks(begins_s))
    ends_s = begins_s + len(plan) * EACH_S
    then = [household(KNOWN[:10], WARM_UP_S, ends_s - WARM_UP_S), *(one for _, _, one in plan)]
    with watching(space, engine) as heard:
        send(space, warm_up(), 0.0)
        if at_once:
            space.call(sender.send, how.macs, macs=0, per_second=LINE_RATE)
        else:
            then.append(filling(how, WARM_UP_S))
        wall_s = time.time() - WARM_UP_S
        send(space, heapq.merge(*then), WARM_UP_S)
        time.sleep(3)
    took: dict[str, float | None] = {}
    for rule, start_s, _ in plan:
        at_s = heard.alerts.get(f"{rule}-{EXPECTED[rule][0].replace(':', '')}")
        took[rule] = None if at_s is None else round(at_s - wall_s - start_s, 2)
    return took, heard


@pytest.mark.parametrize("name", FILLINGS)
@pytest.mark.parametrize("engine", ["tcx", "ebpf", "socket"])
def test_each_attack_is_named_in_time_after_the_tables_were_filled(engine: str, name: str) -> None:
    """A SYN flood, a ping flood, a spoofer and a rogue server; and who was known stays known."""
    try:
        sender = Sender()
    except LabError as error:
        pytest.skip(f"no frames at line rate here: {error}")
    space = Namespace("crowd")
    try:
        space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
        space.run(["ip", "link", "set", INTERFACE, "up"])
        took, heard = scene(space, sender, engine, FILLINGS[name])
    finally:
        space.close()
        sender.close()

    print(f"{engine}, {name}: {took}")  # noqa: T201 - shown with -s
    late = {rule: at_s for rule, at_s in took.items() if at_s is None or at_s > EXPECTED[rule][1]}
    assert late == {}
    first = {mac: heard.devices[mac.replace(":", "")].get("first_seen") for mac in KNOWN}
    assert None not in first.values()
    times = [datetime.fromisoformat(str(one)).timestamp() for one in first.values()]
    assert max(times) - min(times) < 10
