"""Any program that takes the history's place must pass this; it is given an environment only."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.conftest import ROOT, publish, wait_for
from tests.contract import contender
from tests.history.world import alert, device, mac, probe, window

from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Broker, Subscriber

    from monitorpi_common.messages import Traffic

PAST = datetime.now(UTC) - timedelta(seconds=100)


@pytest.fixture
def port() -> int:
    """Choose where it answers."""
    return free_port()


@pytest.fixture
def start(
    broker: Broker, port: int, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start histories that never outlive the test."""

    def run(**more: str) -> subprocess.Popen[bytes]:
        settled = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_TRUST_CLOCK": "true",
            "MONITORPI_HISTORY__PORT": str(port),
        }
        one = contender.start(
            "history", broker.environment(**(settled | more)), stderr=subprocess.PIPE
        )
        processes.append(one)
        return one

    return run


def ask(port: int, path: str, host: str | None = None) -> httpx.Response:
    """Ask over HTTP."""
    headers = {"Host": host} if host else {}
    return httpx.get(
        f"http://127.0.0.1:{port}/v1/{path}", headers=headers, timeout=20, trust_env=False
    )


def is_online(subscriber: Subscriber) -> bool:
    """Return whether it says that it is there."""
    return "online" in subscriber.of("history/status/main")


def publish_lines(broker: Broker, topic: str, messages: list[Traffic]) -> None:
    """Publish many messages at once."""
    command = ["mosquitto_pub", "-p", str(broker.port), "-V", "mqttv5", "-q", "1", "-t", topic]
    lines = b"".join(one.encode() + b"\n" for one in messages)
    subprocess.run([*command, "-l"], input=lines, check=True, timeout=20)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask it to end, and wait."""
    process.send_signal(signal.SIGTERM)
    return process.wait(20)


def test_what_was_said_is_found_after_a_restart(
    broker: Broker,
    port: int,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """Windows, rounds, an alert and a device; sums are those of the broker's messages."""
    heard = subscribe(broker.port)
    first = start()
    wait_for(lambda: is_online(heard), what="the history")
    windows = [window(PAST + timedelta(seconds=seq), seq) for seq in range(30)]
    publish_lines(broker, "monitorpi/v1/lab/capture/traffic/eth0", windows)
    publish(broker, "monitorpi/v1/lab/prober/probe/main", probe(PAST, 1).encode().decode())
    publish(
        broker, "monitorpi/v1/lab/detector/alert/syn-flood-020000000001",
        alert(PAST).encode().decode(), "-r",
    )  # fmt: skip
    publish(
        broker, "monitorpi/v1/lab/capture/device/020000000001", device().encode().decode(), "-r"
    )

    assert stop(first) == 0
    assert heard.of("history/status/main")[-1] == "offline"

    start()
    wait_for(lambda: heard.of("history/status/main")[-1] == "online", what="the history again")
    rows = list(csv.DictReader(io.StringIO(ask(port, "traffic?format=csv&from=-1h").text)))
    assert sum(int(row["tx_syn"]) for row in rows) == 30 * 3
    assert ask(port, "probes?from=-1h&format=jsonl").json()["sent"] == 10
    assert ask(port, "alerts?from=-1h").json()["alerts"][0]["rule"] == "syn-flood"
    assert [one["mac"] for one in ask(port, "devices").json()["devices"]] == [mac(1)]
    whats = {one["what"] for one in ask(port, "changes?from=-10y").json()["changes"]}
    assert whats == {"new"}


def test_garbage_and_a_kill_harm_nobody(
    broker: Broker,
    port: int,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """What is not of the contract is counted; killed it leaves `offline`."""
    heard = subscribe(broker.port)
    one = start()
    wait_for(lambda: is_online(heard), what="the history")
    for text in ("{", "[]", '{"epoch": 1}', "x"):
        publish(broker, "monitorpi/v1/lab/capture/traffic/eth0", text)

    def rejected() -> bool:
        healths = heard.of("history/health/main")
        return bool(healths) and json.loads(healths[-1])["rejected_total"] == 4

    wait_for(rejected, what="four messages to be rejected", seconds=30)
    assert one.poll() is None
    document = (ROOT / "contracts" / "history.openapi.json").read_text(encoding="utf-8")
    assert ask(port, "openapi.json").json() == json.loads(document)
    one.kill()
    wait_for(lambda: heard.of("history/status/main")[-1] == "offline", what="the last will")


WRONG = {
    "traffic?step=7": "step: one of 10",
    "traffic?from=yesterday": "from: write 2026",
    "traffic?from=-1h&to=-2h": "to: not after from",
    "traffic?mac=xx": "mac: no MAC address",
    "wire?colums=syn": "colums: no such parameter",
    "alerts?limit=0": "limit:",
}


def test_a_wrong_question_is_answered_with_what_is_wrong(served: int) -> None:
    """One line that names the parameter; never a traceback."""
    for question, said in WRONG.items():
        refused = ask(served, question)

        assert refused.status_code == 400
        assert said in refused.json()["error"]


@pytest.fixture
def served(
    broker: Broker, port: int, start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> int:  # fmt: skip
    """Run one history and return its port."""
    heard = subscribe(broker.port)
    start()
    wait_for(lambda: is_online(heard), what="the history")
    return port


def test_another_hosts_name_is_refused(served: int) -> None:
    """A page on the Internet whose name leads here (DNS rebinding)."""
    assert ask(served, "devices", "evil.example").status_code == 421


def test_export_writes_lines(served: int, tmp_path: Path) -> None:
    """The command asks where it is told and copies the answer; refusals are one line."""
    command = [sys.executable, "-P", "-m", "monitorpi_cli", "export"]
    url = ["--url", f"http://127.0.0.1:{served}"]
    file = tmp_path / "out.csv"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, check=False, timeout=60
        )

    assert run("devices", *url, "--output", str(file)).returncode == 0
    assert file.read_text().startswith("mac,hostname,")
    refused = run("traffic", *url, "--step", "7")
    assert (refused.returncode, "step: one of" in refused.stderr) == (1, True)
    away = run("wire", "--url", f"http://127.0.0.1:{free_port()}")
    assert (away.returncode, "does not answer" in away.stderr) == (3, True)


def health_of(heard: Subscriber) -> dict[str, Any]:
    """Return what health said last."""
    healths = heard.of("history/health/main")
    return dict(json.loads(healths[-1])["detail"]) if healths else {}


@pytest.mark.ours
def test_a_folder_that_cannot_be_written_is_said(
    broker: Broker,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    """It goes on and says so in health: what others do is not touched."""
    (tmp_path / "state").write_text("no folder")
    heard = subscribe(broker.port)
    one = start()

    wait_for(lambda: (health_of(heard).get("trouble") or {}).get("text"), what="the trouble")

    assert one.poll() is None
