"""Two thousand rows through kills, faults of the cloud and a full disk."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.bridgeprocess import LABELS, TOPIC, assert_sound, total
from tests.conftest import wait_for

from monitorpi_common.messages import timestamp
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Broker, Subscriber

    from monitorpi_thingspeak_double import Channel

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
MEAN = 25
"""SYNs of a window, nearly."""
CALLS_A_FAULT = 4
"""At least so many calls for each fault: on a slow machine, too, most of them meet none."""
PER_S = 20
"""Rows made per second: windows of the past, a second apart, come that fast."""
BACKLOG = 300
"""Windows that may wait for the cloud. Were there no bound, those of a slow machine would run on
into the future while the bridge pauses, and their rows would come no sooner than their time."""


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
    calls: int = 0

    def __post_init__(self) -> None:
        self.began = int(time.time()) - 3500
        self.process = self.start()
        self.double.on_request = self._maybe_kill

    def _maybe_kill(self, when: str, path: str) -> None:
        self.calls += when == "before"
        moment = MOMENTS[self.kills.total() % len(MOMENTS)]
        due = when == moment[0] and moment[1] in path and self.dice.random() < 0.7
        if not due or self.kills.total() >= KILLS or self.process.poll() is not None:
            return
        self.process.kill()
        self.kills[moment] += 1
        if when == "before":
            raise ConnectionAbortedError  # what was sent never arrives

    @property
    def missing(self) -> int:
        """SYNs that are in windows and in no row of the channel yet."""
        return self.total - total(self.channel)

    @property
    def may_strike(self) -> bool:
        """The fault before was met, and calls since: a dozen in a row only make the bridge wait."""
        return not self.double.faults and self.calls >= CALLS_A_FAULT * self.struck.total()

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
        self.total += self.sequence % (2 * MEAN)
        end = datetime.fromtimestamp(self.began + self.sequence, UTC)
        window: dict[str, Any] = {
            "epoch": "e", "seq": self.sequence, "start": timestamp(end), "end": timestamp(end),
            "window_s": 1, "clock_synced": True, "interface": "eth0", "engine": "socket",
            "packets": self.sequence, "bytes": 1,
            "counts": {"syn": self.sequence % (2 * MEAN)}, "totals": {"syn": self.total},
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
@pytest.mark.timeout(3000)
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
    bridge_process: Callable[..., subprocess.Popen[bytes]],
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
            lambda: bridge_process(double, channel, MONITORPI_CLOUD_BRIDGE__CA_FILE=certificate[0]),
            subscribe(broker.port, "monitorpi/v1/lab/cloud-bridge/status/+"),
            small_disk, random.Random(seed),  # noqa: S311 - repeatable on purpose
        )  # fmt: skip
        command = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-l", "-t"]
        publisher = subprocess.Popen([*command, TOPIC], stdin=subprocess.PIPE, text=True)
        assert publisher.stdin is not None

        def say() -> None:
            assert publisher.stdin is not None
            if siege.listens():
                if siege.missing < BACKLOG * MEAN:
                    publisher.stdin.write(siege.window() + "\n")
                    publisher.stdin.flush()
                if siege.may_strike and siege.dice.random() < 0.05:
                    siege.strike()
            time.sleep(1 / PER_S)  # the pace of the windows

        while len(channel.rows) < ROWS or siege.kills.total() < KILLS:
            say()
        double.faults.clear()
        while siege.missing:
            say()
            wait_for(siege.listens, 30, "the bridge")
            deadline = time.monotonic() + 30
            while siege.missing and time.monotonic() < deadline:
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
        assert not siege.missing
        there = {row["created_at"]: row["field7"] for row in feeds}
        with closing(sqlite3.connect(small_disk / "outbox.sqlite")) as database:
            states = database.execute("SELECT state, second, fields FROM row").fetchall()
        assert {state for state, _, _ in states} == {2}
        for _, second, fields in states:
            at = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            assert there[at] == json.loads(fields)["field7"]
