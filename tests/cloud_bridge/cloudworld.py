"""A cloud, a network and an uploader in simulated time."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.sink import CallLimits
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.sinks.uploader import QUOTA, THIN_ABOVE, Uploader
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cloud_bridge.sinks.sink import UploadOutcome

DESTINATION = "thingspeak/traffic"
START = 1_800_000_000
LABELS = tuple(f"value {n}" for n in range(1, 9))


class KilledError(BaseException):
    """The process dies here."""


@dataclass
class World:
    """Simulated time, a double of the cloud, and a bridge that can die and come back."""

    folder: Path
    switches: Switches = field(default_factory=Switches)
    now: float = float(START)
    rows_per_call: int = 960
    certificate: tuple[str, str] | None = None
    thin_above: int = THIN_ABOVE

    def __post_init__(self) -> None:
        self.double = Double(self.switches, clock=lambda: self.now, certificate=self.certificate)
        self.double.__enter__()
        self.channel = self.double.cloud.add_channel("traffic", LABELS)
        self.outbox: RowOutbox
        self.uploader: Uploader
        self.die_at: str | None = None
        self.boot()

    def boot(self, quota: int = 0) -> None:
        """Start a bridge anew, as after a kill."""
        if hasattr(self, "outbox"):
            self.outbox.close()
            self.uploader.destination.sink.close()
            check = sqlite3.connect(self.folder / "outbox.sqlite")
            assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            check.close()
        self.outbox = RowOutbox(self.folder / "outbox.sqlite")
        sink = Mortal(self)
        sink.limits = CallLimits(self.rows_per_call, 16.0)
        year = YearlyQuota(quota)
        year.remember(self.outbox.recall(QUOTA))
        self.uploader = Uploader(
            self.outbox,
            UploadDestination(DESTINATION, sink),
            year,
            Log("test-cloud", "error"),
            clock=lambda: self.now,
            wall=lambda: self.now,
            thin_above=self.thin_above,
        )

    def close(self) -> None:
        """End everything."""
        self.outbox.close()
        self.uploader.destination.sink.close()
        self.double.__exit__()

    def add(self, second: int, **fields: str) -> None:
        """Write one row."""
        self.outbox.add(
            [OutboxRow(DESTINATION, second, fields or {"field1": str(second % 97)})], {}
        )

    def step(self, seconds: float = 16.0) -> None:
        """Let time pass and the uploader work; it may die."""
        self.now += seconds
        try:
            self.uploader.step()
        except KilledError:
            self.die_at = None
            self.boot()

    def run_until_stored(self, most: int = 100_000) -> int:
        """Step until nothing waits; returns the number of steps."""
        for steps in range(most):
            counts = self.outbox.counts(DESTINATION)
            if counts["waiting"] + counts["in_flight"] == 0:
                return steps
            self.step()
        pytest.fail(f"still waiting after {most} calls: {self.outbox.counts(DESTINATION)}")

    def stored(self) -> list[str]:
        """Return the times of the rows at the cloud, as they arrived."""
        self.double.cloud.feeds(self.channel.id, self.channel.read_key, {})
        return [row["created_at"] for row in self.channel.rows]


class Mortal(ThingSpeak):
    """The real client, in a process that dies when told."""

    def __init__(self, world: World) -> None:
        trusted = Path(world.certificate[0]) if world.certificate else None
        super().__init__(
            world.double.url, world.channel.id, world.channel.write_key, None, 16.0,
            client(trusted, timeout_s=0.3),
        )  # fmt: skip
        self._world = world

    def send(self, body: bytes) -> UploadOutcome:
        """Send, and die before or after."""
        if self._world.die_at == "before":
            raise KilledError
        sent = super().send(body)
        if self._world.die_at == "after":
            raise KilledError
        return sent

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Read back, and die with the answer in hand."""
        found = super().verify(seconds)
        if self._world.die_at == "reading":
            raise KilledError
        return found


def answers(world: World, status: int) -> list[float]:
    """Return when bulk calls were answered like this."""
    log = [entry for entry in world.double.log if "bulk" in entry.path]
    return [entry.at_s for entry in log if entry.status == status]
