"""An uploader in time by hand, with a cloud that answers what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cloud_bridge.cloudworld import START

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.sink import CallLimits, RefusedError, UploadOutcome
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DESTINATION = "cloud/traffic"


class Cloud:
    """A writer that answers what it is told."""

    def __init__(self) -> None:
        self.limits = CallLimits(10, 16.0)
        self.answers: list[UploadOutcome] = []
        self.shown: set[int] | RefusedError | None = set()
        self.odd: set[int] = set()
        self.sent: list[list[int]] = []

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Drop some rows without a word."""
        del now_s
        return "odd" if row.second in self.odd else None

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Note what is sent."""
        self.sent.append([row.second - START for row in rows])
        return b""

    def send(self, body: bytes) -> UploadOutcome:
        """Answer."""
        del body
        return self.answers.pop(0)

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Show what there is."""
        del seconds
        if isinstance(self.shown, RefusedError):
            raise self.shown
        return self.shown

    def close(self) -> None:
        """Do nothing."""


class Upload:
    """An uploader in time by hand."""

    def __init__(self, folder: Path, *, counts: bool = True, quota: int = 1000) -> None:
        self.now = 0.0
        self.cloud = Cloud()
        self.box = RowOutbox(folder / "outbox.sqlite")
        self.destination = UploadDestination(DESTINATION, self.cloud, counts)
        self.log: list[str] = []
        log = Log("test-cloud")
        for level in ("warning", "error"):
            setattr(log, level, lambda event, **_: self.log.append(event))
        self.one = Uploader(
            self.box, self.destination, YearlyQuota(quota), log, clock=lambda: self.now,
            wall=lambda: START + self.now,
        )  # fmt: skip

    def add(self, *seconds: int) -> None:
        """Write rows."""
        rows = [OutboxRow(DESTINATION, START + one, {"field1": "1"}) for one in seconds]
        self.box.add(rows, {}, 20)

    def step(self, *answers: UploadOutcome) -> float:
        """Let it look once."""
        self.cloud.answers = list(answers)
        return self.one.step()

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state, but none."""
        found = self.box.counts(DESTINATION)
        return {state: count for state, count in found.items() if count}
