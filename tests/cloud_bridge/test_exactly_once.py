"""The bridge as a process against the double: no row lost, none doubled, whatever is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.bridgeprocess import LABELS, Wire, assert_sound, kept_back, total
from tests.conftest import wait_for

from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Broker, Subscriber

    from monitorpi_thingspeak_double import Channel


def assert_once(channel: Channel, *, refused: bool = False) -> None:
    """Every second stands once and in order of arrival is in order of time.

    Args:
        channel: what came to be stored.
        refused: a call was refused, after which the newest row goes first.

    """
    seconds = [row["created_at"] for row in channel.rows]
    assert len(set(seconds)) == len(seconds)
    assert refused or seconds == sorted(seconds)


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
    bridge_process: Callable[..., subprocess.Popen[bytes]],
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
        running.append(bridge_process(double, channel))
        wait_for(lambda: seen.of("status"), what="the bridge to listen")
        wire.start()

        def ten_kills() -> bool:
            if running[-1].poll() is not None:
                assert_sound(tmp_path / "state", tmp_path / "copies")
                running.append(bridge_process(double, channel))
            return len(kills) >= wanted_kills

        wait_for(ten_kills, 20 * wanted_kills, "the kills")
        if killed[-1] == running[-1].pid:
            running[-1].wait(10)
            running.append(bridge_process(double, channel))

        # what nobody hears after the last restart no later window can make good
        time.sleep(1)
        wait_for(lambda: seen.of("status")[-1] == "online", 30, "the last bridge to listen")
        time.sleep(2)
        wire.stop()

        # what was said after the last row stands in the memory until one more window comes
        wait_for(lambda: total(channel) > 0.9 * wire.total, 30, "most counts")
        running[-1].terminate()
        assert running[-1].wait(15) == 0

        assert_once(channel)
        assert total(channel) + kept_back(tmp_path / "state") == wire.total


@pytest.mark.parametrize(
    "faults",
    [
        ("reset", "reset_after_commit", "500", "truncate"),
        ("429", "503", "reset_after_commit", "502"),
    ],
)
def test_faults_of_the_cloud_lose_and_double_nothing(
    wire: Wire, bridge_process: Callable[..., subprocess.Popen[bytes]], faults: tuple[Any, ...]
) -> None:
    """Resets, errors and half answers are followed by a look, not by a guess."""
    with Double(Switches(bulk_interval_s=0.2)) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        double.fail_next("bulk", *faults)
        process = bridge_process(double, channel)
        wire.start()

        wait_for(lambda: not double.faults and len(channel.rows) >= 3, 40, "faults and rows")
        time.sleep(1)
        wire.stop()

        wait_for(lambda: total(channel) > 0.8 * wire.total, 30, "most counts")
        assert process.poll() is None
        assert_once(channel, refused=True)


def test_a_wrong_key_stops_loudly_and_keeps_the_rows(
    wire: Wire, bridge_process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """A refused key is not tried again and again, and no row is thrown away."""
    with Double(Switches(bulk_interval_s=0.2)) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        process = bridge_process(
            double, channel, MONITORPI_CLOUD_BRIDGE__WRITE_KEYS__TRAFFIC="NOT-THE-KEY"
        )
        wire.start()

        wait_for(lambda: any("bulk" in entry.path for entry in double.log), 20)
        time.sleep(3)
        wire.stop()
        process.terminate()
        process.wait(10)

        assert sum("bulk" in entry.path for entry in double.log) == 1
        db = sqlite3.connect(tmp_path / "state" / "outbox.sqlite")
        assert db.execute("SELECT COUNT(*) FROM row WHERE state IN (0, 4)").fetchone()[0] >= 2
        db.close()
