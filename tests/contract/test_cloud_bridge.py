"""Any program that takes the cloud bridge's place must pass this; it is given an environment only.

The cloud is the double of ThingSpeak, a real HTTP server on loopback.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import publish, wait_for
from tests.contract import contender

from monitorpi_common.messages import Health, Wire, timestamp
from monitorpi_common.topics import Topic
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Broker, Subscriber

    from monitorpi_thingspeak_double import Channel

LABELS = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http and https")
FSYNCS_PER_MINUTE = 2
INTERVAL_S = 20
BYTES_PER_ROW = 20_000
"""12 kB are written for a row from window to settled: 53 MB a day for a channel at 20 s."""


@pytest.fixture
def double() -> Iterator[Double]:
    """Run a cloud that takes a call five times a second."""
    with Double(Switches(bulk_interval_s=0.2)) as one:
        one.cloud.add_channel("traffic", LABELS)
        yield one


@pytest.fixture
def channel(double: Double) -> Channel:
    """Return the cloud's channel."""
    return next(iter(double.cloud.channels.values()))


@pytest.fixture
def start(
    broker: Broker, double: Double, channel: Channel, tmp_path: Path,
    processes: list[subprocess.Popen[bytes]],
) -> Callable[..., subprocess.Popen[bytes]]:  # fmt: skip
    """Start bridges that never outlive the test; keys come from the secrets directory only."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "cloud_bridge__write_keys__traffic").write_text(channel.write_key + "\n")
    (secrets / "cloud_bridge__read_keys__traffic").write_text(channel.read_key + "\n")

    def run(**more: str) -> subprocess.Popen[bytes]:
        settled = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_SECRETS_DIR": str(secrets),
            "MONITORPI_TRUST_CLOCK": "true",
            "MONITORPI_LOG_LEVEL": "debug",
            "MONITORPI_CLOUD_BRIDGE__URL": double.url,
            "MONITORPI_CLOUD_BRIDGE__CHANNELS__TRAFFIC": str(channel.id),
            "MONITORPI_CLOUD_BRIDGE__INTERVAL_S": "1",
            "MONITORPI_CLOUD_BRIDGE__WRITE_S": "1",
            "MONITORPI_CLOUD_BRIDGE__PACING_S": "0.3",
        }
        environment = broker.environment(**(settled | more))
        with (tmp_path / "stderr").open("ab") as log:
            processes.append(contender.start("cloud-bridge", environment, stdout=log, stderr=log))
        return processes[-1]

    return run


def windows(broker: Broker, number: int, *, before_s: float = 0.0, first: int = 1) -> int:
    """Publish windows of a second each with one SYN more every time; returns the SYNs of all."""
    counts = range(first, first + number)
    end = datetime.now(UTC) - timedelta(seconds=before_s)
    lines = []
    for place, count in enumerate(counts):
        at = timestamp(end - timedelta(seconds=number - place))
        window: dict[str, Any] = {
            "epoch": "e", "seq": count, "start": at, "end": at, "window_s": 1.0,
            "clock_synced": True, "interface": "eth0", "engine": "socket", "packets": count,
            "bytes": 1, "counts": {"syn": count}, "totals": {"syn": sum(range(1, count + 1))},
        }  # fmt: skip
        Wire.model_validate(window)
        lines.append(json.dumps(window))
    command = ["mosquitto_pub", "-q", "1", "-p", str(broker.port), "-l", "-t"]
    subprocess.run(
        [*command, "monitorpi/v1/lab/capture/wire/eth0"],
        input="\n".join(lines), text=True, check=True,
    )  # fmt: skip
    return sum(counts)


def syns(channel: Channel) -> int:
    """Return the SYNs of all rows at the cloud."""
    return sum(int(row["field7"]) for row in list(channel.rows) if "field7" in row)


def statuses(seen: Subscriber) -> list[str]:
    """Return what the status topic has said so far."""
    return seen.of("/cloud-bridge/status/main")


def test_life(
    broker: Broker,
    channel: Channel,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """Online within 10 s, rows at the cloud, garbage survived and counted, a clean end."""
    seen = subscribe(broker.port)
    process = start()
    wait_for(lambda: statuses(seen) == ["online"], 10, "online")

    publish(broker, "monitorpi/v1/lab/capture/wire/eth0", "not json")
    publish(broker, "monitorpi/v1/lab/prober/probe/main", '{"targets": 5}')
    publish(broker, "monitorpi/v1/lab/detector/alert/x", "[" * 10_000)
    expected = windows(broker, 20)
    wait_for(lambda: syns(channel) == expected, 20, "all counts at the cloud")

    order = f'{{"name": "upload_now", "at": "{timestamp(datetime.now(UTC))}"}}'
    publish(broker, "monitorpi/v1/lab/cloud-bridge/command/c1", order)
    wait_for(lambda: seen.of("/result/c1"), 10, "the result")
    assert json.loads(seen.of("/result/c1")[0])["ok"] is True

    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    wait_for(lambda: statuses(seen)[-1] == "offline", 10, "offline")
    health = Health.model_validate_json(seen.of("/cloud-bridge/health/main")[-1])
    assert {"lanes", "quota_used", "quota_left", "waiting_for_clock"} <= set(health.detail)
    written = [Topic.parse(topic) for topic, _, _ in seen.seen if "/cloud-bridge/" in topic]
    assert {topic.kind for topic in written} == {"status", "health", "command", "result"}
    seconds = [row["created_at"] for row in channel.rows]
    assert seconds == sorted(set(seconds))


def test_kill(
    broker: Broker,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """After kill -9 the last will says offline."""
    contender.killed_is_offline("cloud-bridge", start, subscribe(broker.port))


def test_a_broker_that_restarts_costs_no_count(
    broker: Broker,
    channel: Channel,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
) -> None:
    """The bridge comes back by itself, and the totals carry what was said meanwhile."""
    seen = subscribe(broker.port)
    start()
    wait_for(lambda: statuses(seen) == ["online"], 10, "online")
    before = windows(broker, 5)
    wait_for(lambda: syns(channel) == before, 20, "the first counts")

    broker.kill()
    broker.start()
    again = subscribe(broker.port)
    wait_for(lambda: statuses(again) == ["online"], 20, "online again")
    windows(broker, 1, first=9)

    wait_for(lambda: syns(channel) == sum(range(1, 10)), 20, "also what nobody heard")


def test_a_standby_takes_over_where_the_active_one_died(
    broker: Broker,
    channel: Channel,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    """Two on one outbox: the second waits in silence, stops when told, and follows a kill."""
    seen = subscribe(broker.port)
    active = start()
    wait_for(lambda: statuses(seen) == ["online"], 10, "online")
    first = windows(broker, 5)
    wait_for(lambda: syns(channel) == first, 20, "the first counts")
    told = start()
    wait_for(lambda: "standing by" in (tmp_path / "stderr").read_text(), 10, "a standby")
    told.send_signal(signal.SIGTERM)
    assert told.wait(10) == 0
    assert statuses(seen) == ["online"]

    start()
    text = "standing by"
    wait_for(lambda: (tmp_path / "stderr").read_text().count(text) == 2, 10, "a standby")
    active.kill()
    active.wait()
    wait_for(lambda: statuses(seen) == ["online", "offline", "online"], 15, "the take-over")
    windows(broker, 5, first=6)

    wait_for(lambda: syns(channel) == sum(range(1, 11)), 20, "all counts, once")


def test_no_key_is_shown_anywhere(
    broker: Broker,
    double: Double,
    channel: Channel,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    """Through faults, refusals and a crash: in no log, URL, process list, topic, health or file."""
    queue = double.cloud.add_talkback()
    (tmp_path / "secrets" / "cloud_bridge__talkback__key").write_text(queue.key)
    keys = (channel.write_key, channel.read_key, queue.key)
    talkback = {
        "MONITORPI_CLOUD_BRIDGE__TALKBACK__ID": str(queue.id),
        "MONITORPI_CLOUD_BRIDGE__TALKBACK__POLL_S": "0.5",
    }
    seen = subscribe(broker.port)
    double.fail_next("bulk", "reset", "500", "truncate", "429", "reset_after_commit")
    process = start(**talkback)
    wait_for(lambda: statuses(seen) == ["online"], 10, "online")
    line = Path(f"/proc/{process.pid}/cmdline").read_text("utf-8")
    environment = Path(f"/proc/{process.pid}/environ").read_text("utf-8")
    for number in range(5):
        windows(broker, 5, first=1 + 5 * number)
        wait_for(lambda: any("bulk" in entry.path for entry in double.log), 10, "a call")
    wait_for(lambda: not double.faults and channel.rows, 30, "the faults")
    channel.write_key = "CHANGED"  # by its owner: the bridge is refused from now on
    windows(broker, 5, first=26)
    wait_for(lambda: "the channel refuses us" in (tmp_path / "stderr").read_text(), 20, "a stop")
    process.send_signal(signal.SIGABRT)  # Python's fault handler writes what it has
    process.wait()
    queue.key = "CHANGED"
    broken = start(**talkback, MONITORPI_CLOUD_BRIDGE__INTERVAL_S="no number")
    assert broken.wait(20) == 2

    outbox = b"".join(file.read_bytes() for file in (tmp_path / "state").glob("outbox*"))
    shown = {
        "process list": line,
        "environment": environment,
        "topics and health": "\n".join(f"{topic} {text}" for topic, text, _ in seen.poll()),
        "URLs": "\n".join(entry.path for entry in double.log),
        "logs and tracebacks": (tmp_path / "stderr").read_text(),
        "outbox": outbox.decode(errors="replace"),
    }
    assert all(shown.values())
    assert [entry.path for entry in double.log if "KEY" in entry.path] == []
    assert [(place, key) for place, text in shown.items() for key in keys if key in text] == []


@pytest.mark.ours
def test_the_card_is_hardly_written(
    broker: Broker,
    channel: Channel,
    start: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    """Fewer than two fsyncs a minute in steady state, and few bytes, counted by strace.

    Rows are made twenty times as fast as they would be, so each counts for 20 s.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    seen = subscribe(broker.port)
    process = start()
    wait_for(lambda: statuses(seen) == ["online"], 10, "online")
    windows(broker, 3)
    wait_for(lambda: channel.rows, 20, "the first row")
    trace = tmp_path / "trace"
    strace = subprocess.Popen(
        ["strace", "-f", "-o", trace, "-e", "trace=pwrite64,fsync,fdatasync,sync_file_range,msync",
         "-p", str(process.pid)],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert strace.stderr is not None
    if b"attached" not in strace.stderr.readline():
        pytest.skip("needs root: strace may not look at the process")
    before = len(channel.rows)

    for number in range(8):
        windows(broker, 1, first=4 + number)
        time.sleep(1)  # a row covers a second of the wall clock, nothing else makes one
    wait_for(lambda: len(channel.rows) - before >= 6, 20, "rows")
    rows = len(channel.rows) - before
    strace.send_signal(signal.SIGINT)
    strace.wait()
    strace.stderr.close()

    lines = trace.read_text().splitlines()
    written = sum(
        int(found[1]) for line in lines if (found := re.search(r"pwrite64.* = (\d+)$", line))
    )
    assert 0 < written <= BYTES_PER_ROW * (rows + 1)
    syncs = sum("sync" in line for line in lines)
    assert syncs <= FSYNCS_PER_MINUTE * rows * INTERVAL_S / 60


@pytest.mark.ours
def test_configuration_errors_are_lines(tmp_path: Path) -> None:
    """What cannot work ends with exit code 2 and one sentence that names the remedy."""
    file = tmp_path / "m.toml"
    for text, told in (
        ("", "cloud-bridge.channels: missing; give a channel"),
        ("channels = { traffic = 1 }", "as a file cloud_bridge__write_keys__traffic"),
        ('url = "http://cloud.lan"', "plain http would show the key"),
        (
            'channels = { traffic = 1, health = 2 }\nwrite_keys = { traffic = "a", health = "b" }',
            "3,153,600 rows a year; a free licence takes 3,000,000: set interval_s to 22 or more",
        ),
    ):
        file.write_text(f'site = "lab"\n[cloud-bridge]\n{text}\n')
        done = subprocess.run(
            [*contender.command("cloud-bridge"), "--config", file, "--bus", "-"],
            input=b"",
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, told in done.stderr.decode()) == (2, True), done.stderr


@pytest.mark.ours
def test_an_outbox_that_cannot_be_opened_is_a_resource(tmp_path: Path) -> None:
    """A damaged file ends with exit code 3 and what to do about it; it is not overwritten."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "outbox.sqlite").write_bytes(b"this is no database" * 100)
    file = tmp_path / "m.toml"
    file.write_text(
        f'site = "lab"\nstate_dir = "{state}"\n[cloud-bridge]\n'
        'channels = { traffic = 1 }\nwrite_keys = { traffic = "a" }\n'
    )
    done = subprocess.run(
        [*contender.command("cloud-bridge"), "--config", file, "--bus", "-"],
        input=b"",
        capture_output=True,
        check=False,
    )

    assert (done.returncode, b"move the file away if it is damaged" in done.stderr) == (3, True)
    assert (state / "outbox.sqlite").read_bytes().startswith(b"this is no database")
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(state / "outbox.sqlite").execute("PRAGMA integrity_check").fetchall()
