"""Nobody hides behind full tables: frames in, alerts out, in the frames' own time."""

from __future__ import annotations

import heapq
import json
import os
import struct
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.system.crowd import (
    EACH_S,
    EXPECTED,
    FILLINGS,
    KNOWN,
    ROUTER,
    WARM_UP_S,
    Filling,
    attacks,
    filling,
    household,
    warm_up,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.system.crowd import Timed

BEGIN_S = 1_700_000_000
SHORT = {name: how for name, how in FILLINGS.items() if how.macs < 10_000}
SHORT["100,000 random ones"] = Filling(100_000, 25_000, 4)


def write(path: Path, timed: Iterable[Timed]) -> None:
    """Write a capture file (pcap, microseconds)."""
    with path.open("wb") as stream:
        stream.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for at_s, frame in timed:
            head = (BEGIN_S + int(at_s), int(at_s % 1 * 1e6), len(frame), len(frame))
            stream.write(struct.pack("<IIII", *head) + frame)


def judged(path: Path) -> list[dict[str, Any]]:
    """Return what capture and detector say of a file, as one pipe."""
    settings = {
        "MONITORPI_SITE": "lab",
        "MONITORPI_DETECTOR__LEARNING_S": "20",
        "MONITORPI_DETECTOR__DHCP_SERVERS": json.dumps([ROUTER]),
    }
    commands = (
        [sys.executable, "-m", "monitorpi_capture", "--read", str(path), "--bus", "-"],
        [sys.executable, "-m", "monitorpi_detector", "--bus", "-"],
    )
    environment = os.environ | settings
    with subprocess.Popen(commands[0], stdout=subprocess.PIPE, env=environment) as capture:
        detector = subprocess.run(
            commands[1], stdin=capture.stdout, stdout=subprocess.PIPE, env=environment, check=True
        )
    assert capture.returncode == 0
    return [json.loads(line) for line in detector.stdout.splitlines()]


@pytest.mark.parametrize("name", SHORT)
def test_each_attack_is_named_in_time_after_the_tables_were_filled(
    name: str, tmp_path: Path
) -> None:
    """A SYN flood, a ping flood, a spoofer and a rogue server; and who was known stays known."""
    how = SHORT[name]
    begins_s = WARM_UP_S + how.seconds + 3
    plan = list(attacks(begins_s))
    ends_s = begins_s + len(plan) * EACH_S
    write(
        tmp_path / "crowd.pcap",
        heapq.merge(
            warm_up(),
            household(KNOWN[:10], WARM_UP_S, ends_s - WARM_UP_S),
            filling(how, WARM_UP_S),
            *(timed for _, _, timed in plan),
        ),
    )

    said = judged(tmp_path / "crowd.pcap")

    told: dict[str, float] = {}
    devices: dict[str, dict[str, Any]] = {}
    for one in said:
        topic, payload = one["topic"], one["payload"]
        if "/device/" in topic:
            devices[topic.rpartition("/")[2]] = payload or {}
        elif "/alert/" in topic and payload and payload["state"] == "open":
            at_s = datetime.fromisoformat(payload["at"]).timestamp() - BEGIN_S
            told.setdefault(f"{payload['rule']}-{payload['subject']}", at_s)
    took = {rule: told.get(f"{rule}-{mac.replace(':', '')}") for rule, (mac, _) in EXPECTED.items()}
    late = {
        rule: at_s - start_s if at_s is not None else None
        for rule, start_s, _ in plan
        for at_s in (took[rule],)
        if at_s is None or at_s - start_s > EXPECTED[rule][1]
    }
    assert late == {}
    for mac in KNOWN:
        entry = devices[mac.replace(":", "")]
        assert entry["ips"]
        assert datetime.fromisoformat(entry["first_seen"]).timestamp() < BEGIN_S + 5
