"""The bridge as a process against the double: no row lost, none doubled, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_common.messages import Wire as WireMessage
from monitorpi_common.messages import timestamp
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Broker, Subscriber

    from monitorpi_thingspeak_double import Channel

TOPIC = "monitorpi/v1/lab/capture/wire/eth0"
LABELS = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http and https")


class Wire:
    """Publishes a window four times a second, as capture would, until stopped."""

    def __init__(self, broker: Broker) -> None:
        command = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port)]
        self._pub = subprocess.Popen(
            [*command, "-t", TOPIC, "-l"], stdin=subprocess.PIPE, text=True
        )
        self.total = 0
        self.running = threading.Event()
        self.running.set()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def _run(self) -> None:
        assert self._pub.stdin is not None
        sequence = 0
        while self.running.is_set():
            time.sleep(0.25)
            sequence += 1
            self.total += sequence
            end = datetime.now(UTC)
            window: dict[str, Any] = {
                "epoch": "e", "seq": sequence, "start": timestamp(end), "end": timestamp(end),
                "window_s": 0.25, "clock_synced": True, "interface": "eth0", "engine": "socket",
                "packets": sequence, "bytes": 1,
                "counts": {"syn": sequence}, "totals": {"syn": self.total},
            }  # fmt: skip
            WireMessage.model_validate(window)
            self._pub.stdin.write(json.dumps(window) + "\n")
            self._pub.stdin.flush()

    def stop(self) -> None:
        """End it and let everything be delivered."""
        self.running.clear()
        self._thread.join()
        assert self._pub.stdin is not None
        self._pub.stdin.close()
        self._pub.wait()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    """Run a wire for one test."""
    one = Wire(broker)
    yield one
    if one.running.is_set() and one._thread.is_alive():
        one.stop()


@pytest.fixture
def bridge(
    broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start bridges with one state directory; only the last one lives on."""

    def start(double: Double, channel: Channel, **more: str) -> subprocess.Popen[bytes]:
        environment = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_TRUST_CLOCK": "true",
            "MONITORPI_CLOUD_BRIDGE__URL": double.url,
            "MONITORPI_CLOUD_BRIDGE__CHANNELS__TRAFFIC": str(channel.id),
            "MONITORPI_CLOUD_BRIDGE__WRITE_KEYS__TRAFFIC": channel.write_key,
            "MONITORPI_CLOUD_BRIDGE__INTERVAL_S": "1",
            "MONITORPI_CLOUD_BRIDGE__WRITE_S": "1",
            "MONITORPI_CLOUD_BRIDGE__PACING_S": "0.3",
            **more,
        }
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "monitorpi_cloud_bridge"],
                env=broker.environment(**environment),
                stderr=log,
            )
        processes.append(process)
        return process

    return start


def total(channel: Channel) -> int:
    """Return the SYNs of all rows stored in a channel."""
    return sum(int(row["field7"]) for row in list(channel.rows))


def assert_sound(state: Path, copies: Path) -> None:
    """What a killed process left on the disk is a whole database; looked at in a copy."""
    copies.mkdir(exist_ok=True)
    for file in state.glob("outbox.sqlite*"):
        shutil.copy(file, copies / file.name)
    with closing(sqlite3.connect(copies / "outbox.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    shutil.rmtree(copies)


def assert_once(channel: Channel) -> None:
    """Every second stands once and in order of arrival is in order of time."""
    seconds = [row["created_at"] for row in channel.rows]
    assert len(set(seconds)) == len(seconds)
    assert seconds == sorted(seconds)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("duplicates", "wanted_kills"),
    [
        ("drop_row", 12),
        pytest.param("reject_409", 12, marks=pytest.mark.soak),
        pytest.param("lost_after_202", 12, marks=pytest.mark.soak),
        pytest.param("drop_row", 50, marks=pytest.mark.soak),
        pytest.param("lost_after_202", 50, marks=pytest.mark.soak),
    ],
)
def test_kills_in_mid_flight_lose_and_double_nothing(
    wire: Wire,
    broker: Broker,
    bridge: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
    duplicates: Any,
    wanted_kills: int,
) -> None:
    """Kill -9 before a call, after its commit, after its answer, while reading back: all once."""
    switches = Switches(dup_bulk=duplicates, bulk_interval_s=0.2, commit_delay_s=0.15)
    with Double(switches) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        running: list[subprocess.Popen[bytes]] = []
        moments = [
            ("before", "bulk"),
            ("committed", "bulk"),
            ("answered", "bulk"),
            ("before", "feeds"),
        ]
        kills: list[str] = []
        killed: list[int] = []

        def maybe_kill(when: str, path: str) -> None:
            wanted, part = moments[len(kills) % len(moments)]
            due = len(kills) < wanted_kills and when == wanted and part in path
            if due and running[-1].poll() is None:
                killed.append(running[-1].pid)
                os.kill(running[-1].pid, signal.SIGKILL)
                kills.append(when)
                if when == "before":
                    raise ConnectionAbortedError  # what was sent never arrives

        double.on_request = maybe_kill
        seen = subscribe(broker.port, "monitorpi/v1/lab/cloud-bridge/status/+")
        running.append(bridge(double, channel))
        wait_for(lambda: seen.of("status"), what="the bridge to listen")
        wire.start()

        def ten_kills() -> bool:
            if running[-1].poll() is not None:
                assert_sound(tmp_path / "state", tmp_path / "copies")
                running.append(bridge(double, channel))
            return len(kills) >= wanted_kills

        wait_for(ten_kills, 20 * wanted_kills, "the kills")
        if killed[-1] == running[-1].pid:
            running[-1].wait(10)
            running.append(bridge(double, channel))

        # what nobody hears after the last restart no later window can make good
        time.sleep(1)
        wait_for(lambda: seen.of("status")[-1] == "online", 30, "the last bridge to listen")
        time.sleep(2)
        wire.stop()

        # what was said after the last row stands in the memory until one more window comes
        wait_for(lambda: total(channel) > 0.9 * wire.total, 30, "most counts")
        running[-1].terminate()
        assert running[-1].wait(15) == 0
        memory = sqlite3.connect(tmp_path / "state" / "outbox.sqlite")
        assert memory.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        waiting = memory.execute("SELECT fields FROM row WHERE state IN (0, 1)").fetchall()
        kept = json.loads(
            memory.execute("SELECT value FROM memory WHERE name = 'rows'").fetchone()[0]
        )
        memory.close()
        unsent = sum(int(json.loads(fields)["field7"]) for (fields,) in waiting)
        unwritten = sum(sample[1] for _, _, field, sample in kept["samples"] if field == 7)

        assert_once(channel)
        assert total(channel) + unsent + unwritten == wire.total


MOMENTS = (("before", "bulk"), ("committed", "bulk"), ("answered", "bulk"), ("before", "feeds"))
"""Before the rows arrive, after they are stored, after the answer, while reading back."""
FAULTS = (
    "reset",
    "reset_after_commit",
    "429",
    "500",
    "502",
    "503",
    "truncate",
    "away",
    "tls",
    "disk",
)
KILLS = 52
ROWS = 2000
PER_S = 20
"""Rows made per second: windows of the past, a second apart, come that fast."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 3 MB that a test can fill."""
    folder = tmp_path / "state"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root: a small file system is mounted")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass
class Siege:
    """A bridge that is killed at chosen moments, its cloud, and the windows it hears."""

    double: Double
    channel: Channel
    broker: Broker
    start: Callable[[], subprocess.Popen[bytes]]
    seen: Subscriber
    disk: Path
    dice: random.Random
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    total: int = 0
    sequence: int = 0
    onlines: int = 0

    def __post_init__(self) -> None:
        self.began = int(time.time()) - 3500
        self.process = self.start()
        self.double.on_request = self._maybe_kill

    def _maybe_kill(self, when: str, path: str) -> None:
        moment = MOMENTS[self.kills.total() % len(MOMENTS)]
        due = when == moment[0] and moment[1] in path and self.dice.random() < 0.7
        if not due or self.kills.total() >= KILLS or self.process.poll() is not None:
            return
        self.process.kill()
        self.kills[moment] += 1
        if when == "before":
            raise ConnectionAbortedError  # what was sent never arrives

    def listens(self) -> bool:
        """Bring a dead bridge back; tell whether one listens now."""
        if self.process.poll() is not None:
            assert self.process.returncode in (-signal.SIGKILL, 3)  # 3: no room for the outbox
            assert_sound(self.disk, self.disk.parent / "copies")
            self.onlines = self.seen.of("status").count("online")
            self.process = self.start()
        return self.seen.of("status").count("online") > self.onlines

    def window(self) -> str:
        """Return the window of the next second of the past."""
        self.sequence += 1
        self.total += self.sequence % 50
        end = datetime.fromtimestamp(self.began + self.sequence, UTC)
        window: dict[str, Any] = {
            "epoch": "e", "seq": self.sequence, "start": timestamp(end), "end": timestamp(end),
            "window_s": 1, "clock_synced": True, "interface": "eth0", "engine": "socket",
            "packets": self.sequence, "bytes": 1,
            "counts": {"syn": self.sequence % 50}, "totals": {"syn": self.total},
        }  # fmt: skip
        return json.dumps(window)

    def strike(self) -> None:
        """Let the next fault of the list happen."""
        fault = FAULTS[self.struck.total() % len(FAULTS)]
        self.struck[fault] += 1
        match fault:
            case "away":
                with self.double.away():
                    time.sleep(1)  # the absence
            case "tls":
                self.double.failing_handshakes = 2
            case "disk":
                self._fill_the_disk()
            case _:
                self.double.fail_next(self.dice.choice(["bulk", "feeds"]), fault)  # type: ignore[arg-type] # from the list

    def _fill_the_disk(self) -> None:
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        time.sleep(1)  # while nothing can be written
        filler.unlink()


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("seed", "switches"),
    [
        (1, {"dup_bulk": "drop_row", "too_many": 413, "bulk_rows": 12}),
        (2, {"dup_bulk": "reject_409", "too_many": 400, "bulk_rows": 12}),
        (3, {"dup_bulk": "lost_after_202"}),
    ],
)
def test_two_thousand_rows_survive_kills_faults_and_a_full_disk(
    broker: Broker,
    bridge: Callable[..., subprocess.Popen[bytes]],
    subscribe: Callable[..., Subscriber],
    small_disk: Path,
    certificate: tuple[str, str],
    seed: int,
    switches: dict[str, Any],
) -> None:
    """Kill -9 of the real process at four moments, every fault, no room: each row stored once."""
    cloud = Switches(bulk_interval_s=0.2, commit_delay_s=0.05, cache_s=300, **switches)
    with Double(cloud, certificate=certificate) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        siege = Siege(
            double, channel, broker,
            lambda: bridge(double, channel, MONITORPI_CLOUD_BRIDGE__CA_FILE=certificate[0]),
            subscribe(broker.port, "monitorpi/v1/lab/cloud-bridge/status/+"),
            small_disk, random.Random(seed),  # noqa: S311 - repeatable on purpose
        )  # fmt: skip
        command = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-l", "-t"]
        publisher = subprocess.Popen([*command, TOPIC], stdin=subprocess.PIPE, text=True)
        assert publisher.stdin is not None

        def say() -> None:
            assert publisher.stdin is not None
            if siege.listens():
                publisher.stdin.write(siege.window() + "\n")
                publisher.stdin.flush()
                if siege.dice.random() < 0.05:
                    siege.strike()
            time.sleep(1 / PER_S)  # the pace of the windows

        while len(channel.rows) < ROWS or siege.kills.total() < KILLS:
            say()
        double.faults.clear()
        while total(channel) < siege.total:
            say()
            wait_for(siege.listens, 30, "the bridge")
            deadline = time.monotonic() + 30
            while total(channel) < siege.total and time.monotonic() < deadline:
                siege.listens()
                time.sleep(0.05)  # what was said is on its way
        publisher.stdin.close()
        publisher.wait()
        siege.process.terminate()
        assert siege.process.wait(15) == 0

        feeds = double.cloud.feeds(channel.id, channel.read_key, {"results": "8000"}).body["feeds"]
        times = [row["created_at"] for row in feeds]
        assert min(siege.kills[moment] for moment in MOMENTS) >= 10
        assert min(siege.struck[fault] for fault in FAULTS) >= 5
        assert len(times) >= ROWS
        assert times == sorted(set(times))
        assert total(channel) == siege.total
        there = {row["created_at"]: row["field7"] for row in feeds}
        with closing(sqlite3.connect(small_disk / "outbox.sqlite")) as database:
            states = database.execute("SELECT state, second, fields FROM row").fetchall()
        assert {state for state, _, _ in states} == {2}
        for _, second, fields in states:
            at = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            assert there[at] == json.loads(fields)["field7"]


@pytest.mark.parametrize(
    "faults",
    [
        ("reset", "reset_after_commit", "500", "truncate"),
        ("429", "503", "reset_after_commit", "502"),
    ],
)
def test_faults_of_the_cloud_lose_and_double_nothing(
    wire: Wire, bridge: Callable[..., subprocess.Popen[bytes]], faults: tuple[Any, ...]
) -> None:
    """Resets, errors and half answers are followed by a look, not by a guess."""
    with Double(Switches(bulk_interval_s=0.2)) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        double.fail_next("bulk", *faults)
        process = bridge(double, channel)
        wire.start()

        wait_for(lambda: not double.faults and len(channel.rows) >= 3, 40, "faults and rows")
        time.sleep(1)
        wire.stop()

        wait_for(lambda: total(channel) > 0.8 * wire.total, 30, "most counts")
        assert process.poll() is None
        assert_once(channel)


def test_a_wrong_key_stops_loudly_and_keeps_the_rows(
    wire: Wire, bridge: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """A refused key is not tried again and again, and no row is thrown away."""
    with Double(Switches(bulk_interval_s=0.2)) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        process = bridge(double, channel, MONITORPI_CLOUD_BRIDGE__WRITE_KEYS__TRAFFIC="NOT-THE-KEY")
        wire.start()

        wait_for(lambda: any("bulk" in entry.path for entry in double.log), 20)
        time.sleep(3)
        wire.stop()
        process.terminate()
        process.wait(10)

        assert sum("bulk" in entry.path for entry in double.log) == 1
        db = sqlite3.connect(tmp_path / "state" / "outbox.sqlite")
        assert db.execute("SELECT COUNT(*) FROM row WHERE state = 0").fetchone()[0] >= 2
        db.close()
