"""Any program that takes the prober's place must pass this; it is given an environment only."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.conftest import publish, wait_for
from tests.contract import contender

from monitorpi_common.messages import Probe, Target
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Broker, Subscriber

TARGETS = '[{"address": "127.0.0.1", "name": "me"}, {"address": "::1"}, {"address": "no.invalid"}]'

HERE = {"MONITORPI_PROBER__DISCOVER": "false"}
"""This machine's own network is nobody's to sweep in a test."""


@pytest.fixture
def start(
    broker: Broker, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start probers that never outlive the test."""

    def run(**more: str) -> subprocess.Popen[bytes]:
        environment = broker.environment(
            MONITORPI_PROBER__TARGETS=TARGETS,
            MONITORPI_PROBER__INTERVAL_S="1",
            **HERE,
            **more,
        )
        processes.append(contender.start("prober", environment, stderr=subprocess.DEVNULL))
        return processes[-1]

    return run


def statuses(seen: Subscriber) -> list[str]:
    """Return what the status topic has said so far."""
    return seen.of("/prober/status/main")


def test_life(
    broker: Broker,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """Online within 10 s, valid messages on its own topics only, garbage survived, a clean end."""
    seen = subscribe(broker.port)
    process = start()
    wait_for(lambda: statuses(seen) == ["online"], 10, "online")
    wait_for(lambda: any(json.loads(t)["targets"] for t in seen.of("/probe/")), 15, "a round")

    publish(broker, "monitorpi/v1/lab/capture/device/b827eb000001", "not json")
    publish(
        broker,
        "monitorpi/v1/lab/prober/command/c1",
        '{"name": "probe_now", "at": "2026-01-02T03:04:05Z"}',
    )
    wait_for(lambda: seen.of("/result/c1"), 10, "the result")
    assert json.loads(seen.of("/result/c1")[0])["ok"] is True

    rounds = [Probe.model_validate_json(t) for t in seen.of("/probe/main")]
    last = next(r for r in reversed(rounds) if r.targets)
    rows = {row.name: row for row in last.targets}
    assert rows["me"].state == "up"
    assert rows["no.invalid"].sent == 0
    assert rows["no.invalid"].error
    for text in seen.of("/prober/target/"):
        Target.model_validate_json(text)
    topics = [Topic.parse(topic) for topic, _, _ in seen.seen]
    assert {t.service for t in topics if t.kind != "command"} <= {"prober", "capture"}

    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    wait_for(lambda: statuses(seen)[-1] == "offline", 10, "offline")


def test_kill(
    broker: Broker,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """After kill -9 the last will says offline."""
    contender.killed_is_offline("prober", start, subscribe(broker.port))


def test_a_restart_keeps_states(
    broker: Broker,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """A prober started anew goes on with `since` as it stands in the retained messages."""
    seen = subscribe(broker.port)
    first = start()
    texts = wait_for(lambda: seen.of("/target/127-0-0-1"), 15, "the target")
    before = Target.model_validate_json(texts[-1])
    first.send_signal(signal.SIGTERM)
    first.wait(10)
    count = len(seen.of("/target/127-0-0-1"))

    start()
    wait_for(lambda: len(seen.of("/target/127-0-0-1")) > count, 15, "the target again")

    after = Target.model_validate_json(seen.of("/target/127-0-0-1")[-1])
    assert (after.state, after.since) == ("up", before.since)


def test_two_replicas_share(
    broker: Broker,
    subscribe: Callable[..., Subscriber],
) -> None:
    """Two instances probe each target once between them; when one goes, the other takes over."""
    seen = subscribe(broker.port, "monitorpi/v1/lab/prober/probe/+")
    addresses = [f"127.0.1.{n}" for n in range(1, 31)]
    targets = json.dumps([{"address": address} for address in addresses])
    more = {"MONITORPI_PROBER__TARGETS": targets, "MONITORPI_PROBER__INTERVAL_S": "1"}
    env = broker.environment(**more, **HERE)
    pair = [contender.start("prober", env | {"MONITORPI_INSTANCE": name}) for name in ("a", "b")]
    try:

        def share(name: str) -> set[str]:
            texts = seen.of(f"/probe/{name}")
            return {t["address"] for t in json.loads(texts[-1])["targets"]} if texts else set()

        wait_for(
            lambda: (
                share("a")
                and not share("a") & share("b")
                and share("a") | share("b") == set(addresses)
            ),
            30,
            "a shared list",
        )
        pair[1].kill()
        wait_for(lambda: share("a") == set(addresses), 30, "the take-over")
    finally:
        for one in pair:
            one.kill()
            one.wait()


@pytest.mark.ours
def test_configuration_errors_are_lines(tmp_path: Path) -> None:
    """A typo ends with exit code 2 and a sentence, an unknown source interface with 3."""
    file = tmp_path / "m.toml"
    for text, code, told in (
        ("[prober]\nintervall_s = 5\n", 2, "did you mean 'interval_s'"),
        ('[prober]\nsource = "wlan9"\n', 3, "there is no interface 'wlan9'"),
    ):
        file.write_text(f'site = "lab"\n{text}')
        done = subprocess.run(
            [*contender.command("prober"), "--config", file, "--bus", "-"],
            input=b"",
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, told in done.stderr.decode()) == (code, True), done.stderr
