"""What the tests of history share: a LAN of windows and rounds, and a service whose clock obeys."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.drive import received

from monitorpi_common.log import Log
from monitorpi_common.messages import (
    Alert,
    Device,
    DeviceWindow,
    Evidence,
    Omitted,
    Probe,
    ProbeResult,
    ProbeSource,
    Traffic,
)
from monitorpi_common.service import Tick
from monitorpi_history.core import HistoryCore
from monitorpi_history.diary import Diary
from monitorpi_history.sinks.archive import Archive
from monitorpi_history.sources.reader import Reader, open_to_read
from monitorpi_history.sources.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MB = 1_000_000


def mac(serial: int) -> str:
    """Return the MAC address of a device by its number."""
    return f"02:00:00:00:{serial >> 8:02x}:{serial & 255:02x}"


def window(at: datetime, seq: int, devices: int = 2, **more: Any) -> Traffic:
    """Build a window of a second in which device n sent n+1 SYNs and got one frame."""
    rows = [
        DeviceWindow(
            mac=mac(n),
            tx={"packets": n + 2, "bytes": 100 * (n + 2), "syn": n + 1},
            rx={"packets": 1, "bytes": 60},
        )
        for n in range(devices)
    ]
    sent = sum(row.tx["packets"] for row in rows)
    values: dict[str, Any] = {
        "epoch": "one",
        "seq": seq,
        "start": at,
        "end": at + timedelta(seconds=1),
        "window_s": 1.0,
        "clock_synced": True,
        "interface": "eth0",
        "engine": "socket",
        "packets": sent,
        "bytes": 100 * sent,
        "counts": {"syn": sum(row.tx["syn"] for row in rows)},
        "totals": {},
        "devices": rows,
        "omitted": Omitted(),
    }
    return Traffic(**(values | more))


def probe(at: datetime, seq: int, **more: Any) -> Probe:
    """Build a round of one target that ended then."""
    values: dict[str, Any] = {
        "name": "printer", "address": "192.168.1.10", "state": "up", "sent": 10, "received": 9,
        "loss_ratio": 0.1, "rtt_min_ms": 0.4, "rtt_avg_ms": 0.5, "rtt_p50_ms": 0.45,
        "rtt_p95_ms": 0.9, "rtt_max_ms": 1.5, "jitter_ms": 0.1, "mos": 4.3,
    }  # fmt: skip
    return Probe(
        epoch="one", seq=seq, round_start=at - timedelta(seconds=10), round_end=at,
        clock_synced=True, source=ProbeSource(), targets=[ProbeResult(**(values | more))],
    )  # fmt: skip


def alert(opened: datetime, **more: Any) -> Alert:
    """Build an alert on device 1."""
    values: dict[str, Any] = {
        "id": "8f3e0b8e-3c0b-5d0a-9a55-0f6f5a1f7c11", "key": "syn-flood-020000000001",
        "rule": "syn-flood", "severity": "critical", "state": "open", "subject": "020000000001",
        "interface": "eth0", "opened_at": opened, "at": opened, "summary": "a flood",
        "evidence": Evidence(value=1000, threshold=100, window_s=1, peak=1200),
    }  # fmt: skip
    return Alert(**(values | more))


def device(serial: int = 1, **more: Any) -> Device:
    """Build a device."""
    values: dict[str, Any] = {
        "mac": mac(serial), "ips": [f"192.168.1.{serial}"], "hostname": f"host-{serial}",
        "first_seen": NOON, "last_seen": NOON, "present": True,
    }  # fmt: skip
    return Device(**(values | more))


@dataclass
class World:
    """A history on a real file, with a clock that obeys."""

    folder: Path
    budget_mb: int = 500
    now: datetime = NOON
    boot_s: float = 1000.0
    is_set: bool = True
    seq: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - the same each time
    keep_days: int | None = None

    def __post_init__(self) -> None:
        self.start()

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return self.folder / "history.sqlite"

    def start(self) -> None:
        """Begin, or begin again from what the file holds."""
        self.archive = Archive(
            self.file, self.budget_mb * MB, self.keep_days, Log("history", "error")
        )
        self.archive.open()
        self.shown: dict[str, Any] = {}
        diary = Diary(self.archive.devices(), self.archive.target_states())
        self.core = HistoryCore(self.archive, diary, {}, self._show)

    def _show(self, state: dict[str, Any]) -> None:
        self.shown = state

    def hand(self, message: Any, id_: str = "eth0") -> None:
        """Hand the core a message."""
        list(self.core.handle(received(message, id_)))

    def tick(self) -> None:
        """Let it be told the time."""
        list(self.core.handle(Tick(self.now, self.boot_s, self.is_set)))

    def live(self, seconds: int, **more: Any) -> None:
        """Let time pass with a window each second and a round each ten."""
        for _ in range(seconds):
            self.tick()
            self.hand(window(self.now, self.seq, **more))
            if self.seq % 10 == 0:
                self.hand(probe(self.now, self.seq // 10), "main")
            self.seq += 1
            self.pass_time(1)
        self.tick()

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on."""
        self.now += timedelta(seconds=seconds)
        self.boot_s += seconds

    def idle(self, seconds: int) -> None:
        """Let time pass in silence."""
        for _ in range(seconds):
            self.pass_time(1)
            self.tick()

    def ask(self, table: str, **asked: Any) -> bytes:
        """Ask a question as over HTTP."""
        one = next(one for one in TABLES if one.name == table)
        asked = {name.rstrip("_"): value for name, value in asked.items()}
        question = one.question.model_validate(asked, context={"now_s": self.now.timestamp()})
        db = open_to_read(self.file)
        try:
            return b"".join(one.answer(Reader(db), question))
        finally:
            db.close()


def burst(world: World, counts: Sequence[int], **more: Any) -> None:
    """Let device 1 send so many SYNs in each second."""
    for count in counts:
        world.tick()
        base = window(world.now, world.seq, **more)
        row = base.devices[1].model_copy(
            update={"tx": {"packets": count, "bytes": 1, "syn": count}}
        )
        counted = {"syn": count}
        world.hand(
            base.model_copy(update={"devices": [base.devices[0], row], "counts": counted}),
            more.get("interface", "eth0"),
        )
        world.seq += 1
        world.pass_time(1)
    world.tick()
