"""The core of a bridge, with an outbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monitorpi_cloud_bridge.core import MEMORY, REPORTED, BridgeCore
from monitorpi_cloud_bridge.mapping import DEFAULTS
from monitorpi_cloud_bridge.rows import RowBuilder
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.guarded import GuardedRowOutbox
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Evidence, Wire
from monitorpi_common.service import Received, Tick
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


START = 1_800_000_000
DESTINATION = "thingspeak/traffic"
ENTRIES = [entry for entry in DEFAULTS if entry.channel == "traffic"]


def an_alert(state: str, key: str = "syn-flood-x", number: int = 0) -> Alert:
    """Return an alert."""
    at = datetime.fromtimestamp(START + 3, UTC)
    return Alert.model_validate(
        {
            "id": f"00000000-0000-0000-0000-{number:012d}", "key": key, "rule": "syn-flood",
            "severity": "critical", "state": state, "subject": "x", "opened_at": at, "at": at,
            "summary": "SYN flood from x",
            "evidence": Evidence(value=1, threshold=1, window_s=1, peak=1),
        }
    )  # fmt: skip


class Bridge:
    """A core on a real outbox, and the clocks it is shown."""

    def __init__(self, file: Path, interval_s: int = 20, **settings: Any) -> None:
        self.outbox = RowOutbox(file)
        builder = RowBuilder(ENTRIES, interval_s)
        builder.remember(self.outbox.recall(MEMORY))
        store = GuardedRowOutbox(self.outbox, interval_s, Log("test-bridge", "error"))
        self.core = BridgeCore(
            builder, store, {"traffic": (DESTINATION,)}, (DESTINATION,), **settings
        )
        self.core.recall(self.outbox.recall(REPORTED))

    def tick(self, at_s: float, boot_s: float, *, synced: bool = True) -> None:
        """Let a second pass."""
        list(self.core.handle(Tick(datetime.fromtimestamp(at_s, UTC), boot_s, synced)))

    def window(self, at_s: float, count: int, total: int, **more: Any) -> None:
        """Deliver a window of SYNs."""
        at = datetime.fromtimestamp(at_s, UTC)
        message = Wire.model_validate(
            {
                "epoch": "e", "seq": 0, "start": at, "end": at, "window_s": 1,
                "clock_synced": True, "interface": "eth0", "engine": "socket", "packets": count,
                "bytes": 0, "counts": {"syn": count}, "totals": {"syn": total}, **more,
            }
        )  # fmt: skip
        list(self.core.handle(Received(Topic("lab", "capture", "wire", "eth0"), message)))

    def alert(self, state: str, key: str = "syn-flood-x", number: int = 0) -> None:
        """Deliver an alert, as it stands retained."""
        message = an_alert(state, key, number)
        list(self.core.handle(Received(Topic("lab", "detector", "alert", key), message)))

    def rows(self) -> dict[int, Mapping[str, str]]:
        """Return what stands in the outbox."""
        rows = self.outbox.take(DESTINATION, 10_000)
        self.outbox.acknowledge(DESTINATION, [], [row.second for row in rows])
        return {row.second: row.fields for row in rows}

    def syns(self) -> dict[int, int]:
        """Return the SYNs of each row."""
        return {second: int(row["field7"]) for second, row in self.rows().items()}

    def texts(self) -> list[str]:
        """Return the status texts."""
        return [row["status"] for row in self.rows().values() if "status" in row]


# --- settings -----------------------------------------------------------------------------------


def settings(**values: Any) -> CloudBridgeSettings:
    """Build settings."""
    return CloudBridgeSettings.model_validate(values)
