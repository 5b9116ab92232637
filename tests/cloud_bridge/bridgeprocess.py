"""The bridge as a process between a broker and the double."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monitorpi_common.messages import Wire as WireMessage
from monitorpi_common.messages import timestamp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Broker

    from monitorpi_thingspeak_double import Channel

TOPIC = "monitorpi/v1/lab/capture/wire/eth0"
LABELS = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http and https")


def total(channel: Channel) -> int:
    """Return the SYNs of all rows stored in a channel."""
    return sum(int(row["field7"]) for row in list(channel.rows))


def kept_back(state: Path) -> int:
    """Return the SYNs that a bridge which has ended left: of rows not sent, and of none yet."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        waiting = database.execute("SELECT fields FROM row WHERE state IN (0, 1)").fetchall()
        asked = "SELECT value FROM memory WHERE name = 'rows'"
        samples = json.loads(database.execute(asked).fetchone()[0])["samples"]
    unsent = sum(int(json.loads(fields)["field7"]) for (fields,) in waiting)
    return unsent + sum(sample[1] for _, _, field, sample in samples if field == 7)


def assert_sound(state: Path, copies: Path) -> None:
    """What a killed process left on the disk is a whole database; looked at in a copy."""
    copies.mkdir(exist_ok=True)
    for file in state.glob("outbox.sqlite*"):
        shutil.copy(file, copies / file.name)
    with closing(sqlite3.connect(copies / "outbox.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    shutil.rmtree(copies)


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
