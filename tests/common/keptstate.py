"""A service's retained state and the file it writes, driven by hand; what it keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from monitorpi_common.messages import Alert, Device, Evidence, Target
from monitorpi_common.record import decode
from monitorpi_common.retained import RetainedState, Write
from monitorpi_common.topics import Topic, mac_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WALL_S = NOON.timestamp()
WEEK_S = 7 * 86400
MAC = "b8:27:eb:12:34:56"


def device(seconds: float = 0, mac: str = MAC, **more: Any) -> Device:
    """Build a device as it is published so many seconds after noon."""
    at = NOON + timedelta(seconds=seconds)
    return Device(mac=mac, first_seen=NOON, last_seen=at, **{"present": True, **more})


def alert(seconds: float = 0, state: str = "open", **more: Any) -> Alert:
    """Build an alert."""
    return Alert(
        id="00000000-0000-5000-8000-000000000000", key="syn-flood-x", rule="syn-flood",
        severity="warning", state=state, subject="x", opened_at=NOON,
        at=NOON + timedelta(seconds=seconds), summary="s",
        evidence=Evidence(value=1, threshold=1, window_s=1, peak=1), **more,
    )  # fmt: skip


class Kept:
    """A service's state and the file it writes, as bytes."""

    def __init__(self, service: str = "capture", file: bytes = b"") -> None:
        self.state = RetainedState("lab", service)
        self.service = service
        self.file = file
        self.writes: list[Write] = []

    def take(
        self, message: Device | Alert | Target, now_s: float, left_s: float | None = WEEK_S
    ) -> None:
        """Publish a message."""
        match message:
            case Device(mac=mac):
                id_ = mac_id(mac)
            case Alert(key=key):
                id_ = key
            case Target(address=address):
                id_ = address.replace(".", "-")
        topic = Topic("lab", self.service, message.KIND, id_)
        self.state.take(topic, message, message.encode(), left_s, now_s)

    def forget(self, mac: str, now_s: float) -> None:
        """Take a device back."""
        self.state.forget(Topic("lab", "capture", "device", mac_id(mac)), now_s)

    def tick(self, now_s: float, *, is_set: bool = True, everything: bool = False) -> Write | None:
        """Write what is due."""
        wall_s = WALL_S + now_s if is_set else None
        write = self.state.due(now_s, wall_s, everything=everything)
        if write is not None:
            self.writes.append(write)
            self.file = write.data if write.whole else self.file + write.data
        return write

    def run(self, from_s: int, to_s: int) -> list[int]:
        """Let seconds pass; returns those at which something was written."""
        return [now_s for now_s in range(from_s, to_s) if self.tick(now_s) is not None]

    def restart(
        self, after_s: float = 0, *, wall_s: float | None = None, is_set: bool = True
    ) -> Kept:
        """Start anew from the file, at second 0 of another clock."""
        again = Kept(self.service, self.file)
        records = decode(self.file).records.values() if self.file else []
        again.state.restore(
            records, 0, WALL_S + after_s if wall_s is None else wall_s, is_set=is_set
        )
        return again

    def handed_on(self, now_s: float = 1) -> dict[str, Any]:
        """Return what goes on, by topic's id."""
        return {one.topic.id: one for one in self.state.hand_on(now_s)}
