"""Probers, detectors and bridges, several of each, killed, frozen, added and removed for long."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.bridgeprocess import LABELS, total
from tests.conftest import Broker, wait_for
from tests.system.chaos import Fleet, PlayedLan
from tests.system.replicas import Replicas

from monitorpi_common.messages import Probe
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Subscriber

SECONDS = float(os.environ.get("SOAK_S", "600"))
SEED = int(os.environ.get("SOAK_SEED", "21"))
KEEPALIVE_S = 10
INTERVAL_S = 2
UNPROBED_S = 1.5 * KEEPALIVE_S + 5
"""Before a broker looks that gives up after 1.5 keepalives: replicas miss each other's health."""
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 61)]


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_replicas_lose_and_double_nothing(
    broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[Any]]
) -> None:
    """No target unprobed for long, one story per alert, each row once; nobody ends by a bug."""
    dice = random.Random(SEED)  # noqa: S311 - faults that can be had again
    with Double(Switches(bulk_interval_s=0.2)) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        bridge = {
            "URL": double.url, "CHANNELS__TRAFFIC": str(channel.id), "INTERVAL_S": "5",
            "WRITE_KEYS__TRAFFIC": channel.write_key, "WRITE_S": "5", "PACING_S": "0.5",
            "ALERTS": "false",
        }  # fmt: skip
        replicas = Replicas(
            broker, tmp_path, processes,
            {
                "MONITORPI_DETECTOR__RULES": json.dumps({"syn-flood": {"quiet_s": 5}}),
                "MONITORPI_PROBER__TARGETS": json.dumps([{"address": one} for one in ADDRESSES]),
                "MONITORPI_PROBER__INTERVAL_S": str(INTERVAL_S),
                **{f"MONITORPI_CLOUD_BRIDGE__{key}": value for key, value in bridge.items()},
            },
        )  # fmt: skip

        def fleet(service: str, number: int, every_s: float) -> Fleet:
            return Fleet(service, number, lambda: replicas.start(service), dice, every_s)

        fleets = [fleet("prober", 3, 10), fleet("detector", 2, 10), fleet("cloud-bridge", 2, 6)]
        lan = PlayedLan(broker.port)
        try:
            _play(fleets, lan)
            wait_for(lambda: total(channel) == lan.syns, 60, "all counts at the cloud")
        finally:
            lan.stop()
            for one in fleets:
                one.tend(0, calm=True)

    report = {one.service: [Counter(one.faults), one.codes] for one in fleets}
    worst_s = max(lan.worst_s.values())
    text = f"seed {SEED}, {report}, {lan.floods} floods, unprobed for {worst_s:.1f} s at most"
    (tmp_path / "report").write_text(text)
    assert worst_s <= UNPROBED_S, text
    assert list(lan.stories.values()) == [["open", "closed"]] * lan.floods, text
    assert len(channel.rows) == len({row["created_at"] for row in list(channel.rows)}), text
    assert all(code in (0, 3) for one in fleets for code in one.codes), text
    print(text)  # noqa: T201 - for whoever runs it


def _play(fleets: list[Fleet], lan: PlayedLan) -> None:
    """Let all be there, then faults happen, then an end without any."""

    def is_there() -> bool:
        for one in fleets:
            one.tend(time.monotonic(), calm=True)
        return {one.service for one in fleets} <= lan.online and len(lan.probed_s) == len(ADDRESSES)

    wait_for(is_there, 60, "all to be there")
    lan.may_flood = True
    ends_s = time.monotonic() + SECONDS
    while (now_s := time.monotonic()) < ends_s:
        for one in fleets:
            one.tend(now_s)
        time.sleep(0.2)
    lan.may_flood = False

    def is_over() -> bool:
        for one in fleets:
            one.tend(time.monotonic(), calm=True)
        probed = all(time.monotonic() - at_s < 3 * INTERVAL_S for at_s in lan.probed_s.values())
        return probed and all(story[-1] == "closed" for story in lan.stories.values())

    wait_for(is_over, 60, "all to be over")


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [4, 2, 1])
def test_probers_share_the_work(
    broker: Broker,
    tmp_path: Path,
    processes: list[subprocess.Popen[Any]],
    subscribe: Callable[..., Subscriber],
    number: int,
) -> None:
    """Of 2,000 targets each sends its part of the requests, within a fifth."""
    targets = [{"address": f"127.1.{one // 250}.{one % 250 + 1}"} for one in range(2000)]
    replicas = Replicas(
        broker, tmp_path, processes,
        {
            "MONITORPI_PROBER__TARGETS": json.dumps(targets),
            "MONITORPI_PROBER__INTERVAL_S": "20", "MONITORPI_PROBER__PROBES": "2",
            "MONITORPI_PROBER__MAX_TARGETS": "4096", "MONITORPI_PROBER__MAX_RATE": "2000",
        },
    )  # fmt: skip
    seen = subscribe(broker.port, "monitorpi/v1/lab/prober/probe/+")
    for _ in range(number):
        replicas.start("prober")

    def work() -> dict[str, int] | None:
        """Return the requests of each prober in a round, once each target is somebody's."""
        last: dict[str, tuple[str, int]] = {}
        for topic, text, _ in seen.poll():  # a round is several messages
            for one in Probe.model_validate_json(text).targets:
                last[one.address] = (topic, one.sent)
        if len(last) < len(targets):
            return None
        sent = Counter[str]()
        for topic, requests in last.values():
            sent[topic] += requests
        return sent

    sent = wait_for(work, 500, "all targets, each by one")  # ten new ones a second and prober

    whole = sum(sent.values())
    print(f"{number} probers, {whole} requests: {sorted(sent.values())}")  # noqa: T201 - as above
    assert whole > len(targets)
    assert len(sent) == number
    for each in sent.values():
        assert each == pytest.approx(whole / number, rel=0.2)
