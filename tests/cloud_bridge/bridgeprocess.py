"""The bridge as a process between a broker and the double."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_thingspeak_double import Channel

TOPIC = "monitorpi/v1/lab/capture/wire/eth0"
LABELS = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http and https")


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
