"""What the whole stack writes to an SD card, at the block device."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.card import Card
from tests.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.up.conftest import Start

    from monitorpi_lab.lan import Lab

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(1500)]

SETTLE_S = 180
MEASURE_S = 600
DAY_S = 86_400
LOG_BYTES = 1_000_000
MB = 1_000_000
DOUBLE = str(Path(sys.executable).parent / "monitorpi-thingspeak-double")


@pytest.fixture
def cards(tmp_path: Path) -> Iterator[tuple[Card, Card]]:
    """Make a card for the state of all, and one for what the history keeps.

    Before the lab: its hosts see what is mounted when they are made.
    """
    state = Card(tmp_path / "state.img", tmp_path / "state")
    history = Card(tmp_path / "history.img", tmp_path / "state" / "history")
    yield state, history
    history.remove()
    state.remove()


@pytest.fixture
def cloud(lab: Lab) -> Iterator[dict[str, str]]:
    """Run ThingSpeak's double beside the sensor; returns the settings of a bridge to it."""
    process = lab.sensor.popen([DOUBLE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    bridge = "MONITORPI_CLOUD_BRIDGE__"
    yield {
        f"{bridge}URL": said["url"],
        f"{bridge}CHANNELS__TRAFFIC": str(said["channel"]),
        f"{bridge}WRITE_KEYS__TRAFFIC": said["write_key"],
        "MONITORPI_TRUST_CLOCK": "true",
    }
    process.terminate()
    process.wait()
    process.stdout.close()


def megabytes_a_day(cards: tuple[Card, Card]) -> tuple[float, float]:
    """Let time pass; returns what each card was handed in it, for a day."""
    pause = threading.Event()
    pause.wait(SETTLE_S)
    before = [card.written() for card in cards]
    pause.wait(MEASURE_S)
    state, history = (
        (card.written() - was) * DAY_S / MEASURE_S / MB
        for card, was in zip(cards, before, strict=True)
    )
    return state, history


def test_without_a_cloud(cards: tuple[Card, Card], up: Start) -> None:
    """At most 25 MB a day; what the history writes stands beside it, within its own budget."""
    up().online("history")

    state, history = megabytes_a_day(cards)

    sys.stdout.write(f"without a cloud: {state:.1f} MB a day; history {history:.1f}\n")
    assert state <= 25
    assert history <= 250


def test_with_one_channel(cards: tuple[Card, Card], up: Start, cloud: dict[str, str]) -> None:
    """At most 60 MB a day, the history's apart, once the outbox's log is as long as it gets.

    It is brought there fast, with a row each second, and outlives the end: that is a power cut's.
    """
    bridge = "MONITORPI_CLOUD_BRIDGE__"
    first = up(**cloud, **{f"{bridge}INTERVAL_S": "1", f"{bridge}WRITE_S": "1"})
    log = first.state / "cloud-bridge" / "outbox.sqlite-wal"
    wait_for(lambda: log.exists() and log.stat().st_size > LOG_BYTES, 600, "the log to grow")
    for pid in [*first.children().values(), first.process.pid]:
        os.kill(pid, signal.SIGKILL)
    first.stop()
    up(**cloud).online("cloud-bridge")

    state, history = megabytes_a_day(cards)

    sys.stdout.write(f"with one channel: {state:.1f} MB a day; history {history:.1f}\n")
    assert state <= 60
    assert history <= 250
